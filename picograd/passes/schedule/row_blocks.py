"""Blocks for reductions over the rows of a matrix that does not stay in the caches.

The sum of a matrix's columns, or a vector times a matrix: each result is one sum down a column. A
few columns at a time, every step leads to another page, and nothing is fetched ahead. A few rows
at a time, all columns of which are added to sums that wait in the first cache, the matrix is read
as it lies in memory, in as many streams as a processor follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from xdsl.ir import Operation

from picograd.dialects.loop import Dim, LoadOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Nest, local_stride
from picograd.passes.schedule.operand_copies import extent_of
from picograd.targets import Target

ROWS_AT_ONCE = 8
"""The rows that are read side by side: their sums are loaded and stored once for all of them."""

PAGE_BYTES = 4096
"""Rows at least so far apart lie on pages of their own."""

PIECE_BYTES = 8192
"""The piece of each row that is read before the next rows: two pages, so that most of it comes
ahead of time, and little enough that several threads find work in one matrix."""


def row_blocks(nest: Nest, target: Target, facts: LoopFacts) -> dict[Operation, Mapping[str, int]]:
    """Sizes for a loop over columns and the reduction over rows in it, if they are worth it."""
    if nest.loop.mapping is not None or len(nest.reductions) != 1:
        return {}
    (reduction,) = nest.reductions
    inside = set(reduction.walk())
    loads = [load for load in nest.loads if load in inside]
    if reduction.kind is None or len(reduction.dims) != 1:
        return {}
    (depth,) = reduction.dims
    for lane in nest.dims:
        if _reads_rows(loads, lane, depth, nest.bits // 8, target) and all(
            local_stride(store, lane.variable) == 1 for store in nest.stores
        ):
            piece = PIECE_BYTES * 8 // nest.bits
            width = even_blocks(extent_of(lane, facts), piece, 4 * target.lanes(nest.bits))
            outer = {dim.name: 1 for dim in nest.dims if extent_of(dim, facts) > 1}
            return {
                nest.loop: outer | {lane.name: width},
                reduction: {depth.name: ROWS_AT_ONCE},
            }
    return {}


def _reads_rows(loads: Sequence[LoadOp], lane: Dim, depth: Dim, item: int, target: Target) -> bool:
    """Whether elements lie side by side along one dimension, and pages apart along the other."""
    rows = [load for load in loads if local_stride(load, lane.variable) == 1]
    others = [load for load in loads if load not in rows]
    if not rows or not lane.is_constant or not depth.is_constant or depth.step != 1:
        return False
    if any(local_stride(load, lane.variable) for load in others):
        return False
    apart = min(local_stride(load, depth.variable) for load in rows)
    size = (lane.extent or 0) * (depth.extent or 0) * item
    return apart * item >= PAGE_BYTES and size > target.l2_bytes


def even_blocks(extent: int, size: int, step: int) -> int:
    """A block size near `size` that divides an extent into nearly equal multiples of `step`."""
    blocks = max(1, round(extent / max(size, step)))
    return max(step, ceil(ceil(extent / blocks) / step) * step)
