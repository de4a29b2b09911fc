"""Views: how a tensor looks at its storage.

A tensor is a storage cell and a chain of views. Each view knows three things: what it does to
shape, strides and offset (`layout`), how to read itself out of the value below it (`read`), and
how the value below looks after the view was overwritten (`write`, inverse indexing). All of them
build tensor ops, so a write through a view is traced and differentiated like anything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import TypeVar

from picograd.dialects.dtypes import bool_, int64
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Ops
from picograd.semantics.gradients import embed

V = TypeVar("V")


@dataclass(frozen=True)
class Layout:
    """Where the elements of a tensor lie in its storage, counted in elements, as PyTorch counts."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps (axes of size 1 do not
        matter).
        """
        if 0 in self.shape:
            return True
        dense = dense_strides(self.shape)
        return all(
            size == 1 or stride == expected
            for size, stride, expected in zip(self.shape, self.strides, dense, strict=True)
        )


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a row-major tensor."""
    return tuple(prod(max(size, 1) for size in shape[axis + 1 :]) for axis in range(len(shape)))


@lru_cache(maxsize=1024)
def dense(shape: tuple[int, ...]) -> Layout:
    """The layout of a fresh tensor."""
    return Layout(shape, dense_strides(shape))


class View(ABC):
    """One step from a value to a part or another arrangement of it."""

    @abstractmethod
    def layout(self, below: Layout) -> Layout:
        """Shape, strides and offset of the view of a tensor laid out as `below`."""

    @abstractmethod
    def read(self, ops: Ops[V], base: V) -> V:
        """The view's value."""

    @abstractmethod
    def write(self, ops: Ops[V], base: V, new: V) -> V:
        """The value of `base` after the view was overwritten with `new`."""


@dataclass(frozen=True)
class PermuteView(View):
    """Axes in another order."""

    permutation: tuple[int, ...]

    def layout(self, below: Layout) -> Layout:
        shape = tuple(below.shape[axis] for axis in self.permutation)
        strides = tuple(below.strides[axis] for axis in self.permutation)
        return Layout(shape, strides, below.offset)

    def read(self, ops: Ops[V], base: V) -> V:
        return ops.permute(base, self.permutation)

    def write(self, ops: Ops[V], base: V, new: V) -> V:
        inverse = [self.permutation.index(axis) for axis in range(len(self.permutation))]
        return ops.permute(new, inverse)


