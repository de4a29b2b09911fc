"""Error bounds of elementwise ops: how far errors of the operands move the result, plus its own
rounding.

Propagation is by enclosure rather than by derivative where a function bends (exp(x + e) - exp(x),
not e exp(x)), so that bounds stay bounds when errors are large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from picograd.dialects.dtypes import DType, compute_dtype
from picograd.dialects.tensor import (
    ROUNDED_TO,
    BinaryKind,
    BinaryOp,
    CastOp,
    CompareOp,
    SelectOp,
    UnaryKind,
    UnaryOp,
)
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import (
    Array,
    Bounded,
    Mask,
    Terms,
    discrete,
    rounding,
    settle,
    unit_roundoff,
)
from picograd.semantics.bounds_sums import error_in_any_order, remembers_terms, sum_of_two
from picograd.semantics.tensor import convert, evaluate_op

BoundRule: TypeAlias = Callable[[Any, Sequence[Bounded], Accuracy], Bounded]

_STEPS = (UnaryKind.FLOOR, UnaryKind.CEIL, UnaryKind.ROUND)
_MOVES_ERROR_ONLY = (UnaryKind.NEG, UnaryKind.ABS)


def _exp_error(x: Array, e: Array) -> Array:
    return np.where(np.isfinite(np.exp(x)), np.exp(x) * np.expm1(e), 0.0)


def _log_error(x: Array, e: Array) -> Array:
    error = np.where(e < x, -np.log1p(-e / x), np.inf)
    return np.where((e == 0) | (x + e < 0), 0.0, error)


def _sqrt_error(x: Array, e: Array) -> Array:
    error = np.where(e <= x, np.sqrt(x) - np.sqrt(x - e), np.inf)
    return np.where((e == 0) | (x + e < 0), 0.0, error)


def _rsqrt_error(x: Array, e: Array) -> Array:
    error = np.where(e < x, 1.0 / np.sqrt(x - e) - 1.0 / np.sqrt(x), np.inf)
    return np.where((e == 0) | (x + e < 0), 0.0, error)


def _nearest_to_zero(x: Array, e: Array) -> Array:
    return np.maximum(np.abs(x) - e, 0.0)


def _tanh_error(x: Array, e: Array) -> Array:
    return np.minimum(e * (1.0 - np.tanh(_nearest_to_zero(x, e)) ** 2), 2.0)


def _erf_error(x: Array, e: Array) -> Array:
    slope = 2.0 / np.sqrt(np.pi) * np.exp(-(_nearest_to_zero(x, e) ** 2))
    return np.minimum(e * slope, 2.0)


def _bounded_slope(x: Array, e: Array) -> Array:
    return np.minimum(e, 2.0)


_PROPAGATE: dict[UnaryKind, Callable[[Array, Array], Array]] = {
    UnaryKind.EXP: _exp_error,
    UnaryKind.LOG: _log_error,
    UnaryKind.SQRT: _sqrt_error,
    UnaryKind.RSQRT: _rsqrt_error,
    UnaryKind.SIN: _bounded_slope,
    UnaryKind.COS: _bounded_slope,
    UnaryKind.TANH: _tanh_error,
    UnaryKind.ERF: _erf_error,
}


def unary(op: UnaryOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.unary`."""
    (x,) = operands
    kind = op.kind.data
    value = evaluate_op(op, [x.value], "float64")
    if not x.is_float:
        return discrete(value, x.doubtful)
    if kind in _MOVES_ERROR_ONLY:
        terms = x.terms if kind == UnaryKind.NEG else None
        return Bounded(value, x.error, x.doubtful, terms)
    if kind in ROUNDED_TO and accuracy.in_float64:
        return x
    if kind in ROUNDED_TO:
        return _to_float(x, ROUNDED_TO[kind], narrows=True, accuracy=accuracy)
    dtype = accuracy.dtype_of(op.result.type)
    if kind == UnaryKind.SIGN:
        doubtful = x.straddles_zero
        error = np.where(doubtful, 2.0, 0.0)
        return _finish(op, value, error, x.lost, x.doubtful | doubtful, accuracy)
    if kind in _STEPS:
        low = evaluate_op(op, [x.value - x.error], "float64")
        error = evaluate_op(op, [x.value + x.error], "float64") - low
        return _finish(op, value, error, x.lost, x.doubtful | (error > 0), accuracy)
    error = _PROPAGATE[kind](x.value, x.error)
    # An infinite error says that nothing is known, even where the value itself is infinite or NaN.
    lost = x.lost | np.isinf(error)
    error = error + rounding(value, dtype, accuracy.ulps_of(kind), x.error == 0)
    error = error + _argument_error(kind, x, value, op, accuracy)
    error = error + np.where(np.isfinite(value), accuracy.absolute_of(kind), 0.0)
    return _finish(op, value, error, lost, x.doubtful, accuracy, x.surely_nan)


