"""Which tile of accumulators computes an output of some size in the least time.

A tile is as large as the registers allow, and of the shape that wastes least on the extents at
hand: what is left over at two sides is computed by smaller tiles.
"""

from __future__ import annotations

from math import ceil

from picograd.targets import Target

MOST_ROWS = 11
"""The most rows of a register tile: their addresses are in registers, too."""


def best_tile(
    rows: int,
    columns: int,
    lanes: int,
    target: Target,
    panel: int | None = None,
    widest: int | None = None,
) -> tuple[int, int]:
    """The tile with the least estimated time for an output of rows x columns.

    Where the right operand lies in panels, a tile is as wide as one, or as a part that all of it is
    made of. Else `widest` may limit its columns.
    """
    tiles = tiles_by_time(rows, columns, lanes, target)
    if panel is None and widest is not None:
        tiles = [tile for tile in tiles if tile[1] * lanes <= max(widest, lanes)]
    if panel is not None:
        whole = [tile for tile in tiles if tile[1] == ceil(panel / lanes)]
        tiles = whole or [tile for tile in tiles if panel % (tile[1] * lanes) == 0]
    for height, vectors in tiles:
        width = vectors * lanes if panel is None else min(vectors * lanes, panel)
        return max(1, min(height, rows)), max(1, min(width, columns))
    return 1, panel or min(columns, lanes) or 1


def least_time(rows: int, columns: int, lanes: int, target: Target) -> float:
    """Half cycles of one step of the reduction for a whole output, with the best tile."""
    return _tiled_time(rows, columns, lanes, *tiles_by_time(rows, columns, lanes, target)[0])


def tiles_by_time(rows: int, columns: int, lanes: int, target: Target) -> list[tuple[int, int]]:
    """Rows and vectors of the tiles that registers allow, those with the least time first.

    A machine with many vector registers keeps some free; one with few cannot afford that. Each row
    takes an address register, of which there are few as well.
    """
    registers = target.vector_registers - max(1, target.vector_registers // 8 - 1)
    candidates = [
        (height, vectors)
        for vectors in range(1, 9)
        for height in range(1, MOST_ROWS + 1)
        if height * vectors + vectors + (1 if target.memory_operands else height) <= registers
    ]
    return sorted(candidates, key=lambda tile: _tiled_time(rows, columns, lanes, *tile))


def _tiled_time(rows: int, columns: int, lanes: int, height: int, vectors: int) -> float:
    """Estimated time of one step of the reduction for the whole output, tails included."""
    width = vectors * lanes
    tall, rest_rows = divmod(rows, height)
    wide, rest_columns = divmod(columns, width)
    rest_vectors = ceil(rest_columns / lanes)
    return (
        tall * wide * _tile_time(height, vectors)
        + wide * _tile_time(rest_rows, vectors)
        + tall * _tile_time(height, rest_vectors)
        + _tile_time(rest_rows, rest_vectors)
    )


def _tile_time(height: int, vectors: int) -> float:
    """Half cycles of one step for a tile: two multiply-adds and two loads a cycle, latency 4.

    Loads count a little even where arithmetic hides them, vectors more than single elements,
    because they come from caches; and each step pays for its loop.
    """
    if height == 0 or vectors == 0:
        return 0.0
    return max(height * vectors, height + vectors, 8) + 0.15 * height + 0.2 * vectors + 2.5
