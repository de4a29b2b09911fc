"""How the generator appends windows and convolutions."""

from math import prod

from picograd.check.generation.operands import with_rank
from picograd.check.generation.sketch import MOST_ELEMENTS, Sketch
from picograd.dialects.dtypes import dtype_of, int32, type_of
from picograd.dialects.tensor import CastOp, ConvolutionOp, WindowsOp, window_span


def windows(sketch: Sketch) -> None:
    """Windows that fit along an axis that is not empty."""
    x = with_rank(sketch, 1)
    shape = type_of(x).get_shape()
    full = [axis for axis, size in enumerate(shape) if size]
    if not full or len(shape) > 4:
        return
    axis = sketch.choose(full)
    dilation = sketch.number(1, 2)
    size = sketch.number(1, max(1, min(3, (shape[axis] - 1) // dilation + 1)))
    if prod(shape) * size <= MOST_ELEMENTS:
        sketch.add(WindowsOp(x, axis, size, sketch.number(1, 2), dilation))


def convolution(sketch: Sketch) -> None:
    """A value convolved with another that fits, or with a part of its own rows."""
    x = with_rank(sketch, 3)
    if dtype_of(type_of(x)).is_bool:
        x = sketch.add(CastOp(x, int32))
    shape = type_of(x).get_shape()
    if len(shape) > 5 or 0 in shape[2:]:
        return
    kernel = sketch.pick(
        lambda v: (
            dtype_of(type_of(v)) == dtype_of(type_of(x))
            and len(type_of(v).get_shape()) == len(shape)
            and type_of(v).get_shape()[1:2] == shape[1:2]
            and 0 not in type_of(v).get_shape()[2:]
        )
    )
    w = x if kernel is None else kernel
    sizes = type_of(w).get_shape()[2:]
    dilations = [sketch.number(1, 2) for _ in sizes]
    low = [sketch.number(0, 2) for _ in sizes]
    spans = [window_span(k, d) for k, d in zip(sizes, dilations, strict=True)]
    # At least as much padding as the kernel needs to fit.
    missing = [max(0, s - n - a) for s, n, a in zip(spans, shape[2:], low, strict=True)]
    high = [least + sketch.number(0, 1) for least in missing]
    strides = [sketch.number(1, 2) for _ in sizes]
    op = ConvolutionOp(x, w, strides, low, high, dilations)
    if prod(op.result.type.get_shape()) <= MOST_ELEMENTS:
        sketch.add(op)
    else:
        op.erase()
