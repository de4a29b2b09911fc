"""The gradient rule of a product over axes: each element's slope is the product of the others.

Dividing the whole product by the element would fail at 0, and would have wrong derivatives there of
its own. So the others are multiplied in a tree instead: both halves are paired, the products of the
other pairs are found in the same way, and each element's share is its partner times that. This
takes twice the multiplications of the product itself, has no division, and its derivatives of any
order are right everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeVar

from picograd.semantics.builder import Ops

V = TypeVar("V")


def products_of_others(ops: Ops[V], x: V, axes: Sequence[int]) -> V:
    """For each element of x the product of all other elements along `axes`; of x's shape."""
    shape = ops.shape_of(x)
    order = [axis for axis in range(len(shape)) if axis not in axes] + list(axes)
    moved = [shape[axis] for axis in order]
    kept = len(shape) - len(axes)
    rows = ops.reshape(ops.permute(x, order), (*moved[:kept], prod(moved[kept:])))
    others = ops.reshape(_others(ops, rows), moved)
    return ops.permute(others, [order.index(axis) for axis in range(len(shape))])


def _others(ops: Ops[V], x: V) -> V:
    """The same along the last axis."""
    shape = ops.shape_of(x)
    *rows, size = shape
    if size <= 1 or 0 in rows:
        return ops.full_like(x, 1)
    nothing = [0] * len(rows)
    if size % 2:
        x = ops.pad(x, [*nothing, 0], [*nothing, 1], [*nothing, 0], 1)
    half, steps = (size + 1) // 2, [1] * len(shape)
    a = ops.slice(x, [*nothing, 0], [*rows, half], steps)
    b = ops.slice(x, [*nothing, half], [*rows, 2 * half], steps)
    rest = _others(ops, ops.mul(a, b))
    both = ops.concat([ops.mul(rest, b), ops.mul(rest, a)], len(rows))
    return ops.slice(both, [*nothing, 0], shape, steps)
