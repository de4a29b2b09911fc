"""Which loops of a kernel walk memory as one loop would, and what they and the buffers become.

Two neighbouring dimensions `(i, j)` of a loop, `j` of extent n, are one where every expression
that names either names `i * n + j`. A place `[i, j]` in a buffer whose second axis has n elements
does so too, if the two axes of the buffer are made one. And `[k floordiv n, k mod n]` is `k` then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import prod

from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import FloorDiv, Leaf, Linear, LinearLike, Mod, mod
from picograd.dialects.loop import (
    AllocOp,
    IfOp,
    IndexOp,
    KernelOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
)
from picograd.dialects.loop_syntax import memref_shape

Pair = tuple[SSAValue, SSAValue]
"""Variables of an outer and the next inner dimension of one loop."""
Spans = dict[SSAValue, tuple[int, int]]
"""The first and the last of the axes of buffers that become one."""


class Merging:
    """A kernel's loops, buffers and expressions, as they are to become. The IR is not touched."""

    def __init__(self, kernel: KernelOp) -> None:
        self.extents: dict[SSAValue, int] = {}
        """Of the variables of loops that begin at 0, end at a constant, and take steps of 1."""
        self.loops: dict[LoopOp, list[SSAValue]] = {}
        """The variables that loops have left."""
        self.shapes: dict[SSAValue, tuple[int, ...]] = {}
        """Of arguments and local buffers."""
        self.expressions: dict[Operation, list[Linear]] = {}
        """Of loads and stores the place, of others what they compute, compare or run to."""
        self._accesses: dict[SSAValue, list[LoadOp | StoreOp]] = {}
        for argument in kernel.body.block.args:
            self._add_buffer(argument)
        for op in kernel.walk():
            self._add(op)

    def _add(self, op: Operation) -> None:
        if isinstance(op, LoadOp | StoreOp):
            self.expressions[op] = op.indices
            self._accesses[op.memref].append(op)
        elif isinstance(op, AllocOp):
            self._add_buffer(op.memref)
        elif isinstance(op, LoopOp):
            dims = op.dims
            self.expressions[op] = [bound for dim in dims for bound in (dim.lower, *dim.uppers)]
            self.loops[op] = [dim.variable for dim in dims]
            mapped = isinstance(op, ParallelOp) and op.mapping is not None
            if isinstance(op, ParallelOp | ReduceOp) and not mapped:
                for dim in dims:
                    starts = dim.lower.is_constant and dim.lower.constant == 0
                    if starts and dim.step == 1 and dim.extent is not None:
                        self.extents[dim.variable] = dim.extent
        elif isinstance(op, IfOp):
            self.expressions[op] = [op.condition]
        elif isinstance(op, IndexOp):
            self.expressions[op] = [op.expression]

    def _add_buffer(self, buffer: SSAValue) -> None:
        self.shapes[buffer] = memref_shape(buffer.type)
        self._accesses[buffer] = []

    def run(self) -> bool:
        """Merge all that can be merged; whether there was any."""
        changed, more = False, True
        while more:
            more = False
            for buffer in self.shapes:
                more |= self._merge_split_axes(buffer)
            for outer, inner in list(self._pairs()):
                if outer in self.extents and inner in self.extents:
                    more |= self._merge(outer, inner)
            changed |= more
        return changed

    def _pairs(self) -> Iterator[Pair]:
        for variables in self.loops.values():
            for outer, inner in pairwise(variables):
                if outer in self.extents and inner in self.extents:
                    yield outer, inner

    # Axes that expressions split

    def _merge_split_axes(self, buffer: SSAValue) -> bool:
        """Make one axis of two where that saves quotients, and costs no expression a variable."""
        for axis in range(len(self.shapes[buffer]) - 1):
            span = (axis, axis + 1)
            accesses = self._accesses[buffer]
            if not self._can_span(buffer):
                return False
            saved = 0
            for op in accesses:
                before = self.expressions[op][axis : axis + 2]
                after = self._joined(op, span)
                saved += sum(map(_divisions, before)) - _divisions(after)
                if _divisions(after) > sum(map(_divisions, before)) or not _is_no_wider(
                    after, before
                ):
                    break
            else:
                if saved > 0:
                    self._span(buffer, span)
                    return True
        return False

    # Loops

    def _merge(self, outer: SSAValue, inner: SSAValue) -> bool:
        """Make two dimensions one, with all that must become one at the same time."""
        pairs: dict[Pair, None] = {(outer, inner): None}
        spans: Spans = {}
        done = 0
        while done < len(pairs):
            pair = list(pairs)[done]
            done += 1
            if not self._find_spans(pair, spans) or not self._find_partners(pairs, spans):
                return False
        for buffer, span in spans.items():
            self._span(buffer, span)
        gone = {first for first, _ in pairs}
        for op, expressions in self.expressions.items():
            nothing: dict[Leaf, LinearLike] = dict.fromkeys(gone, 0)
            self.expressions[op] = [one.substitute(nothing) for one in expressions]
        for first, second in pairs:
            self.extents[second] *= self.extents.pop(first)
        for variables in self.loops.values():
            variables[:] = [one for one in variables if one not in gone]
        return True

    def _find_spans(self, pair: Pair, spans: Spans) -> bool:
        """Note the axes that must become one for a pair; whether the pair can be merged then."""
        for op, expressions in self.expressions.items():
            if not any(_depends(one, pair) for one in expressions):
                continue
            if all(self._fits(one, pair) for one in expressions):
                continue
            if not isinstance(op, LoadOp | StoreOp) or not self._can_span(op.memref):
                return False
            axes = [axis for axis, one in enumerate(expressions) if _depends(one, pair)]
            span = spans.setdefault(op.memref, (axes[0], axes[-1]))
            if span != (axes[0], axes[-1]) or not self._fits(self._joined(op, span), pair):
                return False
        return True

    def _find_partners(self, pairs: dict[Pair, None], spans: Spans) -> bool:
        """Add the pairs with which other accesses walk over merged axes; whether all are found."""
        gone: dict[Leaf, LinearLike] = {outer: 0 for outer, _ in pairs}
        for buffer, span in spans.items():
            for op in self._accesses[buffer]:
                before = self.expressions[op][span[0] : span[1] + 1]
                after = self._joined(op, span).substitute(gone)
                if _is_no_wider(after, [one.substitute(gone) for one in before]):
                    continue
                values = after.values()
                partner = next((p for p in self._pairs() if values.issuperset(p)), None)
                taken = {variable for pair in pairs for variable in pair}
                if partner is None or not taken.isdisjoint(partner):
                    return False
                pairs[partner] = None
                gone[partner[0]] = 0
        return True

    def _fits(self, expression: Linear, pair: Pair) -> bool:
        """Whether an expression names both variables of a pair as one, or neither."""
        outer, inner = pair
        n = self.extents[inner]
        return expression.coefficient(outer) == n * expression.coefficient(inner) and all(
            self._fits(atom.expression, pair)
            for atom in expression.terms
            if isinstance(atom, FloorDiv | Mod)
        )

    # Axes of buffers

    def _can_span(self, buffer: SSAValue) -> bool:
        """Whether all accesses stay within each axis."""
        return not any(
            op.pad is not None if isinstance(op, LoadOp) else op.clip is not None
            for op in self._accesses[buffer]
        )

    def _joined(self, op: LoadOp | StoreOp, span: tuple[int, int]) -> Linear:
        """The place along several axes as one."""
        first, last = span
        sizes = self.shapes[op.memref]
        place = self.expressions[op][first]
        for axis in range(first + 1, last + 1):
            place = _together(place * sizes[axis] + self.expressions[op][axis])
        return place

    def _span(self, buffer: SSAValue, span: tuple[int, int]) -> None:
        """Make several axes of a buffer one."""
        first, last = span
        for op in self._accesses[buffer]:
            places = self.expressions[op]
            self.expressions[op] = [*places[:first], self._joined(op, span), *places[last + 1 :]]
        shape = self.shapes[buffer]
        merged = prod(shape[first : last + 1])
        self.shapes[buffer] = (*shape[:first], merged, *shape[last + 1 :])


