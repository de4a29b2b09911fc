"""`x[…]`, read and written: integers, slices, None, Ellipsis, integer tensors, and bool masks to
write.

Integers, slices, None and Ellipsis make views, so `x[1:3] += 1` changes x. Integer tensors pick
elements, and copy: they broadcast against one another, and the axes of the result stand in the
place of the axes they pick from, or in front when these do not lie side by side. What a bool mask
selects has no static size: such reads are refused, while writes are a `where`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Self

import numpy as np

from picograd.dialects.dtypes import int64
from picograd.dialects.tensor import ScatterKind
from picograd.errors import DTypeError, IndexOutOfRange, OperandError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var, unstamped
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.methods.index_parts import Index, Picker, select
from picograd.frontend.methods.picking import check_writable
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.plans.planned_views import planned_view
from picograd.frontend.problems import located
from picograd.frontend.promotion import as_var, broadcast_shapes, common_device
from picograd.quick_dataclasses import dataclass


class Indexing(TensorCore):
    """Reading and writing parts of a tensor."""

    @planned_view
    def __getitem__(self, index: Index) -> Self:
        if isinstance(index, TensorCore):
            return self._picked(index)
        return self._item(index)

    @planned_operands(tensors=("index",))
    def _picked(self, index: TensorCore) -> Self:
        return self._item(index)

    def _item(self, index: Index) -> Self:
        selection = select(index, self.shape)
        if selection.mask is not None:
            raise located(
                ShapeError(
                    "what a bool mask selects has a size that only the data tells",
                    code="PG108",
                    expected="shapes known before the program runs",
                    found="a bool tensor as index",
                    hint="use torch.where(mask, x, other), or multiply by the mask",
                )
            )
        viewed = self.with_views(*selection.views)
        if not selection.pickers:
            return viewed
        ops = self.builder()
        places = _places(ops, viewed, selection.pickers)
        x = _merged(ops, viewed.read(), places)
        return self.wrap(compositions.taken(ops, x, places.index, places.axis))

    @planned_operands("value", tensors=("index",), in_place=True)
    def __setitem__(self, index: Index, value: Operand) -> None:
        value = plain(value)
        common_device((self, value))
        ops = self.builder()
        selection = select(index, self.shape)
        target = self.with_views(*selection.views)
        if selection.mask is not None:
            condition = _spread_mask(ops, selection.mask, selection.mask_axis, target)
            new = _masked_value(ops, value, target, selection.mask)
            target.write_(ops.select(condition, new, unstamped(target.read())))
        elif selection.pickers:
            _write_picked(ops, target, selection.pickers, value, ScatterKind.SET)
        elif not (isinstance(value, TensorCore) and value.is_same_view(target)):
            # (It is the same view at the end of `x[i] += y`, which has written in place already.)
            target.write_(_fitting(ops, value, self, target.shape))

    def index_put_(
        self, indices: Sequence[TensorCore | None], values: TensorCore, accumulate: bool = False
    ) -> Self:
        """x[indices] = values; with `accumulate` the values are added, those of duplicates too."""
        common_device((self, values))
        index = tuple(slice(None) if item is None else item for item in indices)
        if values.dtype is not self.dtype:
            raise located(
                DTypeError(
                    "index_put_: the values have the tensor's dtype",
                    code="PG205",
                    expected=self.dtype.name,
                    found=values.dtype.name,
                    hint=f"convert them: values.to(torch.{self.dtype.name})",
                )
            )
        if not accumulate:
            self[index] = values
            return self
        ops, selection = self.builder(), select(index, self.shape)
        target = self.with_views(*selection.views)
        if selection.mask is not None:
            condition = _spread_mask(ops, selection.mask, selection.mask_axis, target)
            new = _masked_value(ops, values, target, selection.mask)
            old = unstamped(target.read())
            target.write_(ops.select(condition, ops.add(old, new), old))
        else:
            _write_picked(ops, target, selection.pickers, values, ScatterKind.ADD)
        return self

    def index_put(
        self, indices: Sequence[TensorCore | None], values: TensorCore, accumulate: bool = False
    ) -> Self:
        """A copy in which the indexed elements are replaced by `values`, or added to."""
        return self.wrap(self.read()).index_put_(indices, values, accumulate)

    def __len__(self) -> int:
        if not self.shape:
            raise located(
                OperandError(
                    "a 0-d tensor has no length",
                    code="PG104",
                    expected="at least one axis",
                    found="shape []",
                    hint="use .numel()",
                )
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))


# Integer tensors


@dataclass(frozen=True)
class _Places:
    """What some integer tensors pick: the axes in `order`, of which those from `axis` on merge."""

    order: tuple[int, ...]
    axis: int
    count: int
    """How many axes are picked from."""
    index: Var
    """Positions in the merged axis."""


def _places(ops: Tape, viewed: TensorCore, pickers: dict[int, Picker]) -> _Places:
    """Where the tensors pick, as one index of one axis.

    Axes that lie side by side stay where they are; others come to the front.
    """
    axes, shape = sorted(pickers), viewed.shape
    rest = [axis for axis in range(len(shape)) if axis not in pickers]
    together = axes == list(range(axes[0], axes[-1] + 1))
    order = tuple(range(len(shape))) if together else (*axes, *rest)
    common = broadcast_shapes(*(tuple(pickers[axis].shape) for axis in axes))
    if len(axes) == 1:
        index = _picker_var(ops, viewed, pickers[axes[0]], shape[axes[0]])
        return _Places(order, axes[0], 1, index)
    position: Var | None = None
    outside: Var | None = None
    for axis in axes:
        one = ops.cast(_picker_var(ops, viewed, pickers[axis], shape[axis]), int64)
        one = ops.broadcast(one, common)
        size = ops.full_like(one, shape[axis])
        below = ops.compare("lt", one, ops.full_like(one, 0))
        wrong = ops.binary("or", below, ops.compare("ge", one, size))
        outside = wrong if outside is None else ops.binary("or", outside, wrong)
        position = one if position is None else ops.add(ops.mul(position, size), one)
    assert position is not None and outside is not None
    # A place that an index out of range would reach by way of the others must not be reached.
    nowhere = ops.full_like(position, prod(shape[axis] for axis in axes))
    index = ops.select(outside, nowhere, position)
    return _Places(order, axes[0] if together else 0, len(axes), index)


def _merged(ops: Tape, value: Var, places: _Places) -> Var:
    """The value with the axes that are picked from as one."""
    turned = ops.permute(value, places.order)
    shape, first, last = ops.shape_of(turned), places.axis, places.axis + places.count
    return ops.reshape(turned, (*shape[:first], prod(shape[first:last]), *shape[last:]))


def _write_picked(
    ops: Tape,
    target: TensorCore,
    pickers: dict[int, Picker],
    value: Operand,
    kind: ScatterKind,
) -> None:
    """Overwrite, or add to, the elements that integer tensors pick."""
    places = _places(ops, target, pickers)
    old = _merged(ops, unstamped(target.read()), places)
    shape, axis, at = ops.shape_of(old), places.axis, ops.shape_of(places.index)
    picked = (*shape[:axis], *at, *shape[axis + 1 :])
    updates = _fitting(ops, value, target, picked)
    count = prod(at)
    flat = [count if a == axis else 1 for a in range(len(shape))]
    full = [count if a == axis else size for a, size in enumerate(shape)]
    check_writable("x[index] = value", shape[axis], full)
    spread = ops.broadcast(ops.reshape(places.index, flat), full)
    new = ops.scatter(kind, old, spread, ops.reshape(updates, full), axis)
    turned = ops.reshape(new, [target.shape[a] for a in places.order])
    back = [places.order.index(a) for a in range(len(places.order))]
    target.write_(ops.permute(turned, back))


def _picker_var(ops: Tape, like: TensorCore, picker: Picker, size: int) -> Var:
    """An index with negative numbers counted from the end; those known by now are checked."""
    if isinstance(picker, TensorCore):
        common_device((like, picker))
        return compositions.wrapped_index(ops, picker.read(), size)
    at: np.ndarray[Any, Any] = picker.astype(np.int64)
    if at.size and not (-size <= at.min() and at.max() < size):
        raise located(
            IndexOutOfRange(
                f"an index is out of range for an axis of {size} elements",
                code="PG119",
                expected=f"indices from {-size} to {size - 1}",
                found=f"{at.min()} to {at.max()}",
                hint="clamp or filter the indices first; negative ones count from the end",
            )
        )
    return ops.constant(np.where(at < 0, at + size, at))


def _fitting(ops: Tape, value: Operand, target: TensorCore, shape: tuple[int, ...]) -> Var:
    """The value in the target's dtype, broadcast to what is written."""
    given = _shape_of(value)
    while isinstance(value, TensorCore) and len(given) > len(shape) and given[0] == 1:
        given = given[1:]  # axes of size 1 in front are dropped, as in PyTorch
    if broadcast_shapes(given, shape) != shape:
        raise located(
            ShapeError(
                "the value does not fit into what it is assigned to",
                code="PG101",
                expected=f"a shape that broadcasts to {list(shape)}",
                found=list(given),
                hint="reshape or expand the value to the shape of the indexed part",
            )
        )
    return ops.broadcast(ops.reshape(as_var(ops, value, target.dtype), given), shape)


