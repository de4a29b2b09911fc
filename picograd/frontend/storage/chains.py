"""Chains of views: what a tensor shows of its storage, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.views import ExpandView, Layout, View, dense
from picograd.semantics.builder import Ops, V


def layout_through(layout: Layout, views: Sequence[View]) -> Layout:
    """Where the elements lie that a chain of views shows."""
    for view in views:
        layout = view.layout(layout)
    return layout


def layout_of(cell: Cell, views: Sequence[View]) -> Layout:
    """Where the elements of a tensor lie."""
    return layout_through(dense(cell.type.get_shape()), views)


def repeats(cell: Cell, views: Sequence[View]) -> bool:
    """Whether a view repeats elements of what it shows, be it that a further one shows one of them
    only: which elements were written, the view cannot tell.
    """
    layout = dense(cell.type.get_shape())
    for view in views:
        below, layout = layout, view.layout(layout)
        if isinstance(view, ExpandView) and prod(layout.shape) > prod(below.shape):
            return True
    return False


def read_chain(ops: Ops[V], views: Sequence[View], base: V) -> list[V]:
    """The value of `base`, then of each view on top of it."""
    values = [base]
    for view in views:
        values.append(view.read(ops, values[-1]))
    return values


def write_chain(ops: Ops[V], views: Sequence[View], base: V, new: V) -> V:
    """The value of `base` after the last of the views was overwritten."""
    values = read_chain(ops, views[:-1], base)
    for view, below in zip(reversed(views), reversed(values[: len(views)]), strict=True):
        new = view.write(ops, below, new)
    return new
