"""`x[…]`, read and written: integers, slices, None, Ellipsis, one integer tensor, and bool masks
to write.

Integers, slices, None and Ellipsis make views, so `x[1:3] += 1` changes x. An integer tensor
picks slices along its axis and copies. What a bool mask selects has no static size: such reads
are refused, while writes are a `where`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import index as as_int
from types import EllipsisType
from typing import Any, Self, TypeAlias, cast

import numpy as np

from picograd.errors import DTypeError, IndexOutOfRange, OptionError, ShapeError
from picograd.frontend import compositions
from picograd.frontend.arithmetic import plain
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.problems import located
from picograd.frontend.promotion import as_var, broadcast_shapes, common_device
from picograd.frontend.tape import Tape, Var, unstamped
from picograd.frontend.views import ReshapeView, SliceView, View

IndexItem: TypeAlias = (
    "int | slice | EllipsisType | TensorCore | list[int] | np.ndarray[Any, Any] | None"
)
Index: TypeAlias = "IndexItem | tuple[IndexItem, ...]"


@dataclass
class Selection:
    """An index, taken apart: views first, then at most one tensor that picks along `axis`."""

    views: list[View]
    picker: TensorCore | np.ndarray[Any, Any] | None = None
    axis: int = 0


class Indexing(TensorCore):
    """Reading and writing parts of a tensor."""

    def __getitem__(self, index: Index) -> Self:
        if _is_mask(index):
            raise located(
                ShapeError(
                    "what a bool mask selects has a size that only the data tells",
                    expected="shapes known before the program runs",
                    found="a bool tensor as index",
                    hint="use torch.where(mask, x, other), or multiply by the mask",
                )
            )
        selection = _select(index, self.shape)
        viewed = self.with_views(*selection.views)
        if selection.picker is None:
            return viewed
        ops, axis = self.builder(), selection.axis
        at = _picker_var(ops, self, selection.picker, viewed.shape[axis])
        return self.wrap(compositions.taken(ops, viewed.read(), at, axis))

    def __setitem__(self, index: Index, value: Operand) -> None:
        value = plain(value)
        common_device((self, value))
        ops = self.builder()
        if _is_mask(index):
            self._write_masked(ops, cast(TensorCore, index), value)
            return
        selection = _select(index, self.shape)
        target = self.with_views(*selection.views)
        if selection.picker is None:
            if isinstance(value, TensorCore) and value.is_same_view(target):
                return  # the end of `x[i] += y`, which has written in place already
            target.write_(_fitting(ops, value, self, target.shape))
            return
        axis, shape = selection.axis, target.shape
        at = _picker_var(ops, self, selection.picker, shape[axis])
        picked = (*shape[:axis], *ops.shape_of(at), *shape[axis + 1 :])
        updates = _fitting(ops, value, self, picked)
        count = int(np.prod(ops.shape_of(at)))
        flat = [count if a == axis else 1 for a in range(len(shape))]
        full = [count if a == axis else size for a, size in enumerate(shape)]
        spread = ops.broadcast(ops.reshape(at, flat), full)
        old = unstamped(target.read())
        target.write_(ops.scatter("set", old, spread, ops.reshape(updates, full), axis))

    def _write_masked(self, ops: Tape, mask: TensorCore, value: Operand) -> None:
        common_device((self, mask))
        if mask.shape != self.shape[: mask.ndim]:
            raise located(
                ShapeError(
                    "the bool mask does not fit the tensor",
                    expected=f"the first axes of {list(self.shape)}",
                    found=list(mask.shape),
                    hint="make the mask from the tensor itself, as in x[x > 0] = 1",
                )
            )
        if isinstance(value, TensorCore) and value.ndim:
            raise located(
                ShapeError(
                    "only one value can be written through a bool mask",
                    expected="a number or a 0-d tensor",
                    found=f"a tensor of shape {list(value.shape)}",
                    hint="use torch.where(mask, value, x)",
                )
            )
        wide = ops.reshape(mask.read(), (*mask.shape, *[1] * (self.ndim - mask.ndim)))
        condition = ops.broadcast(wide, self.shape)
        new = as_var(ops, value, self.dtype, self.shape)
        self.write_(ops.select(condition, new, unstamped(self.read())))

    def __len__(self) -> int:
        if not self.shape:
            raise located(IndexOutOfRange("a 0-d tensor has no length", hint="use .numel()"))
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))


def _fitting(ops: Tape, value: Operand, target: TensorCore, shape: tuple[int, ...]) -> Var:
    """The value in the target's dtype, broadcast to what is written."""
    given = value.shape if isinstance(value, TensorCore) else ()
    if broadcast_shapes(given, shape) != shape:
        raise located(
            ShapeError(
                "the value does not fit into what it is assigned to",
                expected=f"a shape that broadcasts to {list(shape)}",
                found=list(given),
                hint="reshape or expand the value to the shape of the indexed part",
            )
        )
    return as_var(ops, value, target.dtype, shape)


