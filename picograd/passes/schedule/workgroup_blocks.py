"""Blocks of a contraction that a GPU's workgroups compute, and tiles of their invocations."""

from __future__ import annotations

from math import ceil, prod

from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction
from picograd.passes.schedule.operand_copies import extent_of
from picograd.targets import Target

GPU_TILES = (8, 4, 2)
"""Rows and columns that one invocation may compute; the larger, the fewer loads a product."""

GPU_SIDE = 8
"""Rows and columns of invocations in a workgroup that computes a block."""

GPU_DEPTH = 16
"""The depth of a block that a workgroup stages at a time."""

GPU_GROUPS = 4
"""Workgroups for each core: while one waits for memory, the core runs another."""


def workgroup_blocks(contraction: Contraction, target: Target, facts: LoopFacts) -> dict[str, int]:
    """Blocks for one workgroup, none where the output is too small to share its operands."""
    row, lane = contraction.row, contraction.lane
    if min(extent_of(row, facts), extent_of(lane, facts)) < GPU_SIDE * GPU_TILES[-1]:
        return {}
    side = GPU_SIDE * _invocation_tile(contraction, target, facts)
    depth, item = GPU_DEPTH, contraction.nest.bits // 8
    while 2 * side * depth * item > target.workgroup_bytes > 0 and depth > 1:
        depth //= 2
    depth_dim = max(contraction.reduction.dims, key=lambda dim: extent_of(dim, facts))
    return {row.name: side, lane.name: side, depth_dim.name: depth}


def _invocation_tile(contraction: Contraction, target: Target, facts: LoopFacts) -> int:
    """The largest tile whose blocks are numerous enough to keep the whole machine at work."""
    batch = prod(extent_of(dim, facts) for dim in contraction.batch)
    sides = [extent_of(dim, facts) for dim in (contraction.row, contraction.lane)]
    for tile in GPU_TILES:
        blocks = batch * prod(ceil(side / (GPU_SIDE * tile)) for side in sides)
        if blocks >= GPU_GROUPS * target.cores:
            return tile
    return GPU_TILES[-1]
