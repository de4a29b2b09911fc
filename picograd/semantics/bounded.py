"""Arrays of numbers with an error bound each: the values on which the error analysis computes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.dtypes import DType, compute_dtype, is_float_array
from picograd.dialects.limits import finfo
from picograd.quick_dataclasses import dataclass

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[Any] | np.bool_ | bool


@dataclass(frozen=True)
class Terms:
    """What a sum consists of, each element of it: for devices that may add in any order."""

    count: int
    magnitude: Array
    """The sum of the terms' magnitudes, which no partial sum exceeds."""
    error: Array
    """The sum of the terms' own errors."""
    grain: Array
    """The largest power of two that all terms are multiples of; 0 where a term is not exact."""


@dataclass(frozen=True)
class Bounded:
    """What a tensor's elements are in exact arithmetic, and how far a device may be from that.

    `value` is float64 for floats and the native dtype else. `error` (float64, 0 for other dtypes)
    bounds the distance of any device's result from `value`; infinite where nothing is known.
    `doubtful` marks elements that hang on a decision the bound straddles: an integer or bool so
    marked may be anything, a float is within `error` still, but that says little.
    """

    value: Array
    error: Array
    doubtful: Array
    terms: Terms | None = None
    """What was added to make it, as far as it matters in which order; None: it is a term itself."""

    @property
    def is_float(self) -> bool:
        return self.value.dtype.kind == "f"

    @property
    def lost(self) -> Array:
        """Elements of which nothing is known."""
        return np.isinf(self.error) if self.is_float else self.doubtful

    @property
    def straddles_zero(self) -> Array:
        """Elements whose sign is not known."""
        return (self.error > 0) & (self.magnitude <= self.error)

    @property
    def surely_nan(self) -> Array:
        """Floats that are NaN on every device, whatever else is not known."""
        return np.isnan(self.value) & ~(self.doubtful | self.lost)

    @property
    def magnitude(self) -> Array:
        return np.abs(self.value)


def exact(value: Array) -> Bounded:
    """Elements that every device has exactly."""
    if is_float_array(value):
        value = value.astype(np.float64)
    zero = np.broadcast_to(np.float64(0.0), value.shape)
    return Bounded(value, zero, np.broadcast_to(np.False_, value.shape))


def discrete(value: Array, doubtful: Mask) -> Bounded:
    """Integers or bools, some of which may be anything."""
    zero = np.broadcast_to(np.float64(0.0), value.shape)
    return Bounded(value, zero, np.broadcast_to(doubtful, value.shape))


def any_along(mask: Mask, axes: int | tuple[int, ...], *, keep: bool = False) -> Array:
    """Whether any element along some axes is true; `keep` leaves those axes in, with size 1."""
    return np.asarray(np.logical_or.reduce(np.asarray(mask), axis=axes, keepdims=keep))


def unit_roundoff(dtype: DType) -> float:
    """Half the distance from 1 to the next number; double for float64: `value` is rounded too."""
    return finfo(dtype).eps * (1.0 if dtype.name == "float64" else 0.5)


def largest_number(dtype: DType) -> float:
    """The largest finite number of a float dtype; infinity for the others."""
    return finfo(dtype).max if dtype.is_float else float("inf")


def smallest_number(dtype: DType) -> float:
    """The number below which results may be flushed to zero; of float16, what rounds to zero.

    float16 is computed with in float32, whose small numbers lie far below.
    """
    return 2.0**-24 if dtype.name == "float16" else finfo(dtype).tiny


def is_exact_in(value: Array, dtype: DType) -> Array:
    """Elements that dtype represents and that float64 arithmetic surely did not round."""
    if dtype.name == "float64":
        return (value == np.rint(value)) & (np.abs(value) < 2.0**53)
    return value.astype(dtype.numpy).astype(np.float64) == value


def accumulated(count: int) -> float:
    """How many unit roundoffs a sum of `count` terms gathers in any order.

    At most count - 1; for many terms 8 sqrt(count) holds but with negligible probability (N.
    Higham, T. Mary: "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput.
    2019).
    """
    return min(max(count - 1, 0), 8.0 * count**0.5)


def rounding(value: Array, dtype: DType, ulps: float, exact_operands: Mask) -> Array:
    """The error that an operation adds when its result is off by `ulps` units in the last place."""
    unit = unit_roundoff(compute_dtype(dtype))
    scale = unit * max(2.0 * ulps, 1.0)
    if dtype.is_half:
        # The op's own error is one of float32; then comes one rounding to the half.
        scale += unit_roundoff(dtype)
    general = np.abs(value) * scale
    if ulps > 0.5:
        return general
    nearest = value.astype(compute_dtype(dtype).numpy).astype(dtype.numpy).astype(np.float64)
    if dtype.name == "float64":
        return np.where(exact_operands & is_exact_in(value, dtype), 0.0, general)
    return np.where(exact_operands & np.isfinite(nearest), np.abs(nearest - value), general)


def settle(
    value: Array,
    error: Array,
    dtype: DType,
    *,
    lost: Mask = False,
    doubtful: Mask = False,
    sure: Mask = False,
    peak: Array | None = None,
    nonfinite: bool = True,
) -> Bounded:
    """A float result in its dtype's range.

    `sure` marks elements with an operand that is surely NaN: what is NaN then is so for certain,
    though other operands may be lost or doubtful.

    Numbers beyond the range are infinite, those that may be (or whose intermediate results may be:
    `peak`) are lost; tiny ones may be flushed to zero; infinities and NaN are exact. With
    `nonfinite=False` a device need not have infinities and NaN at all, so they are lost.
    """
    largest, tiny = largest_number(dtype), smallest_number(dtype)
    known = np.asarray(sure) & np.isnan(value)
    lost, doubtful = np.asarray(lost) & ~known, np.asarray(doubtful) & ~known
    error = np.where((error > 0) | ((value != 0) & (np.abs(value) < tiny)), error + tiny, error)
    with np.errstate(all="ignore"):
        over = np.abs(value) - error > largest * (1.0 + unit_roundoff(dtype))
        maybe_over = np.abs(value) + error > largest
        if peak is not None:
            maybe_over |= peak > largest_number(compute_dtype(dtype))
    finite = np.isfinite(value) & ~over
    value = np.where(over, np.copysign(np.inf, value), value)
    error = np.where(finite, np.where(np.isnan(error) | maybe_over, np.inf, error), 0.0)
    if not nonfinite:
        error = np.where(finite, error, np.inf)
    error = np.where(lost, np.inf, error)
    return Bounded(value, error, np.broadcast_to(doubtful, value.shape) | np.isinf(error))