def _is_mask(index: Index) -> bool:
    return isinstance(index, TensorCore) and index.dtype.is_bool


def _select(index: Index, shape: tuple[int, ...]) -> Selection:
    items = list(index) if isinstance(index, tuple) else [index]
    items = _without_ellipsis(items, len(shape))
    starts: list[int] = []
    limits, steps = list(shape), [1] * len(shape)
    kept: list[int] = []
    picker: TensorCore | np.ndarray[Any, Any] | None = None
    picker_axis = axis = 0
    for item in items:
        if item is None:
            kept.append(1)
            continue
        size = shape[axis]
        if isinstance(item, slice):
            start, stop, step = _slice_bounds(item, size)
            starts.append(start)
            limits[axis], steps[axis] = max(stop, start), step
            kept.append(-(-(limits[axis] - start) // step))
        elif isinstance(item, TensorCore | list | np.ndarray):
            if picker is not None:
                raise located(
                    ShapeError(
                        "more than one tensor in an index",
                        expected="at most one integer tensor, beside integers and slices",
                        found="two or more",
                        hint="flatten the axes and compute one index, or use gather()",
                    )
                )
            picker, picker_axis = _picker(item), len(kept)
            starts.append(0)
            kept.append(size)
        else:
            position = _position(item, axis, size)
            starts.append(position)
            limits[axis] = position + 1
        axis += 1
    views: list[View] = []
    cut = SliceView(tuple(starts), tuple(limits), tuple(steps))
    if cut != SliceView((0,) * len(shape), shape, (1,) * len(shape)):
        views.append(cut)
    if len(kept) != len(shape) or any(item is None for item in items):
        views.append(ReshapeView(tuple(kept)))
    return Selection(views, picker, picker_axis)


def _without_ellipsis(items: list[IndexItem], rank: int) -> list[IndexItem]:
    """The items with `...` written out, so that they cover every axis."""
    used = sum(item is not None and item is not Ellipsis for item in items)
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if used > rank:
        raise located(
            IndexOutOfRange(
                f"too many indices for a tensor of rank {rank}",
                expected=f"at most {rank}",
                found=used,
                hint="drop indices, or add axes with None or unsqueeze()",
            )
        )
    if len(dots) > 1:
        raise located(
            IndexOutOfRange(
                "an index has one '...' at most",
                found=len(dots),
                hint="write the other axes out with :",
            )
        )
    rest: list[IndexItem] = [slice(None)] * (rank - used)
    at = dots[0] if dots else len(items)
    return [*items[:at], *rest, *items[at + 1 :]]


def _slice_bounds(item: slice, size: int) -> tuple[int, int, int]:
    step = 1 if item.step is None else as_int(item.step)
    if step < 1:
        raise located(
            OptionError(
                "slices go forward",
                expected="a step of 1 or more",
                found=step,
                hint="use .flip() to reverse an axis",
            )
        )
    return item.indices(size)


def _position(item: object, axis: int, size: int) -> int:
    try:
        position = as_int(cast(Any, item))
    except TypeError as error:
        raise located(
            IndexOutOfRange(
                f"a {type(item).__name__} is no index",
                expected="integers, slices, None, '...', an integer tensor or a bool mask",
                found=type(item).__name__,
                hint="convert it to one of these",
            )
        ) from error
    if not -size <= position < size:
        raise located(
            IndexOutOfRange(
                f"index {position} is out of range for axis {axis}, which has {size} elements",
                expected=f"an index from {-size} to {size - 1}",
                found=position,
                hint="index within the axis; negative indices count from its end",
            )
        )
    return position % size


def _picker(
    item: TensorCore | list[int] | np.ndarray[Any, Any],
) -> TensorCore | np.ndarray[Any, Any]:
    picker = item if isinstance(item, TensorCore) else np.asarray(item)
    name = picker.dtype.name
    if name not in ("int32", "int64"):
        raise located(
            DTypeError(
                "an index tensor holds integers",
                expected="int32 or int64, one axis; a bool mask alone, to write",
                found=name,
                hint="convert it: index.long()",
            )
        )
    return picker


def _picker_var(
    ops: Tape, like: TensorCore, picker: TensorCore | np.ndarray[Any, Any], size: int
) -> Var:
    if isinstance(picker, TensorCore):
        common_device((like, picker))
        return compositions.wrapped_index(ops, picker.read(), size)
    at = picker.astype(np.int64)
    if at.size and not (-size <= at.min() and at.max() < size):
        raise located(
            IndexOutOfRange(
                f"an index is out of range for an axis of {size} elements",
                expected=f"indices from {-size} to {size - 1}",
                found=f"{at.min()} to {at.max()}",
                hint="clamp or filter the indices first; negative ones count from the end",
            )
        )
    return ops.constant(np.where(at < 0, at + size, at))
