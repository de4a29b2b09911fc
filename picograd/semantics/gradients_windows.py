"""Gradient rules of the ops that slide windows.

The gradients of a convolution are convolutions: that of the input slides the reversed kernel over
the gradient, spread by the strides; that of the kernel slides the gradient, with the roles of
strides and dilations exchanged, over the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TypeVar

from picograd.dialects.tensor import int_value, ints, window_span
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Ops
from picograd.semantics.gradient_call import Call

V = TypeVar("V")


def windows(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    """An element's gradient is the sum over the windows that hold it."""
    axis, stride, dilation = (
        int_value(call.properties[name]) for name in ("axis", "stride", "dilation")
    )
    length = call.operand_types[0].get_shape()[axis]
    return (overlap_add(ops, grad, axis, length, stride, dilation),)


def overlap_add(ops: Ops[V], x: V, axis: int, length: int, stride: int, dilation: int) -> V:
    """Windows along `axis`, the elements of each along the axis after it, added up at their places
    in an axis of `length` elements: the transpose of `pico.windows`.

    Either all windows' k-th elements are one strided slice of the result, or each window is one:
    the sum is taken over the fewer of these. Windows side by side need no sum.
    """
    shape = ops.shape_of(x)
    count, size = shape[axis : axis + 2]
    if dilation == 1 and stride == size:
        joined = ops.reshape(x, (*shape[:axis], count * size, *shape[axis + 2 :]))
        return _embedded(ops, joined, axis, length, 0, 1)
    by_element = size <= count
    between, step = (dilation, stride) if by_element else (stride, dilation)
    parts: list[V] = []
    for number in range(size if by_element else count):
        part = _one_of(ops, x, axis + 1 if by_element else axis, number)
        parts.append(_embedded(ops, part, axis, length, number * between, step))
    return reduce(ops.add, parts)


def _one_of(ops: Ops[V], x: V, axis: int, position: int) -> V:
    """The slice of x at one position of an axis, without the axis."""
    shape = ops.shape_of(x)
    starts = [position if a == axis else 0 for a in range(len(shape))]
    limits = [position + 1 if a == axis else size for a, size in enumerate(shape)]
    part = ops.slice(x, starts, limits, [1] * len(shape))
    return ops.reshape(part, shape[:axis] + shape[axis + 1 :])


def _embedded(ops: Ops[V], part: V, axis: int, size: int, start: int, step: int) -> V:
    """Zeros, `size` along an axis, with `part` at start, start + step, …"""
    shape = ops.shape_of(part)
    high = size - (start + (shape[axis] - 1) * step + 1)

    def along(number: int) -> list[int]:
        return [number if a == axis else 0 for a in range(len(shape))]

    return ops.pad(part, along(start), along(high), along(step - 1))


@dataclass(frozen=True)
class _Geometry:
    """The numbers of a convolution that is differentiated."""

    data: tuple[int, ...]
    kernel: tuple[int, ...]
    outputs: tuple[int, ...]
    strides: tuple[int, ...]
    low: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int

    @property
    def spatial(self) -> range:
        return range(len(self.strides))

    @property
    def spread(self) -> list[int]:
        """The sizes of the result with `stride - 1` zeros between its elements."""
        return [window_span(self.outputs[2 + a], self.strides[a]) for a in self.spatial]