@dataclass(frozen=True)
class SliceView(View):
    """A box of the axes, with steps of 1 or more."""

    starts: tuple[int, ...]
    limits: tuple[int, ...]
    steps: tuple[int, ...]

    def layout(self, below: Layout) -> Layout:
        axes = zip(self.starts, self.limits, self.steps, strict=True)
        shape = tuple(-(-(limit - start) // step) for start, limit, step in axes)
        strides = tuple(s * step for s, step in zip(below.strides, self.steps, strict=True))
        moved = sum(s * start for s, start in zip(below.strides, self.starts, strict=True))
        return Layout(shape, strides, below.offset + moved)

    def read(self, ops: Ops[V], base: V) -> V:
        return ops.slice(base, self.starts, self.limits, self.steps)

    def write(self, ops: Ops[V], base: V, new: V) -> V:
        shape = ops.shape_of(base)
        if ops.shape_of(new) == shape:
            return new
        inside = ops.full(ops.shape_of(new), True, bool_)
        mask = embed(ops, inside, shape, self.starts, self.steps)
        return ops.select(mask, embed(ops, new, shape, self.starts, self.steps), base)


@dataclass(frozen=True)
class ReshapeView(View):
    """The same elements in the same order under another shape."""

    shape: tuple[int, ...]

    def layout(self, below: Layout) -> Layout:
        strides = reshaped_strides(below, self.shape)
        assert strides is not None, "a reshape that is no view copies instead"
        return Layout(self.shape, strides, below.offset)

    def read(self, ops: Ops[V], base: V) -> V:
        return ops.reshape(base, self.shape)

    def write(self, ops: Ops[V], base: V, new: V) -> V:
        return ops.reshape(new, ops.shape_of(base))


@dataclass(frozen=True)
class ExpandView(View):
    """Axes of size 1 repeated, and new leading axes.

    It is written through only where nothing is repeated, or nothing is left.
    """

    shape: tuple[int, ...]

    def layout(self, below: Layout) -> Layout:
        added = len(self.shape) - len(below.shape)
        strides = tuple(
            stride if old == new else 0
            for old, new, stride in zip(below.shape, self.shape[added:], below.strides, strict=True)
        )
        return Layout(self.shape, (0,) * added + strides, below.offset)

    def read(self, ops: Ops[V], base: V) -> V:
        return ops.broadcast(base, self.shape)

    def write(self, ops: Ops[V], base: V, new: V) -> V:
        below = ops.shape_of(base)
        if prod(below) != prod(self.shape):
            # Who writes has made sure that it is a part without elements.
            return base
        return ops.reshape(new, below)


@dataclass(frozen=True)
class DiagonalView(View):
    """The elements (i, i + offset) of the last two axes, which become one."""

    offset: int

    def _corner(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Row and column of the first element, and how many elements there are."""
        row, column = max(-self.offset, 0), max(self.offset, 0)
        length = max(min(rows - row, columns - column), 0)
        return (row, column, length) if length else (0, 0, 0)

    def layout(self, below: Layout) -> Layout:
        row, column, length = self._corner(*below.shape[-2:])
        *strides, down, right = below.strides
        start = below.offset + row * down + column * right
        return Layout((*below.shape[:-2], length), (*strides, down + right), start)

    def read(self, ops: Ops[V], base: V) -> V:
        *batch, rows, columns = ops.shape_of(base)
        row, column, length = self._corner(rows, columns)
        whole = [0] * len(batch)
        square = ops.slice(
            base,
            [*whole, row, column],
            [*batch, row + length, column + length],
            [1] * (len(batch) + 2),
        )
        # In rows that are one element longer the diagonal is a column.
        flat = ops.reshape(square, (*batch, length * length))
        longer = ops.pad(flat, [*whole, 0], [*whole, length], [*whole, 0])
        turned = ops.reshape(longer, (*batch, length, length + 1))
        limits = [*batch, length, min(length, 1)]
        first = ops.slice(turned, [*whole, 0, 0], limits, [1] * (len(batch) + 2))
        return ops.reshape(first, (*batch, length))

    def write(self, ops: Ops[V], base: V, new: V) -> V:
        *batch, rows, columns = ops.shape_of(base)
        row, _, length = self._corner(rows, columns)
        whole = [0] * len(batch)
        tall = ops.pad(new, [*whole, row], [*whole, rows - row - length], [*whole, 0])
        spread = ops.broadcast(ops.reshape(tall, (*batch, rows, 1)), (*batch, rows, columns))
        above = above_main(ops, rows, columns)
        mask = ops.compare("eq", above, ops.full_like(above, self.offset))
        return ops.select(ops.broadcast(mask, (*batch, rows, columns)), spread, base)


def above_main(ops: Ops[V], rows: int, columns: int) -> V:
    """A matrix that says of each element how far it is above the main diagonal."""
    column = ops.broadcast(ops.iota(columns, int64), (rows, columns))
    row = ops.broadcast(ops.reshape(ops.iota(rows, int64), (rows, 1)), (rows, columns))
    return ops.sub(column, row)


def reshaped_strides(layout: Layout, shape: Sequence[int]) -> tuple[int, ...] | None:
    """The strides that show a tensor under another shape without copying; None when there are none.

    Groups of old axes that lie densely in memory are cut into new axes, as PyTorch's
    `computeStride` does.
    """
    if 0 in shape:
        return layout.strides if layout.shape == tuple(shape) else dense_strides(shape)
    old = [(n, s) for n, s in zip(layout.shape, layout.strides, strict=True) if n != 1]
    groups: list[tuple[int, int]] = []  # (elements, stride of the innermost), innermost axis last
    for size, stride in old:
        if groups and groups[-1][1] == size * stride:
            groups[-1] = (groups[-1][0] * size, stride)
        else:
            groups.append((size, stride))
    strides: list[int] = []
    left, step = groups.pop() if groups else (1, 1)
    for size in reversed(shape):
        if size != 1 and left == 1:
            left, step = groups.pop()
        if left % size:
            return None
        strides.append(step)
        left, step = left // size, step * size
    return tuple(reversed(strides))
