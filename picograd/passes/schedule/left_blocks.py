"""Blocks of rows in which a left operand stays in the second cache, where that pays on a CPU.

Otherwise its copy, as tall as the operand, is written to memory and read from there for each panel
of the right operand: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (2008), keep it in the second cache, and copy the right operand once more for each
block. An operand that is read where it lies is a stream, for which the hardware fetches ahead; it
needs blocks only beside others that the hardware knows less of.
"""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Access, Contraction, local_stride
from picograd.passes.schedule.operand_copies import (
    extent_of,
    left_streams,
    room_of_panel,
    total_extent,
)
from picograd.targets import Target


class LeftBlock(NamedTuple):
    """Rows of a block, and the terms of its sums."""

    height: int
    depth: int


def left_block(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int]
) -> LeftBlock | None:
    """The block of a tall left operand that is copied; None where a copy of all rows is as good.

    So it is where all of it fits into the second cache. So it is where the right operand is wide:
    the panels that are copied again for each block but the first are then more than the left
    operand has elements.
    """
    if left_streams(contraction, target, facts, tile):
        return None
    item = contraction.nest.bits // 8
    columns = tile[1]
    depth = max(1, room_of_panel(contraction, target, facts, tile) // PART // (columns * item))
    height = max(tile[0], 3 * target.l2_bytes // 8 // (depth * item))
    rows, width = (total_extent(dim, facts) for dim in (contraction.row, contraction.lane))
    terms = max(extent_of(dim, facts) for dim in contraction.reduction.dims)
    if rows * terms * item <= target.l2_bytes // 2 or (ceil(rows / height) - 1) * width > rows:
        return None
    return LeftBlock(height, depth)


PART = 3
"""Of the depth of a panel alone: left and right operand share the second cache."""

FEWEST_ROWS = 256
"""Each block copies the right operand again, which costs a percent or two of so many rows."""


def height_beside_tiles(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int], depth: int
) -> int | None:
    """The rows of a block where sums are combined with large arrays of the results' shape.

    Panel by panel a few lines of each row of those are read, and the hardware fetches some more,
    which belong to the next panel. With fewer rows in a block, they and the left operand's rows are
    still in the second cache when that comes. None where nothing is read so, or where blocks would
    be too low.
    """
    if not left_streams(contraction, target, facts, tile):
        return None
    nest = contraction.nest
    item = nest.bits // 8
    summed = {op for reduction in nest.reductions for op in reduction.walk()}

    def is_large(access: Access) -> bool:
        variables = (contraction.row.variable, contraction.lane.variable)
        size = item * prod(memref_shape(access.memref.type))
        return size > target.l2_bytes and all(local_stride(access, each) for each in variables)

    beside = {load.memref for load in nest.loads if load not in summed and is_large(load)}
    if not beside:
        return None
    beside |= {store.memref for store in nest.stores if is_large(store)}
    height = 3 * target.l2_bytes // 8 // (item * (depth + len(beside) * tile[1]))
    return height if height >= FEWEST_ROWS else None