def _shape_of(value: Operand) -> tuple[int, ...]:
    return value.shape if isinstance(value, TensorCore) else ()


# Masks


def _spread_mask(ops: Tape, mask: TensorCore, axis: int, target: TensorCore) -> Var:
    """The mask in the target's shape; its own axes are those from `axis` on."""
    common_device((target, mask))
    after = target.ndim - axis - mask.ndim
    wide = ops.reshape(mask.read(), (*[1] * axis, *mask.shape, *[1] * after))
    return ops.broadcast(wide, target.shape)


def _masked_value(ops: Tape, value: Operand, target: TensorCore, mask: TensorCore) -> Var:
    """What is written where the mask is true: one value, or one for each place behind the mask."""
    given = _shape_of(value)
    rank = target.ndim - mask.ndim
    if len(given) > rank + 1 or (len(given) == rank + 1 and given[0] != 1):
        raise located(
            ShapeError(
                "a value for each selected element needs to know how many there are",
                code="PG108",
                expected="a number, or a tensor without an axis for the elements selected",
                found=f"a tensor of shape {list(given)}",
                hint="use torch.where(mask, value, x)",
            )
        )
    shape = given[1:] if len(given) == rank + 1 else given
    return ops.broadcast(ops.reshape(as_var(ops, value, target.dtype), shape), target.shape)
