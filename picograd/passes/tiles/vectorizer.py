"""Rewrites a loop body so that each value is a tile over the lanes that it varies along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.dialects import arith
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Leaf, Linear, LinearLike
from picograd.dialects.loop import (
    CONVERSIONS,
    BroadcastOp,
    CheckedIndexOp,
    CompareOp,
    ConvertOp,
    ForOp,
    IfOp,
    IndexOp,
    LoadOp,
    ReduceOp,
    SelectOp,
    StoreOp,
    YieldOp,
    element_type,
    loop_block,
    tile_type,
    yielded,
)
from picograd.dialects.quick import clone, create
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import FLOAT_PREDICATES, INTEGER_PREDICATES, Axes, LaneAxes
from picograd.passes.rewriting.loops import copy_hint, dims_with

SCALAR_CONVERSIONS = {op.name: kind for kind, op in CONVERSIONS.items()}
"""The upstream conversions that loop.convert does for tiles."""

Place = tuple[int, ...]
"""The lanes of a tile, in the order of its axes."""


class Vectorizer:
    """Copies a body, lanes turned into tile axes; the original is left as it was.

    `extents` are the sizes of the lanes, `indices` says what becomes of each induction variable
    (an expression that may hold lanes), `axes` which lanes each value varies along.
    """

    def __init__(
        self,
        extents: Sequence[int],
        indices: Mapping[SSAValue, Linear],
        axes: LaneAxes,
        facts: LoopFacts,
    ):
        self.extents = extents
        self.indices: dict[Leaf, LinearLike] = {**indices}
        self.axes = axes
        self.facts = facts
        self.values: dict[SSAValue, SSAValue] = {}
        self.spreads: dict[tuple[SSAValue, Place, Block], SSAValue] = {}

    def get(self, value: SSAValue, place: Place, into: Block) -> SSAValue:
        """The copy of a value as a tile over the given lanes."""
        new = self.values.get(value, value)
        own = self.place(self.axes.of(value))
        if own == place:
            return new
        key = (new, place, into)
        if key not in self.spreads:
            along = [position for position, axis in enumerate(place) if axis not in own]
            spread = BroadcastOp(new, along, [self.extents[axis] for axis in place])
            into.add_op(spread)
            self.spreads[key] = copy_hint(spread.result, new)
        return self.spreads[key]

    def place(self, axes: Axes) -> Place:
        return tuple(sorted(axes))

    def type(self, type: Attribute, place: Place) -> Attribute:
        return tile_type(element_type(type), [self.extents[axis] for axis in place])

    def linear(self, expressions: Iterable[Linear], place: Place) -> list[Linear]:
        """Index expressions with lanes, numbered as the axes of a tile over these lanes."""
        numbers: dict[Leaf, LinearLike] = {Lane(a): Lane(n) for n, a in enumerate(place)}
        extents = [self.extents[axis] for axis in place]
        return [
            self.facts.simplify(e.substitute(self.indices).substitute(numbers), extents)
            for e in expressions
        ]

    def block(self, source: Block, into: Block) -> None:
        """Copy all operations but the terminator."""
        for op in source.ops:
            if isinstance(op, YieldOp):
                return
            results = self.copy(op, into)
            for old, new in zip(op.results, results, strict=True):
                self.values[old] = copy_hint(new, old)

    def end(self, source: Block, places: Sequence[Place], into: Block) -> None:
        """Copy the terminator, each value as a tile over given lanes."""
        values = [self.get(v, p, into) for v, p in zip(yielded(source), places, strict=True)]
        into.add_op(YieldOp(*values))

    def copy(self, op: Operation, into: Block) -> Sequence[SSAValue]:
        """Copy one operation; the copies of its results."""
        if isinstance(op, ReduceOp):
            return self.reduce(op, into)
        if isinstance(op, ForOp):
            return self.sequential(op, into)
        if isinstance(op, IfOp):
            return self.branch(op, into)
        new = self.simple(op, into)
        new.attributes |= op.attributes
        into.add_op(new)
        return new.results

    def simple(self, op: Operation, into: Block) -> Operation:
        """A copy of an operation without bodies."""
        if isinstance(op, StoreOp):
            place = self.place(self.axes.of_linear(op.indices))
            return StoreOp(
                self.get(op.value, place, into),
                self.values.get(op.memref, op.memref),
                self.linear(op.indices, place),
                clip=op.clip is not None,
            )
        if isinstance(op, CheckedIndexOp):
            checked = CheckedIndexOp(self.get(op.value, (), into), op.size.value.data)
            self.indices[op.result] = Linear.of(checked.result)
            return checked
        if isinstance(op, arith.ConstantOp):
            return clone(op)
        place = self.place(self.axes.of(op.results[0]))
        if isinstance(op, LoadOp):
            memref = self.values.get(op.memref, op.memref)
            tile = self.type(op.result.type, place)
            indices = self.linear(op.indices, place)
            return LoadOp(memref, indices, tile, pad=op.pad is not None)
        if isinstance(op, IndexOp):
            (expression,) = self.linear([op.expression], place)
            return IndexOp(expression, self.type(op.result.type, place))
        operands = [self.get(value, place, into) for value in op.operands]
        if isinstance(op, arith.CmpfOp):
            return CompareOp(FLOAT_PREDICATES[op.predicate.value.data], *operands)
        if isinstance(op, arith.CmpiOp):
            return CompareOp(INTEGER_PREDICATES[op.predicate.value.data], *operands)
        if isinstance(op, arith.SelectOp):
            return SelectOp(*operands)
        if place and op.name in SCALAR_CONVERSIONS:
            kind = SCALAR_CONVERSIONS[op.name]
            return ConvertOp(kind, operands[0], element_type(op.results[0].type))
        cls: type[Operation] = type(op)
        types = [self.type(result.type, place) for result in op.results]
        return create(cls, operands, types, op.properties)

    def reduce(self, op: ReduceOp, into: Block) -> Sequence[SSAValue]:
        dims = dims_with(op.dims, self.indices)
        place = self.place(self.axes.of(op.outputs[0]))
        combiner = None if op.combiner is None else self.combiner(op.combiner.block, place)
        new = ReduceOp(
            op.kind.data if op.kind is not None else None,
            dims,
            [self.type(result.type, place) for result in op.outputs],
            [self.get(value, place, into) for value in op.inits],
            identities=[self.get(value, place, into) for value in op.identities],
            combiner=combiner,
        )
        new.attributes |= op.attributes
        self.enter(op.induction_variables, new.induction_variables)
        self.block(op.body.block, new.body.block)
        self.end(op.body.block, [place] * len(op.outputs), new.body.block)
        into.add_op(new)
        return new.outputs

    def combiner(self, source: Block, place: Place) -> Block:
        block = Block(arg_types=[self.type(argument.type, place) for argument in source.args])
        for old, new in zip(source.args, block.args, strict=True):
            self.values[old] = copy_hint(new, old)
        self.block(source, block)
        self.end(source, [place] * len(yielded(source)), block)
        return block

    def sequential(self, op: ForOp, into: Block) -> Sequence[SSAValue]:
        (dim,) = dims_with(op.dims, self.indices)
        places = [self.place(self.axes.of(result)) for result in op.outputs]
        inits = [self.get(v, p, into) for v, p in zip(op.inits, places, strict=True)]
        body = loop_block([dim.name], [init.type for init in inits])
        new = ForOp(dim, inits, body)
        new.attributes |= op.attributes
        self.enter(op.induction_variables, new.induction_variables)
        for old, argument in zip(op.carried, new.carried, strict=True):
            self.values[old] = copy_hint(argument, old)
        self.block(op.body.block, body)
        self.end(op.body.block, places, body)
        into.add_op(new)
        return new.outputs

    def branch(self, op: IfOp, into: Block) -> Sequence[SSAValue]:
        places = [self.place(self.axes.of(result)) for result in op.outputs]
        blocks = (Block(), Block())
        for region, block in zip((op.then, op.otherwise), blocks, strict=True):
            self.block(region.block, block)
            self.end(region.block, places, block)
        types = [self.type(r.type, p) for r, p in zip(op.outputs, places, strict=True)]
        new = IfOp(op.condition.substitute(self.indices), types, *blocks)
        new.attributes |= op.attributes
        into.add_op(new)
        return new.outputs

    def enter(self, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
        """Let the induction variables of a copied loop stand for the old ones."""
        for before, after in zip(old, new, strict=True):
            self.indices[before] = Linear.of(after)
            copy_hint(after, before)
