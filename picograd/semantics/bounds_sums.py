"""Sums in any order: on devices that may reassociate, a sum of sums rounds as if nothing cancelled.

-3 + (x - m) may be computed as (-3 + x) - m: what is rounded then is another number, and perhaps a
larger one than any in the program. So values remember of which terms they are sums. Any order of
adding n terms is off by at most n - 1 roundings of the sum of their magnitudes (N. Higham, Accuracy
and Stability of Numerical Algorithms, section 4.2), and by nothing where all partial sums are
numbers that float32 has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from picograd.dialects.dtypes import DType
from picograd.dialects.limits import finfo
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import Array, Bounded, Terms, accumulated, unit_roundoff


def remembers_terms(accuracy: Accuracy, dtype: DType) -> bool:
    """Whether it matters of which terms a value is the sum. Halves are rounded after every op."""
    return accuracy.reassociates and dtype.is_float and not dtype.is_half


def terms_of(x: Bounded) -> Terms:
    """The terms of a sum; any other value is its only term."""
    if x.terms is not None:
        return x.terms
    return Terms(1, x.magnitude, x.error, np.where(x.error == 0, _grain(x.value), 0.0))


def sum_of_two(a: Bounded, b: Bounded) -> Terms:
    """The terms of a + b, or of a - b."""
    first, second = terms_of(a), terms_of(b)
    return Terms(
        first.count + second.count,
        first.magnitude + second.magnitude,
        first.error + second.error,
        np.minimum(first.grain, second.grain),
    )


def error_in_any_order(terms: Terms, dtype: DType) -> Array:
    """The error of a sum, whatever the order in which its terms are added."""
    unit = unit_roundoff(dtype)
    exact = terms.magnitude <= terms.grain / finfo(dtype).eps
    reach = terms.magnitude + terms.error
    own = accumulated(terms.count) * unit * reach
    # A partial sum in another order may overflow, whatever the whole sum is.
    own = np.where(reach > finfo(dtype).max, np.inf, own)
    return np.where(exact, 0.0, terms.error + own)


def sum_along(x: Bounded, axes: tuple[int, ...]) -> Terms:
    """The terms of a sum along axes."""
    t = terms_of(x)
    count = t.count * prod(t.magnitude.shape[axis] for axis in axes)
    grain = t.grain.min(axes, initial=np.inf)
    return Terms(count, t.magnitude.sum(axes), t.error.sum(axes), grain)


def products(count: int, magnitude: Array, error: Array) -> Terms:
    """The terms of a sum of so many products, of which nothing more is known."""
    return Terms(count, magnitude, error, np.zeros(magnitude.shape))


def moved(x: Bounded, move: Callable[[Array], Array]) -> Terms | None:
    """The terms of a value whose elements go elsewhere."""
    if x.terms is None:
        return None
    t = x.terms
    return replace(t, magnitude=move(t.magnitude), error=move(t.error), grain=move(t.grain))


def _grain(value: Array) -> Array:
    """The largest power of two that a float32 is a multiple of; infinite of 0."""
    fraction, exponent = np.frexp(np.where(np.isfinite(value), value, 1.0))
    digits = np.abs(fraction * 2.0**53).astype(np.int64)
    lowest = (digits & -digits).astype(np.float64)
    return np.where(digits == 0, np.inf, np.ldexp(lowest, exponent - 53))
