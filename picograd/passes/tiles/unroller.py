"""Splits the operations on register tiles into operations on their pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from xdsl.dialects.builtin import DenseArrayBase, i1, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    CONVERSIONS,
    BroadcastOp,
    ConvertOp,
    FoldOp,
    ForOp,
    IfOp,
    IndexOp,
    LoadOp,
    ReduceOp,
    ShuffleOp,
    StoreOp,
    YieldOp,
    combine,
    element_type,
    tile_rank,
    tile_shape,
    tile_type,
    yielded,
)
from picograd.dialects.quick import create, put_before, put_last, remember
from picograd.errors import PassError
from picograd.passes.rewriting.loops import copy_hint, insert_before, take_ops
from picograd.passes.tiles.order_depth_first import order_depth_first, sink_past_loops
from picograd.passes.tiles.pieces import Piece, PieceWidths
from picograd.passes.tiles.places import Places
from picograd.passes.tiles.transposes import (
    Parts,
    is_transposed,
    transposed_load,
    transposed_store,
)


class Unroller:
    """Splits tiles in place; `parts` holds the pieces of every tile that it has come by."""

    def __init__(self, widths: PieceWidths):
        self.widths = widths
        self.parts: dict[SSAValue, Parts] = {}
        self.splats: list[dict[tuple[SSAValue, int], SSAValue]] = []
        self.places: dict[tuple[Linear, ...], Places] = {}

    def block(self, block: Block) -> None:
        """Split the tiles of a block and of the bodies in it."""
        sink_past_loops(block)
        self.splats.append({})
        for op in list(block.ops):
            self.operation(op)
        self.splats.pop()
        order_depth_first(block)

    def operation(self, op: Operation) -> None:
        if isinstance(op, ForOp):
            self.sequential(op)
            return
        if isinstance(op, IfOp):
            self.branch(op)
            return
        if isinstance(op, ReduceOp) and any(tile_rank(result.type) for result in op.outputs):
            raise PassError(
                "unroll_tiles cannot split the tile that a reduction carries",
                code="PG709",
                expected="reductions lowered to loops",
                found=f"loop.reduce over {', '.join(dim.name for dim in op.dims)}",
                hint="run lower_reduce first",
            )
        for region in op.regions:
            self.block(region.block)
        if any(tile_rank(value.type) for value in (*op.operands, *op.results)):
            put_before(op, self.split(op))
            op.detach()
            op.drop_all_references()

    def split(self, op: Operation) -> list[Operation]:
        """The operations that compute the pieces of a tile operation."""
        new: list[Operation] = []
        if isinstance(op, YieldOp):
            return [YieldOp(*self.flat(op.values))]
        if isinstance(op, StoreOp):
            self.store(op, new)
        elif isinstance(op, FoldOp):
            self.fold(op, new)
        elif isinstance(op, ShuffleOp):
            self.shuffle(op, new)
        elif isinstance(op, LoadOp) and is_transposed(op, op.result, self.widths):
            self.parts[op.result] = transposed_load(op, self.widths, new)
        else:
            self.elementwise(op, new)
        return new

    # Pieces

    def piece_types_of(self, value: SSAValue) -> dict[int, Attribute]:
        """The types of a tile's pieces, by their lanes."""
        element = element_type(value.type)
        lanes = {piece[2] for piece in self.widths.pieces(value)}
        single = self.widths.of(value) == 1
        return {count: element if single else tile_type(element, [count]) for count in lanes}

    def sources(self, values: Iterable[SSAValue]) -> list[tuple[SSAValue, Parts | None]]:
        """Values, and the pieces of those that are tiles."""
        return [(v, self.parts[v] if tile_rank(v.type) else None) for v in values]

    def flat(self, values: Sequence[SSAValue]) -> list[SSAValue]:
        """The pieces of tiles, and the values that are no tiles, in order."""
        return [
            part
            for value in values
            for part in (self.parts[value].values() if tile_rank(value.type) else [value])
        ]

    # Operations

    def elementwise(self, op: Operation, new: list[Operation]) -> None:
        (result,) = op.results
        parts = self.parts[result] = {}
        if isinstance(op, BroadcastOp):
            axes = op.axes
            for piece in self.widths.pieces(result):
                parts[piece[0], piece[1]] = self.broadcast(op, axes, piece, new)
            return
        located = isinstance(op, LoadOp | IndexOp)
        make = self.at_places(op) if located else self.on_pieces(op)
        for piece in self.widths.pieces(result):
            part = make(piece)
            new.append(part)
            parts[piece[0], piece[1]] = copy_hint(part.results[0], result)

    def at_places(self, op: LoadOp | IndexOp) -> Callable[[Piece], Operation]:
        """What makes a piece of a load or an index."""
        single = self.widths.of(op.result) == 1
        is_load = isinstance(op, LoadOp)
        places = self.places_of(op.indices if is_load else [op.expression])
        buffers = [op.memref] if is_load else []

        types = self.piece_types_of(op.result)

        def make(piece: Piece) -> Operation:
            lead, offset, lanes = piece
            values, map, indices = places.at(lead, offset, single=single)
            properties = {**op.properties, "map": map}
            given = [types[lanes]]
            new = create(op.__class__, [*buffers, *values], given, properties, op.attributes)
            remember(new, (map,), indices)
            return new

        return make

    def on_pieces(self, op: Operation) -> Callable[[Piece], Operation]:
        """What makes a piece of an arithmetic operation from those of its operands."""
        (result,) = op.results
        cls: type[Operation] = op.__class__
        properties = op.properties
        if isinstance(op, ConvertOp) and self.widths.of(result) == 1:
            cls, properties = CONVERSIONS[op.kind.data], dict(properties)
            del properties["kind"]

        operands = self.sources(op.operands)
        types = self.piece_types_of(result)

        def make(piece: Piece) -> Operation:
            place = (piece[0], piece[1])
            given = [value if parts is None else parts[place] for value, parts in operands]
            return create(cls, given, [types[piece[2]]], properties, op.attributes)

        return make

    def places_of(self, indices: Sequence[Linear]) -> Places:
        """The places of the pieces of a tile at indices."""
        key = tuple(indices)
        if key not in self.places:
            self.places[key] = Places(indices)
        return self.places[key]

    def broadcast(
        self, op: BroadcastOp, axes: Sequence[int], piece: Piece, new: list[Operation]
    ) -> SSAValue:
        """One piece of a repeated value: the value's own piece, or a splat of one element."""
        lead, offset, lanes = piece
        position = (*lead, offset)
        kept = tuple(at for axis, at in enumerate(position) if axis not in axes)
        value = op.value
        if tile_rank(op.result.type) - 1 not in axes:
            return self.parts[value][kept[:-1], offset]
        if not tile_rank(value.type):
            return self.splat(value, op.result, lanes, new)
        if self.widths.of(value) == 1:
            return self.splat(self.parts[value][kept[:-1], kept[-1]], op.result, lanes, new)
        # The element lies in a vector that is needed as such elsewhere.
        start = kept[-1] - kept[-1] % self.widths.width
        vector = self.parts[value][kept[:-1], start]
        count = lanes if self.widths.of(op.result) > 1 else 1
        picked = ShuffleOp(vector, vector, [kept[-1] - start] * count)
        new.append(picked)
        if self.widths.of(op.result) > 1:
            return picked.result
        element = FoldOp("or" if _is_bool(picked.result) else "add", picked.result)
        new.append(element)
        return element.result

    def splat(
        self, element: SSAValue, result: SSAValue, lanes: int, new: list[Operation]
    ) -> SSAValue:
        """An element in every lane; made once for each block that needs it."""
        if self.widths.of(result) == 1:
            return element
        for known in self.splats:
            if (element, lanes) in known:
                return known[element, lanes]
        type = tile_type(element.type, [lanes])
        op = create(BroadcastOp, [element], [type], _along_first_axis())
        new.append(op)
        self.splats[-1][element, lanes] = copy_hint(op.results[0], element)
        return op.results[0]

    def store(self, op: StoreOp, new: list[Operation]) -> None:
        if is_transposed(op, op.value, self.widths):
            transposed_store(op, self.parts[op.value], self.widths, new)
            return
        places, single = self.places_of(op.indices), self.widths.of(op.value) == 1
        parts, memref = self.parts[op.value], op.memref
        for lead, offset, _ in self.widths.pieces(op.value):
            values, map, indices = places.at(lead, offset, single=single)
            operands = [parts[lead, offset], memref, *values]
            piece = create(StoreOp, operands, [], {**op.properties, "map": map}, op.attributes)
            remember(piece, (map,), indices)
            new.append(piece)

    def fold(self, op: FoldOp, new: list[Operation]) -> None:
        if tile_rank(op.value.type) != 1:
            raise PassError(
                "unroll_tiles folds tiles with one axis only",
                code="PG709",
                expected="a tile with one axis",
                found=op.value.type,
                hint="fold one axis at a time",
            )
        kind = op.kind.data
        groups: dict[Attribute, list[SSAValue]] = {}
        for part in self.parts[op.value].values():
            groups.setdefault(part.type, []).append(part)
        folded: list[SSAValue] = []
        for type, group in groups.items():
            total = _combine_pairs(kind, group, new)
            if tile_rank(type):
                fold = FoldOp(kind, total)
                new.append(fold)
                total = fold.result
            folded.append(total)
        result = _combine_pairs(kind, folded, new)
        op.result.replace_all_uses_with(copy_hint(result, op.result))

    def shuffle(self, op: ShuffleOp, new: list[Operation]) -> None:
        sources = [*self.lanes_of(op.left), *self.lanes_of(op.right)]
        lanes = op.lanes.get_values()
        parts = self.parts[op.result] = {}
        for lead, offset, count in self.widths.pieces(op.result):
            places = [sources[at] if at >= 0 else None for at in lanes[offset : offset + count]]
            picked = self.pick(places, sources[0][0], new)
            parts[lead, offset] = copy_hint(picked, op.result)

    def lanes_of(self, value: SSAValue) -> list[tuple[SSAValue, int]]:
        """For each lane of a vector the piece that holds it, and its place there."""
        return [
            (self.parts[value][lead, offset], at)
            for lead, offset, count in self.widths.pieces(value)
            for at in range(count)
        ]

    def pick(
        self,
        places: Sequence[tuple[SSAValue, int] | None],
        anything: SSAValue,
        new: list[Operation],
    ) -> SSAValue:
        """A vector of lanes of pieces, two pieces at a time; where a place is None, of anything."""
        pieces = list(dict.fromkeys(place[0] for place in places if place is not None))
        left, *others = pieces or [anything]
        if not tile_rank(left.type):
            return left
        known = [place[1] if place and place[0] is left else -1 for place in places]
        if not others and known == list(range(tile_shape(left.type)[0])):
            return left
        for right in others or [left]:
            offset = tile_shape(left.type)[0]
            lanes = [
                offset + place[1] if place and place[0] is right and right is not left else at
                for at, place in zip(known, places, strict=True)
            ]
            picked = ShuffleOp(left, right, lanes)
            new.append(picked)
            left, known = picked.result, [n if at >= 0 else -1 for n, at in enumerate(lanes)]
        return left

    # Bodies

    def sequential(self, op: ForOp) -> None:
        """A loop that carries pieces instead of tiles."""
        (dim,) = op.dims
        new = ForOp(dim, self.flat(op.inits))
        new.attributes |= op.attributes
        copy_hint(new.body.block.args[0], dim.variable)
        dim.variable.replace_all_uses_with(new.body.block.args[0])
        self.hand_over(op.carried, new.carried)
        put_last(new.body.block, take_ops(op.body.block))
        insert_before(op, [new])
        self.block(new.body.block)
        self.finish(op, new.outputs)

    def branch(self, op: IfOp) -> None:
        """A branch that yields pieces instead of tiles."""
        for region in (op.then, op.otherwise):
            self.block(region.block)
        types = [value.type for value in yielded(op.then.block)]
        blocks = (op.then.detach_block(0), op.otherwise.detach_block(0))
        new = IfOp(op.condition, types, *blocks)
        new.attributes |= op.attributes
        insert_before(op, [new])
        self.finish(op, new.outputs)

    def hand_over(self, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
        """Let new values stand for old ones: the pieces of a tile, or the value itself."""
        rest = iter(new)
        for value in old:
            if not tile_rank(value.type):
                value.replace_all_uses_with(copy_hint(next(rest), value))
                continue
            pieces = self.widths.pieces(value)
            self.parts[value] = {
                (lead, offset): copy_hint(next(rest), value) for lead, offset, _ in pieces
            }

    def finish(self, op: ForOp | IfOp, results: Sequence[SSAValue]) -> None:
        self.hand_over(op.outputs, results)
        op.detach()
        op.drop_all_references()


def _combine_pairs(kind: str, values: Sequence[SSAValue], new: list[Operation]) -> SSAValue:
    """Combine values in pairs, and the results in pairs, until one is left."""
    values = list(values)
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        combined = [combine(kind, left, right) for left, right in pairs]
        new.extend(combined)
        values = [op.results[0] for op in combined] + values[len(combined) * 2 :]
    return values[0]


def _is_bool(value: SSAValue) -> bool:
    return element_type(value.type) == i1


@lru_cache(maxsize=1)
def _first_axis() -> Attribute:
    return DenseArrayBase.from_list(i64, [0])


def _along_first_axis() -> dict[str, Attribute]:
    return {"along": _first_axis()}
