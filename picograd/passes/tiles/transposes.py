"""Loads and stores of tiles along whose first axis memory runs: blocks transposed by shuffles."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import FloorDiv, Lane, Leaf, Linear, LinearLike, Mod, encode
from picograd.dialects.loop import LoadOp, StoreOp, element_type, tile_rank, tile_shape, tile_type
from picograd.dialects.loop_syntax import memref_shape
from picograd.dialects.quick import create
from picograd.passes.rewriting.loops import copy_hint
from picograd.passes.tiles.pieces import PieceWidths, chunks
from picograd.passes.tiles.transpose_vectors import transpose_vectors

Parts = dict[tuple[tuple[int, ...], int], SSAValue]
"""The pieces of a tile, by position along the leading axes and offset along the last."""


def is_transposed(op: LoadOp | StoreOp, tile: SSAValue, widths: PieceWidths) -> bool:
    """Whether memory runs along the first of a tile's two axes, and not along the last."""
    return widths.of(tile) > 1 and runs_along_first(op, tile)


def runs_along_first(op: LoadOp | StoreOp, tile: SSAValue) -> bool:
    """Whether memory runs along the first of a tile's two axes, however the tile is split."""
    if tile_rank(tile.type) != 2:
        return False
    return [_stride(op.memref, op.indices, axis) == 1 for axis in range(2)] == [True, False]


def _blocks(tile: SSAValue, width: int) -> list[tuple[int, int, int, int]]:
    """The blocks to transpose: first row, rows, first column, columns."""
    rows, columns = tile_shape(tile.type)
    return [
        (row, height, column, count)
        for row, height in chunks(rows, width)
        for column, count in chunks(columns, width)
    ]


def _column_places(
    indices: Sequence[Linear], row: int, column: int
) -> tuple[list[SSAValue], AffineMapAttr]:
    """The places of one column of a tile, from a row downwards."""
    lanes: dict[Leaf, LinearLike] = {Lane(0): Linear({Lane(0): 1}, row), Lane(1): column}
    return encode((index.substitute(lanes) for index in indices), 1)


def transposed_store(op: StoreOp, parts: Parts, widths: PieceWidths, new: list[Operation]) -> None:
    """Store a tile column by column; adds the operations to `new`."""
    indices = op.indices
    for row, height, column, _ in _blocks(op.value, widths.width):
        lines = [parts[(row + n,), column] for n in range(height)]
        for number, vector in enumerate(transpose_vectors(lines, new)):
            values, map = _column_places(indices, row, column + number)
            properties = {**op.properties, "map": map}
            operands = [vector, op.memref, *values]
            new.append(create(StoreOp, operands, [], properties, op.attributes))


def transposed_load(op: LoadOp, widths: PieceWidths, new: list[Operation]) -> Parts:
    """Load a tile column by column; its pieces. Adds the operations to `new`."""
    parts: Parts = {}
    indices = op.indices
    for row, height, column, count in _blocks(op.result, widths.width):
        columns: list[SSAValue] = []
        for number in range(count):
            values, map = _column_places(indices, row, column + number)
            properties = {**op.properties, "map": map}
            type = tile_type(element_type(op.result.type), [height])
            load = create(LoadOp, [op.memref, *values], [type], properties, op.attributes)
            new.append(load)
            columns.append(load.results[0])
        for number, line in enumerate(transpose_vectors(columns, new)):
            parts[(row + number,), column] = copy_hint(line, op.result)
    return {(lead, offset): parts[lead, offset] for lead, offset, _ in widths.pieces(op.result)}


def _stride(memref: SSAValue, indices: Sequence[Linear], axis: int) -> int | None:
    """How far apart in memory the neighbours along a tile axis lie; None if that varies."""
    stride, total = 1, 0
    for extent, index in zip(reversed(memref_shape(memref.type)), reversed(indices), strict=True):
        if any(isinstance(atom, FloorDiv | Mod) for atom in index.terms) and axis in index.lanes():
            return None
        total += stride * index.coefficient(Lane(axis))
        stride *= extent
    return total
