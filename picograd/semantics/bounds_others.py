"""Error bounds of ops that combine or move elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from picograd.dialects.dtypes import float32
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceOp,
    ConcatOp,
    GatherOp,
    MatmulOp,
    PadOp,
    ReduceKind,
    ReduceOp,
    ScatterKind,
    ScatterOp,
    TensorOp,
    int_value,
    ints,
)
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import (
    Array,
    Bounded,
    Terms,
    accumulated,
    any_along,
    discrete,
    exact,
    settle,
    smallest_number,
    unit_roundoff,
)
from picograd.semantics.bounds_sums import (
    error_in_any_order,
    moved,
    products,
    remembers_terms,
    sum_along,
)
from picograd.semantics.matrix_products import product
from picograd.semantics.tensor import EVALUATE, evaluate_op, pad

EXACT_SUM = {"float16": 2.0**11, "bfloat16": 2.0**8, "float32": 2.0**24, "float64": 2.0**53}
"""Sums of integers below this number are exact in any order."""


def source(op: TensorOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Constants, iota and random bits: the same everywhere."""
    value = evaluate_op(op, [operand.value for operand in operands])
    if any(operand.doubtful.any() for operand in operands):
        return discrete(value, True)
    return exact(value)


def move(op: TensorOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Views: error and doubt move with the elements."""
    (x,) = operands
    rule = EVALUATE[type(op)]

    def apply(array: Array) -> Array:
        return rule(op, [array], "float64")

    return Bounded(apply(x.value), apply(x.error), apply(x.doubtful), moved(x, apply))


def padded(op: PadOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.pad`: the padding is exact."""
    (x,) = operands
    return Bounded(
        evaluate_op(op, [x.value], "float64"), pad(op, x.error, 0.0), pad(op, x.doubtful, False)
    )


def concat(op: ConcatOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.concat`."""
    axis = int_value(op.axis)
    return Bounded(
        np.concatenate([x.value for x in operands], axis),
        np.concatenate([x.error for x in operands], axis),
        np.concatenate([x.doubtful for x in operands], axis),
    )


def gather(op: GatherOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.gather`; an undetermined index makes its element so."""
    x, index = operands
    axis = int_value(op.axis)
    value = evaluate_op(op, [x.value, index.value], "float64")
    error = np.take_along_axis(x.error, index.value, axis)
    doubtful = np.take_along_axis(x.doubtful, index.value, axis) | index.doubtful
    if not x.is_float:
        return discrete(value, doubtful)
    return Bounded(value, np.where(index.doubtful, np.inf, error), doubtful)


def scatter(op: ScatterOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.scatter`; an undetermined index makes its whole line along the axis so."""
    x, index, updates = operands
    axis = int_value(op.axis)

    def apply(base: Array, news: Array) -> Array:
        return evaluate_op(op, [base, index.value, news], "float64")

    value = apply(x.value, updates.value)
    unknown = np.broadcast_to(any_along(index.doubtful, axis, keep=True), value.shape)
    adds = op.kind.data == ScatterKind.ADD
    if adds:
        doubts = apply(x.doubtful.astype(np.int64), updates.doubtful.astype(np.int64)) > 0
    else:
        doubts = apply(x.doubtful, updates.doubtful)
    if not x.is_float:
        return discrete(value, doubts | unknown)
    error = apply(x.error, updates.error)
    if not adds:
        return Bounded(value, np.where(unknown, np.inf, error), doubts | unknown)
    dtype = accuracy.dtype_of(op.result.type)
    total = apply(x.magnitude, updates.magnitude)
    count = int(apply(np.ones(x.value.shape), np.ones(updates.value.shape)).max(initial=1.0))
    error = error + sum_rounding([x, updates], total, count, dtype.name, unit_roundoff(dtype))
    lost = unknown | np.isinf(error)
    return settle(
        value, error, dtype, lost=lost, doubtful=lost, peak=total + error,
        nonfinite=accuracy.nonfinite,
    )  # fmt: skip


def sum_rounding(
    terms: Sequence[Bounded], total: Array, count: int, dtype: str, unit: float
) -> Array:
    """The rounding of sums of `count` terms of magnitude `total` in all; 0 for small integers."""
    integral = all(bool(((t.value == np.rint(t.value)) & (t.error == 0)).all()) for t in terms)
    steps = accumulated(count) * unit
    if dtype in ("float16", "bfloat16"):  # summed in float32, and rounded once
        steps = accumulated(count) * unit_roundoff(float32) + unit
    general = steps * total
    return np.where(total < EXACT_SUM[dtype], 0.0, general) if integral else general


def reduce(op: ReduceOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.reduce`, for any order of combination."""
    (x,) = operands
    kind, axes = op.kind.data, ints(op.axes)
    value = evaluate_op(op, [x.value], "float64")
    if not x.is_float:
        return discrete(value, _discrete_doubt(kind, x, axes))
    dtype = accuracy.dtype_of(op.result.type)
    lost = any_along(x.lost, axes)
    peak: Array | None = None
    terms: Terms | None = None
    if kind in (ReduceKind.MAX, ReduceKind.MIN):
        extreme = np.max if kind == ReduceKind.MAX else np.min
        high, low = extreme(x.value + x.error, axes), extreme(x.value - x.error, axes)
        error = np.where(np.isfinite(value), np.maximum(high - value, value - low), 0.0)
    elif kind == ReduceKind.ADD:
        count = prod(x.value.shape[axis] for axis in axes)
        total = x.magnitude.sum(axes)
        error = x.error.sum(axes)
        error = error + sum_rounding([x], total, count, dtype.name, unit_roundoff(dtype))
        if remembers_terms(accuracy, dtype):
            terms = sum_along(x, axes)
            if x.terms is not None:
                error = np.maximum(error, error_in_any_order(terms, dtype))
        peak = total + error
    else:
        error, peak, underflows = _product_error(x, value, axes, unit_roundoff(dtype))
        tiny = smallest_number(dtype)
        infinite = any_along(np.isinf(x.value), axes)
        lost = lost | ((underflows < tiny) & (value != 0))
        lost = lost | (infinite & any_along(x.straddles_zero, axes))
    result = settle(
        value, error, dtype, lost=lost, doubtful=lost, sure=any_along(x.surely_nan, axes),
        peak=peak, nonfinite=accuracy.nonfinite,
    )  # fmt: skip
    return replace(result, terms=terms)


def _discrete_doubt(kind: ReduceKind, x: Bounded, axes: tuple[int, ...]) -> Array:
    """A false element decides an `and`, a true one an `or`, whatever the undetermined ones are."""
    doubtful = any_along(x.doubtful, axes)
    if x.value.dtype.kind == "b":
        sure = x.value if kind == ReduceKind.OR else ~x.value
        doubtful = doubtful & ~any_along(sure & ~x.doubtful, axes)
    return doubtful


def _product_error(
    x: Bounded, value: Array, axes: tuple[int, ...], unit: float
) -> tuple[Array, Array, Array]:
    """Error of a product, the largest and the smallest number that a partial product may reach."""
    count = prod(x.value.shape[axis] for axis in axes)
    outer = np.prod(x.magnitude + x.error, axes)
    error = outer - np.abs(value) + accumulated(count) * unit * outer
    integral = bool(((x.value == np.rint(x.value)) & (x.error == 0)).all())
    peak = np.prod(np.maximum(x.magnitude + x.error, 1.0), axes)
    if integral:
        error = np.where(peak < 1.0 / unit, 0.0, error)
    trough = np.prod(np.where(x.value == 0, 1.0, np.minimum(x.magnitude, 1.0)), axes)
    return error, np.asarray(peak), np.asarray(trough)


def argreduce(op: ArgReduceOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.argreduce`: undetermined where another range reaches the winner's."""
    (x,) = operands
    axis = int_value(op.axis)
    value = evaluate_op(op, [x.value], "float64")
    if not x.is_float:
        return discrete(value, any_along(x.doubtful, axis))
    best = np.expand_dims(value, axis)
    sign = 1.0 if op.kind.data == ArgReduceKind.MAX else -1.0
    winner = np.take_along_axis(x.value, best, axis) * sign
    slack = np.take_along_axis(x.error, best, axis)
    reach = x.error + slack
    rival = (reach > 0) & ~(winner - x.value * sign > reach)
    np.put_along_axis(rival, best, False, axis)
    nan_wins = np.isnan(np.take_along_axis(x.value, best, axis))
    doubtful = any_along(rival & ~nan_wins, axis) | any_along(x.lost, axis)
    return discrete(value, doubtful)


def matmul(op: MatmulOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.matmul`: an inner product's (Higham, Accuracy and Stability, section 3.1)."""
    a, b = operands
    value = evaluate_op(op, [a.value, b.value], "float64")
    if not a.is_float:
        return discrete(value, _rows_or_columns(a.doubtful, b.doubtful))
    dtype, count = accuracy.dtype_of(op.result.type), a.value.shape[-1]
    total = product(a.magnitude, b.magnitude)
    error = product(a.error, b.magnitude + b.error) + product(a.magnitude, b.error)
    terms: Terms | None = None
    if remembers_terms(accuracy, dtype):
        terms = products(count + 1, total, error)
    # One more than the sum's: each product is rounded too.
    error = error + sum_rounding([a, b], total, count + 1, dtype.name, unit_roundoff(dtype))
    lost = _rows_or_columns(a.lost, b.lost)
    lost = (
        lost
        | _unsure_infinity(a, b)
        | np.swapaxes(_unsure_infinity(_transposed(b), _transposed(a)), -1, -2)
    )
    result = settle(
        value, error, dtype, lost=lost, doubtful=lost,
        sure=_rows_or_columns(a.surely_nan, b.surely_nan),
        peak=total + error, nonfinite=accuracy.nonfinite,
    )  # fmt: skip
    return replace(result, terms=terms)


def _rows_or_columns(a: Array, b: Array) -> Array:
    """Elements of a product whose row of `a` or column of `b` holds a true element."""
    return any_along(a, -1, keep=True) | any_along(b, -2, keep=True)


def _transposed(x: Bounded) -> Bounded:
    return Bounded(
        np.swapaxes(x.value, -1, -2), np.swapaxes(x.error, -1, -2), np.swapaxes(x.doubtful, -1, -2)
    )


def _unsure_infinity(a: Bounded, b: Bounded) -> Array:
    """Where an infinity of `a` meets a factor of unknown sign."""
    infinite = (~np.isfinite(a.value)).astype(np.float64)
    return product(infinite, b.straddles_zero.astype(np.float64)) > 0