def _depends(expression: Linear, variables: Iterable[SSAValue]) -> bool:
    return not expression.values().isdisjoint(variables)


def _is_no_wider(after: Linear, before: Sequence[Linear]) -> bool:
    """Whether a place along one axis depends on no more variables than one along several."""
    return len(after.values()) <= max(len(one.values()) for one in before)


def _divisions(expression: Linear) -> int:
    """How many quotients and remainders an expression holds."""
    return sum(
        1 + _divisions(atom.expression)
        for atom in expression.terms
        if isinstance(atom, FloorDiv | Mod)
    )


def _together(expression: Linear) -> Linear:
    """The expression, with quotients put together with their remainders.

    (e floordiv n) * n + e mod n is e, and (e floordiv n) mod m * n + e mod n is e mod (m * n).
    """
    for atom, coefficient in expression.terms.items():
        if not isinstance(atom, Mod):
            continue
        quotient = FloorDiv(atom.expression, atom.by)
        if expression.coefficient(quotient) == coefficient * atom.by:
            rest = expression - Linear({atom: coefficient, quotient: coefficient * atom.by})
            return _together(rest + atom.expression * coefficient)
        for other, factor in expression.terms.items():
            is_part = isinstance(other, Mod) and other.expression == Linear({quotient: 1})
            if isinstance(other, Mod) and is_part and factor == coefficient * atom.by:
                rest = expression - Linear({atom: coefficient, other: factor})
                return _together(rest + mod(atom.expression, atom.by * other.by) * coefficient)
    return expression