def convolution(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    properties = call.properties
    geometry = _Geometry(
        data=call.operand_types[0].get_shape(),
        kernel=call.operand_types[1].get_shape(),
        outputs=call.result_type.get_shape(),
        strides=ints(properties["strides"]),
        low=ints(properties["low"]),
        dilations=ints(properties["dilations"]),
        groups=int_value(properties["groups"]),
    )
    x = _of_input(ops, geometry, grad, call.operand(1)) if call.needs(0) else None
    w = _of_kernel(ops, geometry, grad, call.operand(0)) if call.needs(1) else None
    return x, w


def _of_input(ops: Ops[V], geometry: _Geometry, grad: V, w: V) -> V:
    """x[n, c, i] gets grad[n, o, j] * w[o, c, k] where i = j * stride + k * dilation - low."""
    data, kernel = geometry.data, geometry.kernel
    if 0 in data:
        return ops.full(data, 0, ops.dtype_of(grad))
    reach = [window_span(kernel[2 + a], geometry.dilations[a]) - 1 for a in geometry.spatial]
    low = [reach[a] - geometry.low[a] for a in geometry.spatial]
    high = [data[2 + a] + geometry.low[a] - geometry.spread[a] for a in geometry.spatial]
    return transposed_convolution(
        ops, grad, w, geometry.strides, low, high, geometry.dilations, geometry.groups
    )


def transposed_convolution(
    ops: Ops[V],
    x: V,
    w: V,
    strides: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> V:
    """x [N, O, *out], its elements spread by `strides`, convolved with the kernel w [O, C / groups,
    *K] reversed and its channels swapped.

    `low` and `high` zeros surround the spread x; where they are negative it is cropped.
    """
    kernel = ops.shape_of(w)
    nothing = [0] * len(kernel)
    spread = ops.pad(x, nothing, nothing, [0, 0, *(stride - 1 for stride in strides)])
    spread, low, high = _cropped(ops, spread, low, high)
    outputs, channels = kernel[0] // groups, kernel[1]
    parts = ops.reshape(w, (groups, outputs, channels, *kernel[2:]))
    swapped = ops.permute(parts, [0, 2, 1, *range(3, len(kernel) + 1)])
    swapped = ops.reshape(swapped, (groups * channels, outputs, *kernel[2:]))
    turned = ops.reverse(swapped, range(2, len(kernel)))
    return ops.convolution(spread, turned, [1] * len(low), low, high, dilations, groups)


def _of_kernel(ops: Ops[V], geometry: _Geometry, grad: V, x: V) -> V:
    """w[o, c, k] gets grad[n, o, j] * x[n, c, j * stride + k * dilation - low]: summed over n."""
    data, kernel, groups = geometry.data, geometry.kernel, geometry.groups
    if 0 in data or 0 in kernel:
        return ops.full(kernel, 0, ops.dtype_of(grad))
    # The batch takes the place of the channels. What the strides left over at the end is cut off.
    high = [
        window_span(kernel[2 + a], geometry.dilations[a]) - 1
        + geometry.spread[a] - data[2 + a] - geometry.low[a]
        for a in geometry.spatial
    ]  # fmt: skip
    x, low, high = _cropped(ops, x, geometry.low, high)
    sizes = ops.shape_of(x)[2:]
    parts = ops.reshape(x, (data[0], groups, kernel[1], *sizes))
    swapped = ops.permute(parts, [2, 1, 0, *range(3, len(data) + 1)])
    swapped = ops.reshape(swapped, (kernel[1], groups * data[0], *sizes))
    exchange = [1, 0, *range(2, len(data))]
    slid = ops.permute(grad, exchange)
    result = ops.convolution(swapped, slid, geometry.dilations, low, high, geometry.strides, groups)
    return ops.permute(result, exchange)


def _cropped(
    ops: Ops[V], x: V, low: Sequence[int], high: Sequence[int]
) -> tuple[V, list[int], list[int]]:
    """x without the elements that a negative padding of its spatial axes takes away, and the rest
    of the padding, none of it negative."""
    shape = ops.shape_of(x)
    starts, limits = [0, 0], list(shape[:2])
    for before, size, after in zip(low, shape[2:], high, strict=True):
        # Of the padded axis, [start, limit) is what lies in x.
        start = min(max(-before, 0), size)
        starts.append(start)
        limits.append(min(max(size + after, start), size))
    x = ops.slice(x, starts, limits, [1] * len(shape))
    new_low: list[int] = []
    new_high: list[int] = []
    for before, size, after, left in zip(low, shape[2:], high, ops.shape_of(x)[2:], strict=True):
        total = before + size + after
        new_low.append(min(max(before, 0), total - left))
        new_high.append(total - left - new_low[-1])
    return x, new_low, new_high
