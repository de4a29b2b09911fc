"""Gradient rules of scans.

An element of a sum goes into all totals from there on, so its gradient is a sum in the other
direction. A maximum's gradient goes to the element that it is; of equal ones to the last, as in
PyTorch. A product is divided by the element again, unless that is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from picograd.dialects.dtypes import AnyTensor, int64
from picograd.dialects.tensor import ScanKind, int_value
from picograd.dialects.tensor_base import kind_of
from picograd.semantics.builder import Ops
from picograd.semantics.gradient_call import Call

V = TypeVar("V")


def scan(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    """The gradient of the operand; an exclusive scan is an inclusive one of the elements before."""
    kind, axis = kind_of(call.properties), int_value(call.properties["axis"])
    type = call.operand_types[0]
    if not type.get_shape()[axis]:
        return (grad,)
    exclusive = "exclusive" in call.properties
    if kind == ScanKind.ADD:
        return (_sum_from_here(ops, grad, axis, exclusive=exclusive),)
    x, totals = call.operand(0), call.result()
    if exclusive:
        x = _moved_on(ops, x, axis, 1)
    rule = _product if kind == ScanKind.MUL else _extremum
    gradient = rule(ops, x, totals, grad, axis)
    return (_moved_back(ops, gradient, axis) if exclusive else gradient,)


def _sum_from_here(ops: Ops[V], grad: V, axis: int, *, exclusive: bool = False) -> V:
    backwards = ops.scan(ScanKind.ADD, ops.reverse(grad, (axis,)), axis, exclusive=exclusive)
    return ops.reverse(backwards, (axis,))


def _product(ops: Ops[V], x: V, totals: V, grad: V, axis: int) -> V:
    """Before the first 0 the sum of gradient times product, divided by the element.

    At the first 0 the same, of the products without it; after it all products are 0, whatever the
    elements are.
    """
    zero, one = ops.full_like(x, 0), ops.full_like(x, 1)
    is_zero = ops.compare("eq", x, zero)
    zeros = ops.scan(ScanKind.ADD, ops.cast(is_zero, int64), axis)
    before = ops.compare("eq", zeros, ops.full_like(zeros, 0))
    after_first = ops.compare("eq", zeros, ops.full_like(zeros, 1))
    first = ops.binary("and", is_zero, after_first)
    without = ops.scan(ScanKind.MUL, ops.select(first, one, x), axis)
    share = _sum_from_here(ops, ops.select(before, ops.mul(grad, totals), zero), axis)
    at_first = _sum_from_here(ops, ops.select(after_first, ops.mul(grad, without), zero), axis)
    divided = ops.div(share, ops.select(before, x, one))
    return ops.select(before, divided, ops.select(first, at_first, zero))


def _extremum(ops: Ops[V], x: V, totals: V, grad: V, axis: int) -> V:
    zero = ops.full_like(grad, 0)
    return ops.scatter("add", zero, extremum_positions(ops, x, totals, axis), grad, axis)


def extremum_positions(ops: Ops[V], x: V, totals: V, axis: int) -> V:
    """Where the running maximum (or minimum) that a scan has found stands; the last of equal ones.

    From the first NaN on that is the last NaN, as in PyTorch.
    """
    shape = ops.shape_of(x)
    along = [size if a == axis else 1 for a, size in enumerate(shape)]
    numbers = ops.broadcast(ops.reshape(ops.iota(shape[axis], int64), along), shape)
    hit = ops.compare("eq", x, totals)
    if ops.dtype_of(x).is_float:
        hit = ops.binary("or", hit, ops.compare("ne", x, x))
    return ops.scan(ScanKind.MAX, ops.select(hit, numbers, ops.full_like(numbers, 0)), axis)


def _moved_on(ops: Ops[V], x: V, axis: int, first: int) -> V:
    """The elements one place further along the axis, after `first`."""
    low, zeros, limits, steps = _edges(ops.type_of(x), axis)
    return ops.pad(ops.slice(x, zeros, limits, steps), low, zeros, zeros, first)


def _moved_back(ops: Ops[V], x: V, axis: int) -> V:
    """The elements one place back along the axis, 0 at the end."""
    low, zeros, _, steps = _edges(ops.type_of(x), axis)
    return ops.pad(ops.slice(x, low, ops.shape_of(x), steps), zeros, low, zeros)


def _edges(type: AnyTensor, axis: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """1 along the axis and 0 elsewhere; zeros; the shape, one less along the axis; ones."""
    shape = type.get_shape()
    low = [int(a == axis) for a in range(len(shape))]
    limits = [size - cut for size, cut in zip(shape, low, strict=True)]
    return low, [0] * len(shape), limits, [1] * len(shape)
