"""Views as maps: from the index of an element of the result to its index in the operand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from picograd.dialects.affine import Linear
from picograd.dialects.tensor import (
    BroadcastOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    SliceOp,
    TensorOp,
    WindowsOp,
    int_value,
    ints,
)
from picograd.passes.lowering.indices import Index, Ranges, delinearize, linearize


def _reshape(op: ReshapeOp, index: Index, ranges: Ranges) -> Index:
    old, new = op.x.type.get_shape(), op.result.type.get_shape()
    if tuple(size for size in old if size != 1) == tuple(size for size in new if size != 1):
        # Only axes of size 1 come or go.
        kept = iter(e for e, size in zip(index, new, strict=True) if size != 1)
        return tuple(Linear.of(0) if size == 1 else next(kept) for size in old)
    source: list[Linear] = []
    for old_axes, new_axes in _groups(old, new):
        position = linearize(index[new_axes], new[new_axes])
        source += delinearize(position, old[old_axes], ranges)
    return tuple(source)


def _groups(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The axes before and after a reshape, in parts of as many elements each.

    What moves along the axes of one part stays in the others: also an index that is out of bounds,
    as it may be under a guard.
    """
    if 0 in old:
        yield slice(0, len(old)), slice(0, len(new))
        return
    i = j = 0
    while i < len(old) or j < len(new):
        first_old, first_new, left, right = i, j, 1, 1
        while i == first_old or j == first_new or left != right:
            if j == len(new) or (i < len(old) and left <= right):
                left *= old[i]
                i += 1
            else:
                right *= new[j]
                j += 1
            if i == len(old) and j == len(new):
                break
        yield slice(first_old, i), slice(first_new, j)


def _permute(op: PermuteOp, index: Index, ranges: Ranges) -> Index:
    source = [Linear.of(0)] * len(index)
    for expression, axis in zip(index, ints(op.permutation), strict=True):
        source[axis] = expression
    return tuple(source)


def _broadcast(op: BroadcastOp, index: Index, ranges: Ranges) -> Index:
    old = op.x.type.get_shape()
    aligned = index[len(index) - len(old) :]
    new = op.result.type.get_shape()[len(index) - len(old) :]
    return tuple(
        Linear.of(0) if size == 1 and wide != 1 else expression
        for expression, size, wide in zip(aligned, old, new, strict=True)
    )


def _slice(op: SliceOp, index: Index, ranges: Ranges) -> Index:
    return tuple(
        expression * step + start
        for expression, start, step in zip(index, ints(op.starts), ints(op.steps), strict=True)
    )


def _reverse(op: ReverseOp, index: Index, ranges: Ranges) -> Index:
    axes, shape = ints(op.axes), op.result.type.get_shape()
    return tuple(
        size - 1 - expression if axis in axes else expression
        for axis, (expression, size) in enumerate(zip(index, shape, strict=True))
    )


def _windows(op: WindowsOp, index: Index, ranges: Ranges) -> Index:
    axis = int_value(op.axis)
    place = index[axis] * int_value(op.stride) + index[axis + 1] * int_value(op.dilation)
    return (*index[:axis], place, *index[axis + 2 :])


VIEWS: dict[type[TensorOp], Callable[[Any, Index, Ranges], Index]] = {
    ReshapeOp: _reshape,
    PermuteOp: _permute,
    BroadcastOp: _broadcast,
    SliceOp: _slice,
    ReverseOp: _reverse,
    WindowsOp: _windows,
}
"""For each view op: the operand's index of the element at an index of the result."""
