"""What is known about affine expressions inside loops: ranges, exact division, alignment.

An induction variable is its lower bound plus its step times a counter; expanding expressions down
to counters lets terms cancel (`%k - %k0` is the counter of k's loop) and shows what they are
multiples of. This is the classic normalization of loops (Banerjee, "Loop Transformations for
Restructuring Compilers", 1993), done on demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from xdsl.ir import Attribute, Block, SSAValue

from picograd.dialects.affine import (
    Atom,
    Counter,
    FloorDiv,
    Lane,
    Linear,
    LinearLike,
    Mod,
    floordiv,
    mod,
)
from picograd.dialects.loop import CheckedIndexOp, Dim, LoopOp
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.intervals import Interval, interval_of, quotient_of, remainder_of

UPPER_SEARCH_DEPTH = 4
"""How many induction variables `greatest` replaces by their upper bounds, one inside another."""


class LoopFacts:
    """Facts about the loops of a kernel, computed once: make a new one after changing a loop."""

    def __init__(self) -> None:
        self._dims: dict[SSAValue, Dim | None] = {}
        self._expanded: dict[SSAValue, Linear] = {}
        self._last_counts: dict[SSAValue, int | None] = {}

    # Loops

    def dim(self, variable: SSAValue) -> Dim | None:
        """The loop dimension that an index value runs through; None for a checked index."""
        if variable not in self._dims:
            owner = variable.owner
            loop = owner.parent_op() if isinstance(owner, Block) else None
            if isinstance(loop, LoopOp):
                for dim in loop.dims:
                    self._dims[dim.variable] = dim
            else:
                self._dims[variable] = None
        return self._dims[variable]

    def extent(self, dim: Dim) -> int | None:
        """The greatest distance from lower to upper bound, over all outer iterations."""
        distances = [self.bounds(upper - dim.lower)[1] for upper in dim.uppers]
        known = [distance for distance in distances if distance is not None]
        return max(0, min(known)) if known else None

    def trips(self, dim: Dim) -> int | None:
        """The greatest number of iterations."""
        extent = self.extent(dim)
        return None if extent is None else -(-extent // dim.step)

    def runs(self, dim: Dim) -> bool:
        """Whether the loop surely runs at least once."""
        least = [self.bounds(upper - dim.lower)[0] for upper in dim.uppers]
        return all(distance is not None and distance > 0 for distance in least)

    def last_count(self, variable: SSAValue) -> int | None:
        """The greatest value of a loop's counter."""
        if variable not in self._last_counts:
            dim = self.dim(variable)
            assert dim is not None
            trips = self.trips(dim)
            self._last_counts[variable] = None if trips is None else max(0, trips - 1)
        return self._last_counts[variable]

    # Expressions

    def expand(self, expression: LinearLike) -> Linear:
        """The expression over counters instead of induction variables."""
        expression = Linear.of(expression)
        result = Linear({}, expression.constant)
        for atom, coefficient in expression.terms.items():
            part = self._expand_variable(atom) if isinstance(atom, SSAValue) else Linear({atom: 1})
            result = result + part * coefficient
        return result

    def _expand_variable(self, variable: SSAValue) -> Linear:
        if variable not in self._expanded:
            dim = self.dim(variable)
            if dim is None:
                self._expanded[variable] = Linear({variable: 1})
            elif self.last_count(variable) == 0:
                self._expanded[variable] = self.expand(dim.lower)
            else:
                counted = Linear({Counter(variable): dim.step})
                self._expanded[variable] = self.expand(dim.lower) + counted
        return self._expanded[variable]

    def contract(self, expression: Linear) -> Linear:
        """Back from counters to induction variables."""
        result = Linear({}, expression.constant)
        for atom, coefficient in expression.terms.items():
            if not isinstance(atom, Counter):
                result = result + Linear({atom: coefficient})
                continue
            dim = self.dim(atom.variable)
            assert dim is not None
            offset = Linear.of(atom.variable) - dim.lower
            if coefficient % dim.step == 0:
                result = result + offset * (coefficient // dim.step)
            else:
                result = result + Linear({FloorDiv(offset, dim.step): coefficient})
        return result

    def bounds(self, expression: LinearLike, lanes: Sequence[int] = ()) -> Interval:
        """Least and greatest value of an expression; `lanes` are the extents of t0, t1, …"""
        return interval_of(self.expand(expression), lambda atom: self._atom_bounds(atom, lanes))

    def _atom_bounds(self, atom: Atom, lanes: Sequence[int]) -> Interval:
        if isinstance(atom, Lane):
            return 0, lanes[atom.axis] - 1
        if isinstance(atom, Counter):
            return 0, self.last_count(atom.variable)
        if isinstance(atom, FloorDiv):
            return quotient_of(self.bounds(atom.expression, lanes), atom.by)
        if isinstance(atom, Mod):
            return remainder_of(self.bounds(atom.expression, lanes), atom.by)
        assert isinstance(atom.owner, CheckedIndexOp)
        return 0, atom.owner.size.value.data - 1

    def greatest(self, expression: LinearLike, lanes: Sequence[int] = ()) -> int | None:
        """A tighter upper bound than that of `bounds`: induction variables stay below their bounds.

        In the last block of a loop up to 1000 in blocks of 336, `bounds` sees 1007 as possible.
        """
        return self._greatest(Linear.of(expression), lanes, UPPER_SEARCH_DEPTH)

    def _greatest(self, expression: Linear, lanes: Sequence[int], depth: int) -> int | None:
        best = self.bounds(expression, lanes)[1]
        if depth == 0:
            return best
        for atom, coefficient in expression.terms.items():
            if coefficient < 0:
                continue
            for limit in self._limits(atom, lanes, depth):
                other = expression - Linear({atom: coefficient}) + limit * coefficient
                found = self._greatest(other, lanes, depth - 1)
                if found is not None and (best is None or found < best):
                    best = found
        return best

    def _limits(self, atom: Atom, lanes: Sequence[int], depth: int) -> list[Linear]:
        """Expressions that an induction variable or a quotient does not exceed."""
        if isinstance(atom, SSAValue):
            dim = self.dim(atom)
            return [] if dim is None else [upper - 1 for upper in dim.uppers]
        if isinstance(atom, FloorDiv):
            dividend = self._greatest(atom.expression, lanes, depth - 1)
            return [] if dividend is None else [Linear.of(dividend // atom.by)]
        return []

    def within(self, expression: LinearLike, extent: int, lanes: Sequence[int] = ()) -> bool:
        """Whether an index surely lies between 0 and extent - 1."""
        low, high = self.bounds(expression, lanes)
        if low is None or low < 0:
            return False
        if high is None or high >= extent:
            high = self.greatest(expression, lanes)
        return high is not None and high < extent

    def split(
        self, expression: LinearLike, by: int, lanes: Sequence[int] = ()
    ) -> tuple[Linear, Linear] | None:
        """Quotient and remainder by a positive integer, if both are affine; else None."""
        expanded = self.expand(expression)
        quotient = Linear({}, expanded.constant // by)
        rest = Linear({}, expanded.constant % by)
        for atom, coefficient in expanded.terms.items():
            if coefficient % by == 0:
                quotient = quotient + Linear({atom: coefficient // by})
            else:
                rest = rest + Linear({atom: coefficient})
        low, high = self.bounds(rest, lanes)
        if low is None or high is None or low < 0 or high >= by:
            return None
        return self.contract(quotient), self.contract(rest)

    def simplify(self, expression: Linear, lanes: Sequence[int] = ()) -> Linear:
        """The expression without those quotients and remainders that turn out affine."""
        if not any(isinstance(atom, FloorDiv | Mod) for atom in expression.terms):
            return expression
        result = Linear({}, expression.constant)
        for atom, coefficient in expression.terms.items():
            part = Linear({atom: 1})
            if isinstance(atom, FloorDiv | Mod):
                inner = self.simplify(atom.expression, lanes)
                parts = self.split(inner, atom.by, lanes)
                if parts is not None:
                    part = parts[1] if isinstance(atom, Mod) else parts[0]
                elif inner is not atom.expression:
                    part = (
                        mod(inner, atom.by) if isinstance(atom, Mod) else floordiv(inner, atom.by)
                    )
            result = result + part * coefficient
        return result

    def linearize(
        self, type: Attribute, indices: Sequence[Linear], lanes: Sequence[int] = ()
    ) -> Linear:
        """The offset, in elements, of a place in a dense memref; exact divisions disappear."""
        offset = Linear({})
        stride = 1
        for extent, index in zip(reversed(memref_shape(type)), reversed(indices), strict=True):
            offset = offset + index * stride
            stride *= extent
        if not any(isinstance(atom, FloorDiv) for atom in offset.terms):
            return offset
        result = Linear({}, offset.constant)
        for atom, coefficient in offset.terms.items():
            part = Linear({atom: coefficient})
            if isinstance(atom, FloorDiv) and coefficient % atom.by == 0:
                parts = self.split(atom.expression, atom.by, lanes)
                if parts is not None and parts[1] == Linear({}):
                    part = atom.expression * (coefficient // atom.by)
            result = result + part
        return result

    def divisor(self, expression: LinearLike) -> int:
        """The greatest integer that surely divides an expression; 0 if it is always zero."""
        expanded = self.expand(expression)
        result = expanded.constant
        for coefficient in expanded.terms.values():
            result = gcd(result, coefficient)
        return abs(result)
