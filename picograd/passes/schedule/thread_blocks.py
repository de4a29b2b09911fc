"""Blocks of rows of which each is one thread's, with the copies that it reads.

What one thread has copied lies in the second cache of its core. Another that reads it waits for
each line: a left operand that is copied once for all columns, which threads then share, took a
fifth of the time of a product of 512 x 128 by 128 x 512 numbers on two threads. Where threads take
blocks of rows, each copies those of the left operand, and the panels of the right one once more.
"""

from __future__ import annotations

from math import ceil, prod

from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction
from picograd.passes.schedule.crosswise import turns_results
from picograd.passes.schedule.operand_copies import left_streams, total_extent
from picograd.targets import Target

TURNS = 2
"""Blocks for each core: with one, a core that is late keeps the others waiting."""

LEAST_ROWS = 96
"""Rows for which to turn a panel round is an eighth of the work, or less."""

LEAST_COPIED = 128
"""Rows for which to copy a panel as it lies is a thirtieth of the work, or less."""


def rows_for_threads(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int]
) -> int | None:
    """Rows of a block, so that each core gets some; None where there is no need, or no gain.

    Where results are turned round, each block copies the panels that it meets. Else blocks serve a
    left operand that is copied: one that is small, so that copies are much of the work.
    """
    wanted = TURNS * target.cores
    if target.cores < 2 or prod(total_extent(dim, facts) for dim in contraction.batch) >= wanted:
        return None
    rows = total_extent(contraction.row, facts)
    if turns_results(contraction):
        panels = ceil(total_extent(contraction.lane, facts) / tile[1])
        if panels == 1:  # it is copied once for all blocks
            return None
        return max(LEAST_ROWS, ceil(rows / ceil(wanted / panels)))
    terms = prod(total_extent(dim, facts) for dim in contraction.reduction.dims)
    size = rows * terms * contraction.nest.bits // 8
    height = ceil(rows / wanted)
    if size > target.l2_bytes // 4 or height < LEAST_COPIED:
        return None
    return None if left_streams(contraction, target, facts, tile) else height
