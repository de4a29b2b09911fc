"""Pools, as in `torch.nn.functional`: the greatest or the mean of the windows of an image.

Each spatial axis is split into two, which window and which element of it; a pool then reduces the
axes of elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np

from picograd.dialects.dtypes import DType
from picograd.dialects.tensor import window_span
from picograd.errors import OptionError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var, detached
from picograd.frontend.methods import compositions
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import require_float
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.spatial import Sizes, per_axis, with_batch, without_batch
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Array

Pooled = Any
"""A tensor, or with `return_indices` a pair of them: who calls knows which."""


@planned_operands()
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Pooled:
    """The greatest element of each window of input [N, C, L]; the batch axis may be missing.

    `stride` is by default the kernel's size. Padding is less than any element. With `ceil_mode`
    the last window may reach beyond the padding. `return_indices` also returns where in the input
    each element was. The gradient goes to the first of equal elements; a NaN is greater than all.
    """
    pool = _Pool("max_pool1d", 1, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(pool, input, return_indices)


@planned_operands()
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Pooled:
    """As `max_pool1d`, for input [N, C, H, W]; indices count the elements of H x W row by row."""
    pool = _Pool("max_pool2d", 2, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(pool, input, return_indices)


@planned_operands()
def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of input [N, C, L]; the batch axis may be missing.

    Padding is 0, and counts as elements if `count_include_pad`.
    """
    pool = _Pool("avg_pool1d", 1, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(pool, input, count_include_pad, None)


@planned_operands()
def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """As `avg_pool1d`, for input [N, C, H, W]; `divisor_override` divides all sums instead."""
    if divisor_override == 0:
        raise located(
            OptionError(
                "avg_pool2d divides by divisor_override",
                code="PG802",
                expected="a number other than 0",
                found=divisor_override,
                hint="leave it out to divide by the size of the window",
            )
        )
    pool = _Pool("avg_pool2d", 2, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(pool, input, count_include_pad, divisor_override)


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """The means of `output_size` windows of about equal size that cover input [N, C, L]."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """As `adaptive_avg_pool1d`, for input [N, C, H, W]; a size None keeps that of the input."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Pooled:
    """The greatest elements of `output_size` windows that cover input [N, C, L]."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Pooled:
    """As `adaptive_max_pool1d`, for input [N, C, H, W]."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


@dataclass(frozen=True)
class _Axis:
    """How windows lie along one spatial axis."""

    places: Array
    """[windows, elements]: where each element is in the input; outside of it in the padding."""
    regular: tuple[int, int, int, int, int] | None
    """Padding before and after, and size, stride and dilation of the windows; None where windows
    are of different sizes, the shorter ones filled up with places outside."""


class _Pool:
    """The options of a pool."""

    def __init__(
        self,
        what: str,
        axes: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
    ) -> None:
        self.what, self.axes, self.ceil_mode = what, axes, ceil_mode
        self.size = per_axis(what, "kernel_size", kernel_size, axes, 1)
        strides = kernel_size if stride is None or stride in ((), []) else stride
        self.stride = per_axis(what, "stride", strides, axes, 1)
        self.padding = per_axis(what, "padding", padding, axes, 0)
        self.dilation = per_axis(what, "dilation", dilation, axes, 1)
        if any(margin > size // 2 for margin, size in zip(self.padding, self.size, strict=True)):
            raise located(
                ShapeError(
                    f"{what}: a window lies in the padding",
                    code="PG111",
                    expected=f"at most half a window, {[size // 2 for size in self.size]}",
                    found=list(self.padding),
                    hint="pad the input with F.pad() first, or take a larger window",
                )
            )

    def along(self, axis: int, length: int) -> _Axis:
        """The windows along a spatial axis. Raises ShapeError when there is none."""
        size, stride, dilation = self.size[axis], self.stride[axis], self.dilation[axis]
        margin, span = self.padding[axis], window_span(size, dilation)
        room = length + 2 * margin - span
        count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        if self.ceil_mode and (count - 1) * stride >= length + margin:
            count -= 1  # Windows start in the input or the padding before it.
        if length == 0 or count < 1:
            raise located(
                ShapeError(
                    f"{self.what}: the window is larger than the padded input",
                    code="PG111",
                    expected=f"at least {span} elements along spatial axis {axis}",
                    found=f"{length} and a padding of {margin} on either side",
                    hint="pass a larger input, or a smaller kernel_size",
                )
            )
        after = max(0, (count - 1) * stride + span - margin - length)
        places = np.arange(count)[:, None] * stride + np.arange(size) * dilation - margin
        return _Axis(places, (margin, after, size, stride, dilation))


def _adaptive(length: int, count: int) -> _Axis:
    """`count` windows that cover an axis; they overlap where it cannot be divided."""
    if count and length % count == 0:
        size = length // count
        return _Axis(np.arange(length).reshape(count, size), (0, 0, size, size, 1))
    starts = [number * length // count for number in range(count)]
    ends = [-(-(number + 1) * length // count) for number in range(count)]
    size = max((b - a for a, b in zip(starts, ends, strict=True)), default=1)
    places = np.full((count, size), -1)
    for row, start, end in zip(places, starts, ends, strict=True):
        row[: end - start] = np.arange(start, end)
    return _Axis(places, None)


def _split(ops: Tape, x: Var, axes: Sequence[_Axis], outside: float) -> Var:
    """x [N, C, *S] as [N, C, *windows, elements], with `outside` around the input."""
    rank, spatial = len(ops.shape_of(x)), len(axes)
    for number in reversed(range(spatial)):
        axis, regular = 2 + number, axes[number].regular
        if regular is not None:
            before, after, *window = regular
            x = ops.pad(x, _only(axis, before, rank), _only(axis, after, rank), [0] * rank, outside)
            x = ops.windows(x, axis, *window)
        else:
            x = _taken(ops, x, axis, axes[number].places, outside)
        rank += 1
    shape = ops.shape_of(x)
    windows = [2 + 2 * number for number in range(spatial)]
    x = ops.permute(x, [0, 1, *windows, *(axis + 1 for axis in windows)])
    return ops.reshape(x, (*shape[:2], *(shape[a] for a in windows), *_merged(shape, windows)))


def _merged(shape: Sequence[int], windows: Sequence[int]) -> tuple[int]:
    return (prod(shape[axis + 1] for axis in windows),)


def _only(axis: int, number: int, rank: int) -> list[int]:
    return [number if a == axis else 0 for a in range(rank)]


def _taken(ops: Tape, x: Var, axis: int, places: Array, outside: float) -> Var:
    """x with an axis replaced by the two axes of `places`, which may lie outside of it."""
    inside = places >= 0
    x = compositions.taken(ops, x, ops.constant(np.maximum(places, 0)), axis)
    shape = ops.shape_of(x)
    mask = inside.reshape((*inside.shape, *(1 for _ in shape[axis + 2 :])))
    chosen = ops.broadcast(ops.constant(mask), shape)
    return ops.select(chosen, x, ops.full_like(x, outside))


# Greatest elements


def _least(dtype: DType) -> float:
    """The number that no element is less than."""
    return -inf if dtype.is_float else int(np.iinfo(dtype.numpy.name).min)


def _max_pool(pool: _Pool, input: Tensor, indices: bool) -> Pooled:
    x, alone = with_batch(pool.what, input, pool.axes)
    axes = [pool.along(axis, length) for axis, length in enumerate(x.shape[2:])]
    return _greatest(x, axes, alone, indices)


def _greatest(
    x: Tensor, axes: Sequence[_Axis], alone: bool, indices: bool
) -> tuple[Tensor, Tensor] | Tensor:
    ops = x.builder()
    elements = _split(ops, x.read(), axes, _least(x.dtype))
    last = len(ops.shape_of(elements)) - 1
    # The gradient goes where the value was picked, to one element of several equal ones.
    position = _inside(ops, ops.argreduce("max", detached(elements), last), axes, x.shape[2:])
    values = without_batch(x, compositions.picked(ops, elements, position, last), alone)
    if not indices:
        return values
    return values, without_batch(x, _indices(ops, position, axes, x.shape[2:]), alone)


def _indices(ops: Tape, position: Var, axes: Sequence[_Axis], sizes: Sequence[int]) -> Var:
    """Positions in windows as positions in the input, whose spatial axes are one."""
    shape, spatial = ops.shape_of(position), len(axes)
    total: Var | None = None
    for number in reversed(range(spatial)):
        size = axes[number].places.shape[1]
        width = ops.full_like(position, size)
        element = ops.binary("remainder", position, width) if number else position
        position = ops.binary("floordiv", position, width)
        place = _place(ops, axes[number], element, 2 + number, shape)
        place = ops.mul(place, ops.full_like(place, prod(sizes[number + 1 :])))
        total = place if total is None else ops.add(total, place)
    assert total is not None
    return total


def _inside(ops: Tape, position: Var, axes: Sequence[_Axis], sizes: Sequence[int]) -> Var:
    """The positions, where windows begin in the padding none before the first in the input.

    That changes those of windows that hold nothing but the least number, as the padding does.
    """
    first, before = np.zeros((), np.int64), False
    for windows, size in zip(axes, sizes, strict=True):
        inside = (windows.places >= 0) & (windows.places < size)
        starts = inside.argmax(1)
        before = before or bool(starts.any())
        first = first[..., None] * windows.places.shape[1] + starts
    if not before:
        return position
    least = ops.broadcast(ops.constant(first), ops.shape_of(position))
    return ops.binary("maximum", position, least)


def _place(ops: Tape, windows: _Axis, element: Var, axis: int, shape: Sequence[int]) -> Var:
    """Where along a spatial axis the element of each window is."""
    numbers = windows.places[:, 0].reshape([-1 if a == axis else 1 for a in range(len(shape))])
    start = ops.broadcast(ops.constant(numbers), shape)
    if windows.regular is None:
        return ops.add(start, element)
    return ops.add(start, ops.mul(element, ops.full_like(element, windows.regular[-1])))


def _adaptive_axes(
    what: str, axes: int, x: Tensor, output_size: int | Sequence[int | None]
) -> list[_Axis]:
    lengths = x.shape[2:]
    if not isinstance(output_size, int) and len(output_size) == axes:
        given = zip(output_size, lengths, strict=True)
        output_size = [length if size is None else size for size, length in given]
    elif not isinstance(output_size, int):
        output_size = [-1 if size is None else size for size in output_size]
    counts = per_axis(what, "output_size", output_size, axes, 0)
    if 0 in lengths:
        raise located(
            ShapeError(
                f"{what} has no value for an empty image",
                code="PG114",
                expected="spatial axes of at least 1 element",
                found=list(x.shape),
                hint="handle the empty case before the pool",
            )
        )
    return [_adaptive(length, count) for length, count in zip(lengths, counts, strict=True)]


def _adaptive_max_pool(
    what: str, axes: int, input: Tensor, output_size: int | Sequence[int | None], indices: bool
) -> Pooled:
    x, alone = with_batch(what, input, axes)
    return _greatest(x, _adaptive_axes(what, axes, x, output_size), alone, indices)


# Means


def _avg_pool(pool: _Pool, input: Tensor, include: bool, divisor: int | None) -> Tensor:
    x, alone = with_batch(pool.what, input, pool.axes)
    axes = [pool.along(axis, length) for axis, length in enumerate(x.shape[2:])]
    counts = [
        # What reaches beyond the padding, in ceil_mode, is never counted.
        ((a.places >= -margin * include) & (a.places < length + margin * include)).sum(1)
        for a, length, margin in zip(axes, x.shape[2:], pool.padding, strict=True)
    ]
    return _mean(pool.what, x, axes, counts, alone, divisor)


def _mean(
    what: str,
    x: Tensor,
    axes: Sequence[_Axis],
    counts: Sequence[Array],
    alone: bool,
    divisor: int | None = None,
) -> Tensor:
    require_float(x, what)
    ops = x.builder()
    elements = _split(ops, x.read(), axes, 0)
    total = ops.reduce("add", elements, (len(ops.shape_of(elements)) - 1,))
    number = counts[0] if len(counts) == 1 else np.multiply.outer(counts[0], counts[1])
    if divisor is not None:
        number = np.asarray(divisor)
    if number.size and bool((number == number.flat[0]).all()):
        shares = ops.full_like(total, float(number.flat[0]))
    else:
        typed = ops.cast(ops.constant(number.astype(np.float32)), ops.dtype_of(total))
        shares = ops.broadcast(typed, ops.shape_of(total))
    return without_batch(x, ops.div(total, shares), alone)


def _adaptive_avg_pool(
    what: str, axes: int, input: Tensor, output_size: int | Sequence[int | None]
) -> Tensor:
    x, alone = with_batch(what, input, axes)
    windows = _adaptive_axes(what, axes, x, output_size)
    return _mean(what, x, windows, [(w.places >= 0).sum(1) for w in windows], alone)


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]