def _argument_error(
    kind: UnaryKind, x: Bounded, value: Array, op: UnaryOp, accuracy: Accuracy
) -> Array:
    """The part of the error that grows with the argument."""
    unit = 2.0 * unit_roundoff(compute_dtype(accuracy.dtype_of(op.result.type)))
    scale = 1.0 if kind in (UnaryKind.SIN, UnaryKind.COS) else np.abs(value)
    growth = accuracy.slope_of(kind) * unit * x.magnitude * scale
    return np.where(np.isfinite(growth), growth, 0.0)


def _finish(
    op: UnaryOp | BinaryOp,
    value: Array,
    error: Array,
    lost: Array,
    doubtful: Array,
    accuracy: Accuracy,
    sure: Mask = False,
) -> Bounded:
    return settle(
        value,
        error,
        accuracy.dtype_of(op.result.type),
        lost=lost,
        doubtful=doubtful,
        sure=sure,
        nonfinite=accuracy.nonfinite,
    )


def _mul_error(a: Bounded, b: Bounded) -> Array:
    error = a.magnitude * b.error + b.magnitude * a.error + a.error * b.error
    sign_unknown = (np.isinf(a.value) & b.straddles_zero) | (np.isinf(b.value) & a.straddles_zero)
    return np.where(sign_unknown, np.inf, error)


def _div_error(a: Bounded, b: Bounded) -> Array:
    quotient = np.abs(a.value / b.value)
    room = b.magnitude - b.error
    error = np.where(room > 0, (a.error + quotient * b.error) / room, np.inf)
    # A divisor that is exactly 0 gives an infinity whose sign is the dividend's, if that is known.
    at_zero = np.where(a.straddles_zero, np.inf, 0.0)
    error = np.where((b.value == 0) & (b.error == 0), at_zero, error)
    return np.where((a.error == 0) & (b.error == 0), 0.0, error)


def _pow_exponent(a: Bounded, b: Bounded) -> Array:
    """|b ln a|, the number whose exponential a power is."""
    exponent = np.abs(b.value * np.log(a.magnitude))
    return np.where(np.isfinite(exponent), exponent, 0.0)


def _pow_error(a: Bounded, b: Bounded, value: Array) -> Array:
    room = a.magnitude - a.error
    log_range = np.where(a.error > 0, -np.log1p(-a.error / a.magnitude), 0.0)
    shift = (b.magnitude + b.error) * log_range + np.abs(np.log(a.magnitude)) * b.error
    error = np.abs(value) * np.expm1(shift)
    regular = (room > 0) & ((a.value > 0) | (b.error == 0))
    error = np.where(regular, error, np.inf)
    return np.where((a.error == 0) & (b.error == 0), 0.0, error)


