"""An index such as `x[0, ..., None, rows, 2:5]`, taken apart.

Integers, slices, None and Ellipsis become views; what is left are integer tensors that pick along
axes of the viewed tensor, or one bool mask that covers some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from operator import index as as_int
from types import EllipsisType
from typing import Any, TypeAlias, cast

import numpy as np

from picograd.errors import IndexOutOfRange, OptionError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.problems import located
from picograd.frontend.storage.views import ReshapeView, SliceView, View
from picograd.quick_dataclasses import dataclass

IndexItem: TypeAlias = (
    "int | slice | range | EllipsisType | TensorCore | list[Any] | np.ndarray[Any, Any] | None"
)
Index: TypeAlias = "IndexItem | tuple[IndexItem, ...]"
Picker: TypeAlias = "TensorCore | np.ndarray[Any, Any]"


@dataclass
class Selection:
    """Views first; then tensors that pick along axes of what they show, or a mask over some."""

    views: list[View]
    pickers: dict[int, Picker] = field(default_factory=dict[int, "Picker"])
    mask: TensorCore | None = None
    mask_axis: int = 0


def select(index: Index, shape: tuple[int, ...]) -> Selection:
    """The index of a tensor of this shape, taken apart.

    Raises IndexOutOfRange and others for what is no index, or leaves the tensor.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    items = _without_ellipsis([_listed(item) for item in items], len(shape))
    items = _without_known_masks(items, shape)
    selection = Selection([])
    starts: list[int] = []
    limits, steps = list(shape), [1] * len(shape)
    kept: list[int] = []
    axis = 0
    for item in items:
        if item is None or _is_known_mask(item):  # True adds an axis of size 1, False of 0
            if item is not None:
                selection.pickers[len(kept)] = np.zeros(0, np.int64)
            kept.append(1)
            continue
        covered = _axes_of(item)
        size = shape[axis] if covered else 1
        if isinstance(item, slice):
            start, stop, step = _slice_bounds(item, size)
            starts.append(start)
            limits[axis], steps[axis] = max(stop, start), step
            kept.append(-(-(limits[axis] - start) // step))
        elif isinstance(item, TensorCore | list | np.ndarray):
            _add_picker(selection, item, shape[axis : axis + covered], len(kept))
            starts += [0] * covered
            kept += shape[axis : axis + covered]
        else:
            position = _position(item, axis, size)
            starts.append(position)
            limits[axis] = position + 1
        axis += covered
    cut = SliceView(tuple(starts), tuple(limits), tuple(steps))
    if cut != SliceView((0,) * len(shape), shape, (1,) * len(shape)):
        selection.views.append(cut)
    if len(kept) != len(shape) or any(item is None or _is_known_mask(item) for item in items):
        selection.views.append(ReshapeView(tuple(kept)))
    return selection


def _is_mask(item: object) -> bool:
    return isinstance(item, TensorCore) and item.dtype.is_bool


def _is_known_mask(item: object) -> bool:
    """Whether it is a mask of NumPy's, as which masks of Python's come here as well."""
    return isinstance(item, np.ndarray) and cast(Any, item).dtype.kind == "b"


def _listed(item: IndexItem) -> IndexItem:
    """The item; a range or an inner tuple as a list, lists of bools as NumPy's masks."""
    if isinstance(item, range | tuple):
        item = list(cast("Sequence[Any]", item))
    if isinstance(item, list | bool):
        array = _rectangular(item)
        return array if array.dtype.kind == "b" else item
    return item


def _axes_of(item: IndexItem) -> int:
    """How many axes of the tensor an item is about."""
    if item is None or item is Ellipsis:
        return 0
    return cast(TensorCore, item).ndim if _is_mask(item) or _is_known_mask(item) else 1


def _without_known_masks(items: list[IndexItem], shape: tuple[int, ...]) -> list[IndexItem]:
    """Known masks as the indices that they stand for: one for each axis that they cover."""
    plain: list[IndexItem] = []
    axis = 0
    for item in items:
        covered = shape[axis : axis + _axes_of(item)]
        axis += len(covered)
        if not _is_known_mask(item):
            plain.append(item)
            continue
        mask = cast("np.ndarray[Any, Any]", item)
        if mask.shape != covered:
            raise located(_misfit(mask.shape, covered))
        plain += [*np.nonzero(mask)] if mask.ndim else [None if mask else item]
    return plain


def _misfit(mask: tuple[int, ...], covered: tuple[int, ...]) -> IndexOutOfRange:
    return IndexOutOfRange(
        "the bool mask does not fit the axes that it selects from",
        code="PG123",
        expected=f"a mask of shape {list(covered)}",
        found=list(mask),
        hint="make the mask from the tensor itself, as in x[x > 0] = 1",
    )


def _add_picker(
    selection: Selection, item: Picker | list[Any], covered: tuple[int, ...], axis: int
) -> None:
    if not _is_mask(item):
        selection.pickers[axis] = _picker(item)
    else:
        assert isinstance(item, TensorCore)
        if item.shape != covered:
            raise located(_misfit(item.shape, covered))
        if selection.mask is None:
            selection.mask, selection.mask_axis = item, axis
            if not selection.pickers:
                return
    if selection.mask is not None:
        raise located(
            ShapeError(
                "a bool mask is the only tensor of its index",
                code="PG123",
                expected="one mask, beside integers and slices",
                found="another tensor",
                hint="write with torch.where, or use integer tensors alone",
            )
        )


def _without_ellipsis(items: list[IndexItem], rank: int) -> list[IndexItem]:
    """The items with `...` written out, so that they cover every axis."""
    used = sum(map(_axes_of, items))
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if used > rank:
        raise located(
            IndexOutOfRange(
                f"too many indices for a tensor of rank {rank}",
                code="PG119",
                expected=f"at most {rank}",
                found=used,
                hint="drop indices, or add axes with None or unsqueeze()",
            )
        )
    rest: list[IndexItem] = [slice(None)] * (rank - used)
    at = dots[0] if dots else len(items)
    return [*items[:at], *rest, *(item for item in items[at:] if item is not Ellipsis)]


def _slice_bounds(item: slice, size: int) -> tuple[int, int, int]:
    step = 1 if item.step is None else as_int(item.step)
    if step < 1:
        raise located(
            OptionError(
                "slices go forward",
                code="PG120",
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
                code="PG122",
                expected="integers, slices, None, '...', integer tensors or a bool mask",
                found=type(item).__name__,
                hint="convert it to one of these",
            )
        ) from error
    if not -size <= position < size:
        raise located(
            IndexOutOfRange(
                f"index {position} is out of range for axis {axis}, which has {size} elements",
                code="PG119",
                expected=f"an index from {-size} to {size - 1}",
                found=position,
                hint="index within the axis; negative indices count from its end",
            )
        )
    return position % size


def _picker(item: Picker | list[Any]) -> Picker:
    picker = item if isinstance(item, TensorCore) else _numbers(item)
    name = picker.dtype.name
    if name not in ("int32", "int64"):
        raise located(
            IndexOutOfRange(
                "an index tensor holds integers",
                code="PG122",
                expected="int32 or int64; or a bool mask, to write",
                found=name,
                hint="convert it: index.long()",
            )
        )
    return picker


def _numbers(item: list[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = _rectangular(item)
    return array.astype(np.int64) if not array.size else array


def _rectangular(item: bool | list[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(item)
    except ValueError as error:
        raise located(
            OptionError(
                "the index is not rectangular",
                code="PG127",
                expected="nested lists of equal lengths",
                found=type(item).__name__,
                hint="pad or cut the inner lists to one length",
            )
        ) from error
