"""About how long a loop takes: whether it is worth waking a thread for."""

from __future__ import annotations

from math import ceil

from xdsl.dialects import math
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import Dim, IfOp, LoadOp, LoopOp, StoreOp, YieldOp, tile_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.polynomials.formulas import FORMULAS
from picograd.targets import Target

# Nanoseconds of one machine operation: two or so are done in a cycle, but a vector may come from
# the second or third cache. Only orders of magnitude matter here: whether a loop takes one, ten or
# a hundred microseconds.
_ARITHMETIC = 0.15
_MEMORY = 0.8
_LIBRARY_CALL = 5.0
_ITERATION = 0.5
_UNKNOWN_TRIPS = 16


class Work:
    """Estimated nanoseconds of operations, remembered."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.cores = target.cores
        self._facts = LoopFacts()
        self._known: dict[Operation, float] = {}
        self._middle: dict[SSAValue, int | None] = {}

    def trips(self, dim: Dim) -> int:
        """How often a dimension runs, half-way through the loops around it.

        So the loop over what full tiles leave counts where there are no full tiles only, and one
        that ends where an outer one stands counts half.
        """
        lower, *uppers = (self._value(bound) for bound in (dim.lower, *dim.uppers))
        known = [upper for upper in uppers if upper is not None]
        if lower is not None and len(known) == len(uppers):
            return max(0, ceil((min(known) - lower) / dim.step))
        trips = self._facts.trips(dim)
        return _UNKNOWN_TRIPS if trips is None else trips

    def _value(self, expression: Linear) -> int | None:
        """The value of an index expression half-way through the loops around; None if unknown."""
        places: dict[Leaf, LinearLike] = {}
        for value in expression.values():
            place = self._middle_of(value)
            if place is None:
                return None
            places[value] = place
        found = expression.substitute(places)
        return found.constant if found.is_constant else None

    def _middle_of(self, variable: SSAValue) -> int | None:
        if variable not in self._middle:
            dim = self._facts.dim(variable)
            lower = None if dim is None else self._value(dim.lower)
            place = None
            if dim is not None and lower is not None:
                place = lower + max(0, self.trips(dim) - 1) // 2 * dim.step
            self._middle[variable] = place
        return self._middle[variable]

    def iterations(self, op: LoopOp) -> int:
        """How often the body of a loop runs, half-way through the loops around it."""
        count = 1
        for dim in op.dims:
            count *= self.trips(dim)
        return count

    def of(self, op: Operation) -> float:
        """The work of one run of an operation."""
        if op not in self._known:
            self._known[op] = self._estimate(op)
        return self._known[op]

    def body(self, op: LoopOp) -> float:
        """The work of one iteration of a loop."""
        return _ITERATION + sum(self.of(inner) for inner in op.body.block.ops)

    def _estimate(self, op: Operation) -> float:
        if isinstance(op, LoopOp):
            return self.iterations(op) * self.body(op)
        if isinstance(op, IfOp):
            branches = (op.then.block, op.otherwise.block)
            return max(sum(self.of(inner) for inner in branch.ops) for branch in branches)
        if isinstance(op, YieldOp):
            return 0.0
        values = op.results or op.operands[:1]
        parts, elements = 1, 1
        for value in values:
            shape = tile_shape(value.type)
            lanes = self._target.lanes(32)
            leading = 1
            for size in shape[:-1]:
                leading *= size
            parts = leading * (-(-shape[-1] // lanes) if shape else 1)
            elements = leading * (shape[-1] if shape else 1)
        if isinstance(op, LoadOp | StoreOp):
            return parts * _MEMORY
        if type(op) in FORMULAS:
            return elements * _LIBRARY_CALL
        return parts * (20 if isinstance(op, math.RsqrtOp) else 1) * _ARITHMETIC
