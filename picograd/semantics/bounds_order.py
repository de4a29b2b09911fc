"""Error bounds of scans and sorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from picograd.dialects.tensor import ArgSortOp, ScanKind, ScanOp, int_value
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import (
    Array,
    Bounded,
    accumulated,
    any_along,
    discrete,
    settle,
    smallest_number,
    unit_roundoff,
)
from picograd.semantics.bounds_others import EXACT_SUM
from picograd.semantics.ordering import delayed
from picograd.semantics.tensor import evaluate_op


def scan(op: ScanOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.scan`, for any order of combination: each element is a reduction."""
    (x,) = operands
    kind, axis = op.kind.data, int_value(op.axis)

    def settled(totals: Array, first: float | bool) -> Array:
        return delayed(totals, axis, first) if op.exclusive else totals

    def ever(mask: Array) -> Array:
        return settled(np.logical_or.accumulate(mask, axis), False)

    value = evaluate_op(op, [x.value], "float64")
    if not x.is_float:
        return discrete(value, ever(x.doubtful))
    dtype = accuracy.dtype_of(op.result.type)
    unit, lost = unit_roundoff(dtype), ever(x.lost)
    roundings = _roundings(x.value.shape, axis)
    integral = bool(((x.value == np.rint(x.value)) & (x.error == 0)).all())
    peak: Array | None = None
    if kind in (ScanKind.MAX, ScanKind.MIN):
        extreme = np.maximum if kind == ScanKind.MAX else np.minimum
        high = extreme.accumulate(x.value + x.error, axis)
        low = extreme.accumulate(x.value - x.error, axis)
        error = np.where(np.isfinite(value), np.maximum(high - value, value - low), 0.0)
    elif kind == ScanKind.ADD:
        total = np.add.accumulate(x.magnitude, axis)
        rounding = roundings * unit * total
        if integral:
            rounding = np.where(total < EXACT_SUM[dtype.name], 0.0, rounding)
        error = settled(np.add.accumulate(x.error, axis) + rounding, 0.0)
        peak = settled(total, 0.0) + error
    else:
        outer = np.multiply.accumulate(x.magnitude + x.error, axis)
        peak = np.multiply.accumulate(np.maximum(x.magnitude + x.error, 1.0), axis)
        error = outer - np.multiply.accumulate(x.magnitude, axis) + roundings * unit * outer
        if integral:
            error = np.where(peak < 1.0 / unit, 0.0, error)
        small = np.where(x.value == 0, 1.0, np.minimum(x.magnitude, 1.0))
        trough = settled(np.multiply.accumulate(small, axis), 1.0)
        error, peak = settled(error, 0.0), settled(peak, 1.0)
        lost = lost | ((trough < smallest_number(dtype)) & (value != 0))
        lost = lost | (ever(np.isinf(x.value)) & ever(x.straddles_zero))
    return settle(
        value, error, dtype, lost=lost, doubtful=lost, peak=peak, nonfinite=accuracy.nonfinite
    )


def _roundings(shape: tuple[int, ...], axis: int) -> Array:
    """For each place along the axis, how many unit roundoffs a sum up to there gathers."""
    counts = [accumulated(place + 1) for place in range(shape[axis])]
    return np.reshape(counts, [-1 if a == axis else 1 for a in range(len(shape))])


def argsort(op: ArgSortOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.argsort`: undetermined where neighbours in the order might change places.

    When one range reaches over several neighbours, all of these are undetermined.
    """
    (x,) = operands
    axis = int_value(op.axis)
    order = evaluate_op(op, [x.value], "float64")
    if not x.is_float:
        return discrete(order, any_along(x.doubtful, axis, keep=True))
    value = np.take_along_axis(x.value, order, axis) * (-1.0 if op.descending else 1.0)
    error = np.take_along_axis(x.error, order, axis)
    unsure = any_along(x.lost, axis, keep=True)
    if x.value.shape[axis] < 2 or not (x.error > 0).any():
        return discrete(order, unsure)
    # The greatest that an element up to here may be, and the least that one from the next on may.
    high = np.maximum.accumulate(_or(value + error, -np.inf), axis)
    low = np.flip(np.minimum.accumulate(np.flip(_or(value - error, np.inf), axis), axis), axis)
    before = np.take(high, range(value.shape[axis] - 1), axis)
    after = np.take(low, range(1, value.shape[axis]), axis)
    uncertain = np.take(error, range(value.shape[axis] - 1), axis) + np.take(
        error, range(1, value.shape[axis]), axis
    )
    swaps = (before >= after) & ((uncertain > 0) | (before > after))
    none = np.zeros_like(np.take(swaps, [0], axis))
    beside = np.concatenate([swaps, none], axis) | np.concatenate([none, swaps], axis)
    return discrete(order, beside | unsure)


def _or(values: Array, otherwise: float) -> Array:
    """The values, with a number in place of NaN: sorting puts all of those at one end, exactly."""
    return np.where(np.isnan(values), otherwise, values)


BOUNDS = {ScanOp: scan, ArgSortOp: argsort}