def binary(op: BinaryOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.binary`."""
    a, b = operands
    kind = op.kind.data
    value = evaluate_op(op, [a.value, b.value], "float64")
    doubtful = a.doubtful | b.doubtful
    if not a.is_float:
        return discrete(value, doubtful)
    lost = a.lost | b.lost
    # A power may lose a NaN: x to the 0 is 1.
    sure = False if kind == BinaryKind.POW else a.surely_nan | b.surely_nan
    dtype = accuracy.dtype_of(op.result.type)
    if kind in (BinaryKind.MAXIMUM, BinaryKind.MINIMUM):
        error = np.maximum(a.error, b.error)
        return _finish(op, value, error, lost, doubtful, accuracy, sure)
    if kind in (BinaryKind.FLOORDIV, BinaryKind.REMAINDER):
        return _division_with_floor(op, a, b, value, accuracy)
    exact_operands = (a.error == 0) & (b.error == 0)
    if kind in (BinaryKind.ADD, BinaryKind.SUB):
        error = a.error + b.error
        if kind == BinaryKind.SUB and op.a is op.b:
            error = np.zeros(value.shape)
    elif kind == BinaryKind.MUL:
        error = _mul_error(a, b)
    elif kind == BinaryKind.DIV:
        error = _div_error(a, b)
    else:
        error = _pow_error(a, b, value)
        growth = rounding(value, compute_dtype(dtype), accuracy.slope_of(kind), False)
        error = error + np.where(np.isfinite(value), growth * _pow_exponent(a, b), 0.0)
    lost = lost | np.isinf(error)
    own = rounding(value, dtype, accuracy.ulps_of(kind), exact_operands)
    if kind == BinaryKind.MUL and accuracy.reassociates:
        # How this product is rounded is known, and not that of the same factors in another order.
        own = np.where(own == 0, 0.0, rounding(value, dtype, 0.5, np.False_))
    error = error + own
    terms: Terms | None = None
    if kind in (BinaryKind.ADD, BinaryKind.SUB) and remembers_terms(accuracy, dtype):
        terms = sum_of_two(a, b)
        if terms.count > 2:  # else there is but one order
            error = np.maximum(error, error_in_any_order(terms, dtype))
    return replace(_finish(op, value, error, lost, doubtful, accuracy, sure), terms=terms)


def _division_with_floor(
    op: BinaryOp, a: Bounded, b: Bounded, value: Array, accuracy: Accuracy
) -> Bounded:
    """floor(a / b) and a - b floor(a / b): both jump where the quotient is an integer."""
    kind, dtype = op.kind.data, accuracy.dtype_of(op.result.type)
    exact_operands = (a.error == 0) & (b.error == 0)
    quotient = a.value / b.value
    spread = _div_error(a, b)
    own = rounding(quotient, dtype, accuracy.ulps_of("floordiv"), exact_operands)
    spread = spread + np.where(np.isfinite(quotient), own, 0.0)
    low, high = np.floor(quotient - spread), np.floor(quotient + spread)
    jumps = np.isfinite(quotient) & ((high > low) | (b.error >= b.magnitude))
    # floor(a / inf) is 0 or -1, by the sign of a alone.
    lost = a.lost | b.lost | np.isinf(spread) | (np.isinf(b.value) & a.straddles_zero)
    if kind == BinaryKind.FLOORDIV:
        error = np.where(jumps, high - low, 0.0)
        error = error + rounding(value, dtype, 0.5, exact_operands)
    else:
        ulps = accuracy.ulps_of(kind)
        error = a.error + np.abs(low) * b.error + rounding(value, dtype, 0.5, exact_operands)
        if ulps > 0.5:
            error = error + rounding(a.value, dtype, ulps, exact_operands)
        error = np.where(jumps, error + (high - low) * b.magnitude, error)
    doubtful = a.doubtful | b.doubtful | jumps
    return _finish(op, value, np.where(np.isfinite(value), error, 0.0), lost, doubtful, accuracy)


def compare(op: CompareOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.compare`: undetermined where the operands' ranges overlap."""
    a, b = operands
    value = evaluate_op(op, [a.value, b.value], "float64")
    doubtful = a.lost | b.lost
    if a.is_float:
        reach = a.error + b.error
        close = (reach > 0) & ~(np.abs(a.value - b.value) > reach)
        close &= ~(np.isnan(a.value) | np.isnan(b.value))
        doubtful = doubtful | (close if op.a is not op.b else False)
        # A test for NaN is one for its bits; what drivers make of other comparisons is theirs.
        if not accuracy.nonfinite and op.a is not op.b:
            doubtful = doubtful | ~(np.isfinite(a.value) & np.isfinite(b.value))
    return discrete(value, doubtful)


def select(op: SelectOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.select`; an undetermined condition lets the result be either branch."""
    condition, a, b = operands
    chosen = condition.value
    value = np.where(chosen, a.value, b.value)
    doubtful = np.where(chosen, a.doubtful, b.doubtful)
    if not a.is_float:
        differ = (a.value != b.value) | a.doubtful | b.doubtful
        return discrete(value, doubtful | (condition.doubtful & differ))
    same = (a.value == b.value) | (np.isnan(a.value) & np.isnan(b.value))
    gap = np.where(same, 0.0, np.abs(a.value - b.value))
    gap = np.where(np.isnan(gap), np.inf, gap)
    either = np.maximum(a.error, b.error) + gap
    error = np.where(condition.doubtful, either, np.where(chosen, a.error, b.error))
    jumps = condition.doubtful & (gap > a.error + b.error)
    return Bounded(value, error, doubtful | jumps | np.isinf(error))


def cast(op: CastOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.cast`."""
    (x,) = operands
    source, target = accuracy.dtype_of(op.x.type), accuracy.dtype_of(op.result.type)
    if target.is_float:
        if x.is_float:
            narrows = target.itemsize < source.itemsize or (source.is_half and target.is_half)
            return _to_float(x, target, narrows=narrows, accuracy=accuracy)
        value = x.value.astype(np.float64)
        own = rounding(value, target, 0.5, True)
        error, lost = np.where(x.doubtful, 1.0, own), x.doubtful & (not source.is_bool)
        return settle(
            value, error, target, lost=lost, doubtful=x.doubtful, nonfinite=accuracy.nonfinite
        )
    value = convert(x.value, target.numpy)
    if not x.is_float:
        return discrete(value, x.doubtful)
    if target.is_bool:
        close = x.straddles_zero
    else:
        low = convert(x.value - x.error, target.numpy)
        close = low != convert(x.value + x.error, target.numpy)
    return discrete(value, x.lost | close)


def _to_float(x: Bounded, target: DType, *, narrows: bool, accuracy: Accuracy) -> Bounded:
    """A float as one of another type, rounded if that `narrows` it."""
    own = rounding(x.value, target, 0.5, x.error == 0) if narrows else 0.0
    return settle(
        x.value,
        x.error + own,
        target,
        lost=x.lost,
        doubtful=x.doubtful,
        nonfinite=accuracy.nonfinite,
    )
