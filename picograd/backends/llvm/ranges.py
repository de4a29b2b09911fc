"""Intervals of index values, and what divides them: enough to leave out guards and bounds checks
that cannot fail, and to know what is aligned."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from xdsl.ir import SSAValue

from picograd.dialects.affine import Atom, FloorDiv, Lane, Linear, Mod
from picograd.dialects.loop import Dim
from picograd.passes.loops.intervals import Interval, interval_of, quotient_of, remainder_of


class Ranges:
    """The intervals of the index values in scope."""

    def __init__(self) -> None:
        self._of: dict[SSAValue, Interval] = {}
        self._divisors: dict[SSAValue, int] = {}

    def enter(self, dim: Dim) -> None:
        """Note the interval of a loop's induction variable."""
        low, _ = self.interval(dim.lower)
        highs = [high for _, high in map(self.interval, dim.uppers) if high is not None]
        self._of[dim.variable] = low, min(highs) - 1 if highs else None
        self._divisors[dim.variable] = gcd(self.divisor(dim.lower), dim.step)

    def limit(self, value: SSAValue, low: int, high: int) -> None:
        """Note the interval of an index value."""
        self._of[value] = low, high

    def copy(self) -> Ranges:
        """The same knowledge for a function that is made from a part of this one."""
        other = Ranges()
        other._of = dict(self._of)
        other._divisors = dict(self._divisors)
        return other

    def interval(self, expression: Linear, lanes: Sequence[int] = ()) -> Interval:
        """The interval of an expression; `lanes` are the extents of the tile's axes."""
        return interval_of(expression, lambda atom: self._atom(atom, lanes))

    def _atom(self, atom: Atom, lanes: Sequence[int]) -> Interval:
        if isinstance(atom, Lane):
            return 0, lanes[atom.axis] - 1
        if isinstance(atom, FloorDiv):
            return quotient_of(self.interval(atom.expression, lanes), atom.by)
        if isinstance(atom, Mod):
            return remainder_of(self.interval(atom.expression, lanes), atom.by)
        assert isinstance(atom, SSAValue)
        return self._of.get(atom, (None, None))

    def divisor(self, expression: Linear) -> int:
        """A number that divides every value of an expression without lanes; 0 if that is 0."""
        result = expression.constant
        for atom, coefficient in expression.terms.items():
            known = self._divisors.get(atom, 1) if isinstance(atom, SSAValue) else 1
            result = gcd(result, coefficient * known)
        return abs(result)

    def surely_runs(self, dim: Dim) -> bool:
        """Whether a loop runs at least once."""
        leasts = [self.interval(upper - dim.lower)[0] for upper in dim.uppers]
        return all(least is not None and least >= 1 for least in leasts)

    def within(self, expression: Linear, size: int, lanes: Sequence[int] = ()) -> bool:
        """Whether an index lies in [0, size) for every lane."""
        low, high = self.interval(expression, lanes)
        return low is not None and high is not None and low >= 0 and high < size
