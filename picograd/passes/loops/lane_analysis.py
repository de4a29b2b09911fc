"""Which axes of a tile each value of a loop body varies along, and whether a body may become tiles.

A body whose iterations are to become the elements of a tile is walked once: an index value names
the lanes it depends on, a load depends on the lanes of its place, everything else on those of its
operands. Bodies in which lanes would go different ways are refused with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from xdsl.dialects import arith, math
from xdsl.dialects.arith import Arith
from xdsl.dialects.math import Math
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    CheckedIndexOp,
    CompareOp,
    ForOp,
    IfOp,
    IndexOp,
    LoadOp,
    ReduceOp,
    SelectOp,
    StoreOp,
    YieldOp,
    tile_rank,
    yielded,
)
from picograd.quick_dataclasses import dataclass

Axes = frozenset[int]

ELEMENTWISE = tuple(
    op for op in (*Arith.operations, *Math.operations) if op is not arith.ConstantOp
)
"""Upstream operations that work on tiles as on elements; comparisons are translated."""

FLOAT_PREDICATES = {1: "eq", 2: "gt", 3: "ge", 4: "lt", 5: "le", 13: "ne"}
INTEGER_PREDICATES = {0: "eq", 1: "ne", 2: "lt", 3: "le", 4: "gt", 5: "ge"}
"""The predicates of arith.cmpf and arith.cmpi that loop.compare has as well."""


class NotVectorizable(Exception):
    """A body that cannot become tiles; its message is the reason."""


@dataclass
class LaneAxes:
    """The lanes that each value of a body varies along; other values vary along none."""

    indices: dict[SSAValue, Axes]
    """The lanes of induction variables."""
    values: dict[SSAValue, Axes] = field(default_factory=dict[SSAValue, Axes])

    def of(self, value: SSAValue) -> Axes:
        return self.values.get(value, frozenset())

    def of_all(self, values: Iterable[SSAValue]) -> Axes:
        return frozenset[int]().union(*(self.of(value) for value in values))

    def of_linear(self, expressions: Iterable[Linear]) -> Axes:
        return frozenset[int]().union(
            *(
                self.indices.get(value, frozenset())
                for expression in expressions
                for value in expression.values()
            )
        )


def analyze_lanes(
    body: Block, indices: Mapping[SSAValue, Axes], values: Mapping[SSAValue, Axes] = {}
) -> LaneAxes:
    """The lanes of every value in a body, whose induction variables, and carried values, have the
    given lanes.

    Raises NotVectorizable, with the reason, for a body that cannot become tiles.
    """
    axes = LaneAxes(dict(indices), dict(values))
    everything = frozenset[int]().union(*indices.values())
    _analyze_block(body, axes, everything)
    return axes


def analyze_combiner(op: ReduceOp, axes: LaneAxes, lanes: Axes) -> None:
    """Add the axes of what a reduction's combiner computes when its arguments have these lanes.

    Raises NotVectorizable as well.
    """
    assert op.combiner is not None
    for argument in op.combiner.block.args:
        axes.values[argument] = lanes
    _analyze_block(op.combiner.block, axes, lanes)


def _analyze_block(block: Block, axes: LaneAxes, everything: Axes) -> None:
    for op in block.ops:
        if any(tile_rank(value.type) for value in (*op.operands, *op.results)):
            raise NotVectorizable("it holds tiles already")
        if isinstance(op, LoadOp):
            axes.values[op.result] = axes.of_linear(op.indices)
        elif isinstance(op, IndexOp):
            axes.values[op.result] = axes.of_linear([op.expression])
        elif isinstance(op, StoreOp):
            if axes.of_linear(op.indices) != everything:
                raise NotVectorizable("several lanes store to one place")
        elif isinstance(op, ReduceOp):
            _analyze_reduce(op, axes, everything)
        elif isinstance(op, ForOp):
            _analyze_for(op, axes, everything)
        elif isinstance(op, IfOp):
            _analyze_if(op, axes, everything)
        elif isinstance(op, CheckedIndexOp):
            if axes.of(op.value):
                raise NotVectorizable("an index comes from data that differs between lanes")
        elif isinstance(op, ELEMENTWISE):
            _check_translatable(op)
            for result in op.results:
                axes.values[result] = axes.of_all(op.operands)
        elif isinstance(op, CompareOp | SelectOp):
            axes.values[op.result] = axes.of_all(op.operands)
        elif not isinstance(op, YieldOp | arith.ConstantOp):
            raise NotVectorizable(f"{op.name} has no meaning for tiles")


def _check_translatable(op: Operation) -> None:
    if isinstance(op, arith.CmpfOp) and op.predicate.value.data not in FLOAT_PREDICATES:
        raise NotVectorizable("tiles have no such comparison of floats")
    if isinstance(op, arith.CmpiOp) and op.predicate.value.data not in INTEGER_PREDICATES:
        raise NotVectorizable("tiles have no such comparison of integers")
    if isinstance(op, math.IPowIOp | math.FPowIOp):
        raise NotVectorizable(f"{op.name} takes scalars only")


def _analyze_reduce(op: ReduceOp, axes: LaneAxes, everything: Axes) -> None:
    _check_uniform(axes, (bound for dim in op.dims for bound in (dim.lower, *dim.uppers)))
    _analyze_block(op.body.block, axes, everything)
    found = axes.of_all((*yielded(op.body.block), *op.inits, *op.identities))
    if op.combiner is not None:
        analyze_combiner(op, axes, found)
    for result in op.outputs:
        axes.values[result] = found


def _analyze_for(op: ForOp, axes: LaneAxes, everything: Axes) -> None:
    _check_uniform(axes, (bound for dim in op.dims for bound in (dim.lower, *dim.uppers)))
    found = axes.of_all(op.inits)
    while True:
        for argument in op.carried:
            axes.values[argument] = found
        _analyze_block(op.body.block, axes, everything)
        wider = found | axes.of_all(yielded(op.body.block))
        if wider == found:
            break
        found = wider
    for result in op.outputs:
        axes.values[result] = found


def _analyze_if(op: IfOp, axes: LaneAxes, everything: Axes) -> None:
    _check_uniform(axes, [op.condition])
    for region in (op.then, op.otherwise):
        _analyze_block(region.block, axes, everything)
    ends = zip(yielded(op.then.block), yielded(op.otherwise.block), op.outputs, strict=True)
    for then, otherwise, result in ends:
        axes.values[result] = axes.of(then) | axes.of(otherwise)


def _check_uniform(axes: LaneAxes, expressions: Iterable[Linear]) -> None:
    if axes.of_linear(expressions):
        raise NotVectorizable("lanes would leave a loop or take a branch at different times")
