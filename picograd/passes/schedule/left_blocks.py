"""Blocks in which the copy of a left operand stays in the second cache, where that pays on a CPU.

Otherwise a copy as tall as the operand is written to memory and read from there for each panel of
the right operand: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
(2008), keep it in the second cache, and copy the right operand once more for each block.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction
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
