"""Affine index arithmetic that knows the ranges of loop variables, so that little of it is left.

Reshapes split and join axes: without ranges every one would leave a floordiv and a mod behind.
"""

from collections.abc import Mapping, Sequence
from math import gcd, prod
from typing import TypeAlias

from xdsl.ir import SSAValue

from picograd.dialects.affine import Atom, FloorDiv, Linear, Mod, floordiv, mod
from picograd.passes.loops.intervals import Interval, interval_of, quotient_of, remainder_of
from picograd.quick_dataclasses import dataclass

Index: TypeAlias = tuple[Linear, ...]
"""Where an element is: one expression for each axis."""

Ranges: TypeAlias = Mapping[SSAValue, tuple[int, int]]
"""The least and greatest value of each index value."""


@dataclass(frozen=True)
class Condition:
    """`expression` compared with a number: `ge`, `lt` or `eq`."""

    predicate: str
    expression: Linear
    value: int


Guard: TypeAlias = tuple[Condition, ...]
"""Conditions under which an index is in bounds; outside of them an element's value is unused."""


def interval(expression: Linear, ranges: Ranges) -> tuple[int, int]:
    """Bounds of an expression, exact when no index value occurs twice in it."""
    low, high = interval_of(expression, lambda atom: _atom_interval(atom, ranges))
    assert low is not None and high is not None, "every loop has known bounds here"
    return low, high


def _atom_interval(atom: Atom, ranges: Ranges) -> Interval:
    if isinstance(atom, FloorDiv):
        return quotient_of(interval(atom.expression, ranges), atom.by)
    if isinstance(atom, Mod):
        return remainder_of(interval(atom.expression, ranges), atom.by)
    assert isinstance(atom, SSAValue), "neither tile lanes nor loop counters exist yet"
    return ranges[atom]


def quotient(expression: Linear, by: int, ranges: Ranges) -> Linear:
    """`expression` floordiv `by`, simplified."""
    low, high = interval(expression, ranges)
    if low // by == high // by:
        return Linear.of(low // by)
    coarse, _, grain = _split(expression, by, ranges)
    if grain > 1:
        return quotient(_divided(coarse, grain), by // grain, ranges)
    return floordiv(expression, by)


def remainder(expression: Linear, by: int, ranges: Ranges) -> Linear:
    """`expression` mod `by`, simplified."""
    low, high = interval(expression, ranges)
    if low // by == high // by:
        return expression - low // by * by
    coarse, fine, grain = _split(expression, by, ranges)
    if grain > 1:
        return remainder(_divided(coarse, grain), by // grain, ranges) * grain + fine
    return mod(expression, by)


def _split(expression: Linear, by: int, ranges: Ranges) -> tuple[Linear, Linear, int]:
    """coarse + fine = expression: coarse a multiple of grain, 0 <= fine < grain, grain divides by.

    A grain of 1 says that there is no such split.
    """
    grains = {gcd(coefficient, by) for coefficient in expression.terms.values()}
    for grain in sorted(grains - {1}, reverse=True):
        coarse = {a: c for a, c in expression.terms.items() if c % grain == 0}
        rest = {a: c for a, c in expression.terms.items() if c % grain}
        fine = Linear(rest, expression.constant % grain)
        low, high = interval(fine, ranges)
        if low >= 0 and high < grain:
            return Linear(coarse, expression.constant - fine.constant), fine, grain
    return expression, Linear.of(0), 1


def _divided(expression: Linear, by: int) -> Linear:
    """The quotient of an expression all of whose parts are multiples of `by`."""
    terms = {atom: coefficient // by for atom, coefficient in expression.terms.items()}
    return Linear(terms, expression.constant // by)


def linearize(index: Index, shape: Sequence[int]) -> Linear:
    """The position of an element in row-major order."""
    position = Linear.of(0)
    for expression, size in zip(index, shape, strict=True):
        position = position * size + expression
    return _rejoined(position)


def _rejoined(expression: Linear) -> Linear:
    """The expression with each (e floordiv n) * n + e mod n in it put back together as e."""
    for atom, coefficient in expression.terms.items():
        if isinstance(atom, Mod):
            whole = _whole(atom)
            if expression.coefficient(whole) == coefficient * atom.by:
                parts = Linear({whole: coefficient * atom.by, atom: coefficient})
                return _rejoined(expression - parts + atom.expression * coefficient)
    return expression


def _whole(part: Mod) -> FloorDiv:
    """The quotient that belongs to a remainder; one of a quotient is written as one division."""
    inner = part.expression
    for atom in inner.terms:
        if isinstance(atom, FloorDiv) and inner == Linear.of(atom):
            return FloorDiv(atom.expression, atom.by * part.by)
    return FloorDiv(inner, part.by)


def delinearize(position: Linear, shape: Sequence[int], ranges: Ranges) -> Index:
    """The index of the element at a row-major position."""
    index: list[Linear] = []
    for axis, size in enumerate(shape):
        # (An empty axis has no elements, but a loop over it has a body all the same.)
        inner = max(1, prod(shape[axis + 1 :]))
        part = quotient(position, inner, ranges)
        # The first axis needs no remainder: positions are in bounds.
        whole = all(outer == 1 for outer in shape[:axis])
        index.append(part if whole else remainder(part, max(1, size), ranges))
    return tuple(index)


def in_range(expression: Linear, low: int, high: int, ranges: Ranges) -> Guard | None:
    """The conditions for low <= expression < high not always true; None if one never is."""
    least, greatest = interval(expression, ranges)
    if greatest < low or least >= high:
        return None
    conditions: list[Condition] = []
    if least < low:
        conditions.append(Condition("ge", expression, low))
    if greatest >= high:
        conditions.append(Condition("lt", expression, high))
    return tuple(conditions)


def always_inside(index: Index, shape: Sequence[int], ranges: Ranges) -> bool:
    """Whether an index is known to be in bounds."""
    return all(
        in_range(expression, 0, size, ranges) == ()
        for expression, size in zip(index, shape, strict=True)
    )
