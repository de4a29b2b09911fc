"""Split register tiles into machine vectors, or into single elements.

Before:

```mlir
builtin.module {
  loop.kernel @add_row(%x: memref<2x6xf32>, %b: memref<6xf32>, %y: memref<2x6xf32>) {
    %v = loop.load %x[t0, t1] : memref<2x6xf32> to vector<2x6xf32>
    %r = loop.load %b[t0] : memref<6xf32> to vector<6xf32>
    %rows = loop.broadcast %r along [0] : vector<6xf32> to vector<2x6xf32>
    %s = arith.addf %v, %rows : vector<2x6xf32>
    loop.store %s, %y[t0, t1] : vector<2x6xf32>, memref<2x6xf32>
  }
}
```

Options: unroll_tiles{width=4}

After:

```mlir
builtin.module {
}
```

A tile that is only ever repeated along a new last axis becomes single elements, each repeated by a
splat. Where memory is contiguous along a tile's first axis instead of its last, blocks are
transposed with shuffles. In straight-line code each stored value is then computed just before its
store.

Requires: reductions over tiles lowered to loops; folds of tiles with one axis.

Does not: split loops, or change what is loaded and stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import (
    AffineMapAttr,
    DenseArrayBase,
    FixedBitwidthType,
    ModuleOp,
    i1,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects.affine import FloorDiv, Lane, Leaf, Linear, LinearLike, Mod, encode
from picograd.dialects.loop import (
    CONVERSIONS,
    BroadcastOp,
    ConvertOp,
    FoldOp,
    ForOp,
    IfOp,
    IndexOp,
    KernelOp,
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
from picograd.dialects.loop_syntax import memref_shape
from picograd.errors import OptionError, PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loop_rewriting import copy_hint, insert_before, kernels, take_ops
from picograd.passes.order_depth_first import order_depth_first
from picograd.passes.tile_pieces import Piece, PieceWidths, chunks
from picograd.passes.transpose_vectors import transpose_vectors
from picograd.targets import lookup


@dataclass(frozen=True)
class UnrollTiles(Pass):
    """`width` is the number of lanes of a machine vector; 0 takes it from the facts of `target`."""

    name: ClassVar[str] = "unroll_tiles"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    establishes: ClassVar[frozenset[str]] = frozenset({"machine_tiles"})

    width: int = 0
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.width < 0:
            raise OptionError(
                "unroll_tiles needs a number of lanes", expected="0 or more", found=self.width
            )
        for kernel in kernels(op):
            bits = smallest_tile_bits(kernel)
            if bits is not None:
                unroll(kernel, self.width or lookup(self.target).lanes(bits))


def smallest_tile_bits(kernel: KernelOp) -> int | None:
    """Bits of the smallest number in the tiles of a kernel, at least 32; None without tiles.

    Tiles of different element types meet in conversions and split alike, so one width serves all;
    LLVM splits what is wider than its registers.
    """
    types = {
        element_type(result.type)
        for op in kernel.walk()
        for result in op.results
        if tile_rank(result.type)
    }
    sizes = [type.bitwidth for type in types if isinstance(type, FixedBitwidthType)]
    return min((max(32, size) for size in sizes if size > 1), default=32) if types else None


def unroll(kernel: KernelOp, width: int) -> None:
    """Split all tiles of a kernel into pieces of at most `width` lanes."""
    _Unroller(PieceWidths(kernel, width)).block(kernel.body.block)


@lru_cache(maxsize=1024)
def _piece_type(element: Attribute, lanes: int) -> Attribute:
    return tile_type(element, [lanes])


Parts = dict[tuple[tuple[int, ...], int], SSAValue]
"""The pieces of a tile, by position along the leading axes and offset along the last."""


class _Unroller:
    def __init__(self, widths: PieceWidths):
        self.widths = widths
        self.parts: dict[SSAValue, Parts] = {}
        self.splats: list[dict[tuple[SSAValue, int], SSAValue]] = []

    def block(self, block: Block) -> None:
        """Split the tiles of a block and of the bodies in it."""
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
                expected="reductions lowered to loops",
                found=f"loop.reduce over {', '.join(dim.name for dim in op.dims)}",
                hint="run lower_reduce first",
            )
        for region in op.regions:
            self.block(region.block)
        if any(tile_rank(value.type) for value in (*op.operands, *op.results)):
            new = self.split(op)
            insert_before(op, new)
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
        elif isinstance(op, LoadOp) and self.is_transposed(op.memref, op.indices, op.result):
            self.transposed_load(op, new)
        else:
            self.elementwise(op, new)
        return new

    # Pieces

    def piece_type(self, value: SSAValue, lanes: int) -> Attribute:
        element = element_type(value.type)
        return element if self.widths.of(value) == 1 else _piece_type(element, lanes)

    def get(self, value: SSAValue, piece: Piece) -> SSAValue:
        return self.parts[value][piece[0], piece[1]] if tile_rank(value.type) else value

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
        for piece in self.widths.pieces(result):
            if isinstance(op, BroadcastOp):
                value = self.broadcast(op, piece, new)
            else:
                part = self.piece_of(op, piece)
                new.append(part)
                value = copy_hint(part.results[0], result)
            parts[piece[0], piece[1]] = value

    def piece_of(self, op: Operation, piece: Piece) -> Operation:
        """One piece of a load, an index, or an arithmetic operation."""
        (result,) = op.results
        type = self.piece_type(result, piece[2])
        if isinstance(op, LoadOp):
            values, map = self.places(op.indices, result, piece)
            operands = [op.memref, *values]
            properties = {**op.properties, "map": map}
        elif isinstance(op, IndexOp):
            operands, map = self.places([op.expression], result, piece)
            properties = {"map": map}
        else:
            operands = [self.get(value, piece) for value in op.operands]
            properties = dict(op.properties)
        cls: type[Operation] = op.__class__
        if isinstance(op, ConvertOp) and not tile_rank(type):
            cls = CONVERSIONS[op.kind.data]
            del properties["kind"]
        return cls.create(
            operands=operands,
            result_types=[type],
            properties=properties,
            attributes=dict(op.attributes),
        )

    def places(
        self, indices: Sequence[Linear], tile: SSAValue, piece: Piece
    ) -> tuple[list[SSAValue], AffineMapAttr]:
        """The places of one piece, as operands and map."""
        lead, offset, _ = piece
        last = len(lead)
        single = self.widths.of(tile) == 1
        lanes: dict[Leaf, LinearLike] = {Lane(axis): at for axis, at in enumerate(lead)}
        lanes[Lane(last)] = offset if single else Linear({Lane(0): 1}, offset)
        return encode((index.substitute(lanes) for index in indices), 0 if single else 1)

    def broadcast(self, op: BroadcastOp, piece: Piece, new: list[Operation]) -> SSAValue:
        """One piece of a repeated value: the value's own piece, or a splat of one element."""
        lead, offset, lanes = piece
        position = (*lead, offset)
        kept = tuple(at for axis, at in enumerate(position) if axis not in op.axes)
        value = op.value
        if tile_rank(op.result.type) - 1 not in op.axes:
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
        type = _piece_type(element.type, lanes)
        op = BroadcastOp.create(
            operands=[element], result_types=[type], properties=_along_first_axis()
        )
        new.append(op)
        self.splats[-1][element, lanes] = copy_hint(op.results[0], element)
        return op.results[0]

    def store(self, op: StoreOp, new: list[Operation]) -> None:
        if self.is_transposed(op.memref, op.indices, op.value):
            self.transposed_store(op, new)
            return
        for piece in self.widths.pieces(op.value):
            values, map = self.places(op.indices, op.value, piece)
            new.append(
                StoreOp.create(
                    operands=[self.get(op.value, piece), op.memref, *values],
                    properties={**op.properties, "map": map},
                    attributes=dict(op.attributes),
                )
            )

    def fold(self, op: FoldOp, new: list[Operation]) -> None:
        if tile_rank(op.value.type) != 1:
            raise PassError(
                "unroll_tiles folds tiles with one axis only",
                expected="a tile with one axis",
                found=op.value.type,
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
        if any(len(self.parts[value]) != 1 for value in op.operands):
            raise PassError(
                "unroll_tiles cannot split a shuffle",
                expected=f"machine vectors of at most {self.widths.width} lanes",
                found=str(op).strip(),
            )
        left, right = self.flat(op.operands)
        picked = ShuffleOp(left, right, op.lanes.get_values())
        new.append(picked)
        self.parts[op.result] = {((), 0): copy_hint(picked.result, op.result)}

    # Bodies

    def sequential(self, op: ForOp) -> None:
        """A loop that carries pieces instead of tiles."""
        (dim,) = op.dims
        new = ForOp(dim, self.flat(op.inits))
        new.attributes |= op.attributes
        copy_hint(new.body.block.args[0], dim.variable)
        dim.variable.replace_all_uses_with(new.body.block.args[0])
        self.hand_over(op.carried, new.carried)
        new.body.block.add_ops(take_ops(op.body.block))
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

    # Tiles that are contiguous along their first axis

    def is_transposed(self, memref: SSAValue, indices: Sequence[Linear], tile: SSAValue) -> bool:
        """Whether memory runs along the first of a tile's two axes, and not along the last."""
        if tile_rank(tile.type) != 2 or self.widths.of(tile) == 1:
            return False
        return [_stride(memref, indices, axis) == 1 for axis in range(2)] == [True, False]

    def blocks(self, tile: SSAValue) -> list[tuple[int, int, int, int]]:
        """The blocks to transpose: first row, rows, first column, columns."""
        rows, columns = tile_shape(tile.type)
        width = self.widths.width
        return [
            (row, height, column, count)
            for row, height in chunks(rows, width)
            for column, count in chunks(columns, width)
        ]

    def column_places(
        self, indices: Sequence[Linear], row: int, column: int
    ) -> tuple[list[SSAValue], AffineMapAttr]:
        """The places of one column of a tile, from a row downwards."""
        lanes: dict[Leaf, LinearLike] = {Lane(0): Linear({Lane(0): 1}, row), Lane(1): column}
        return encode((index.substitute(lanes) for index in indices), 1)

    def transposed_store(self, op: StoreOp, new: list[Operation]) -> None:
        for row, height, column, _ in self.blocks(op.value):
            lines = [self.parts[op.value][(row + n,), column] for n in range(height)]
            for number, vector in enumerate(transpose_vectors(lines, new)):
                values, map = self.column_places(op.indices, row, column + number)
                new.append(
                    StoreOp.create(
                        operands=[vector, op.memref, *values],
                        properties={**op.properties, "map": map},
                        attributes=dict(op.attributes),
                    )
                )

    def transposed_load(self, op: LoadOp, new: list[Operation]) -> None:
        parts: Parts = {}
        for row, height, column, count in self.blocks(op.result):
            columns: list[SSAValue] = []
            for number in range(count):
                values, map = self.column_places(op.indices, row, column + number)
                load = LoadOp.create(
                    operands=[op.memref, *values],
                    result_types=[_piece_type(element_type(op.result.type), height)],
                    properties={**op.properties, "map": map},
                    attributes=dict(op.attributes),
                )
                new.append(load)
                columns.append(load.results[0])
            for number, line in enumerate(transpose_vectors(columns, new)):
                parts[(row + number,), column] = copy_hint(line, op.result)
        order = [(lead, offset) for lead, offset, _ in self.widths.pieces(op.result)]
        self.parts[op.result] = {key: parts[key] for key in order}


def _stride(memref: SSAValue, indices: Sequence[Linear], axis: int) -> int | None:
    """How far apart in memory the neighbours along a tile axis lie; None if that varies."""
    stride, total = 1, 0
    for extent, index in zip(reversed(memref_shape(memref.type)), reversed(indices), strict=True):
        if any(isinstance(atom, FloorDiv | Mod) for atom in index.terms) and axis in index.lanes():
            return None
        total += stride * index.coefficient(Lane(axis))
        stride *= extent
    return total


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
