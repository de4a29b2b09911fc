"""Interval arithmetic on affine expressions; whoever asks knows the intervals of the atoms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from picograd.dialects.affine import Atom, Linear

Interval: TypeAlias = tuple[int | None, int | None]
"""Least and greatest value; None where no bound is known."""


def interval_of(expression: Linear, of_atom: Callable[[Atom], Interval]) -> Interval:
    """The interval of an expression, exact when its atoms vary independently."""
    low: int | None = expression.constant
    high: int | None = expression.constant
    for atom, coefficient in expression.terms.items():
        least, greatest = of_atom(atom)
        if coefficient < 0:
            least, greatest = greatest, least
        low = None if low is None or least is None else low + coefficient * least
        high = None if high is None or greatest is None else high + coefficient * greatest
    return low, high


def quotient_of(dividend: Interval, by: int) -> Interval:
    """The interval of `dividend floordiv by`, for a positive divisor."""
    low, high = dividend
    return None if low is None else low // by, None if high is None else high // by


def remainder_of(dividend: Interval, by: int) -> Interval:
    """The interval of `dividend mod by`, for a positive divisor."""
    low, high = dividend
    if low is not None and high is not None and low // by == high // by:
        return low % by, high % by
    return 0, by - 1
