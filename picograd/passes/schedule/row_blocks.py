"""How reductions go through a matrix that does not stay in the caches.

The sum of a matrix's columns, or a vector times a matrix: each result is one sum down a column. A
few columns at a time, every step leads to another row, often on another page, and little is
fetched ahead. A few rows at a time, all columns of which are added to sums that wait in the first
cache, the matrix is read as it lies in memory, in as many streams as a processor follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod

from xdsl.ir import Operation

from picograd.dialects.loop import (
    Dim,
    ForOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
    tile_rank,
    tile_shape,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Nest, element_bits, local_stride
from picograd.passes.schedule.choices import choices_for
from picograd.passes.schedule.operand_copies import extent_of
from picograd.targets import Target

ROWS_AT_ONCE = 8
"""The rows that are read side by side: their sums are loaded and stored once for all of them."""

MOST_STREAMS = 2
"""The rows that are summed along side by side: what comes from memory for one hides the wait for
another, and a vector that all are multiplied with is loaded once."""

SHORTEST = 8
"""The least turns of a loop over rows that are summed together."""

VECTORS_OF_A_ROW = 2
"""Machine vectors of each row that are summed at a time, where several rows are."""

ROW_BYTES = 1024
"""Shorter rows are read in a strip or two: most of each in a run of whole cache lines."""

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
                reduction: {depth.name: choices_for(nest.loop).rows or ROWS_AT_ONCE},
            }
    return {}


def _reads_rows(loads: Sequence[LoadOp], lane: Dim, depth: Dim, item: int, target: Target) -> bool:
    """Whether elements lie side by side along one dimension, rows apart along the other."""
    rows = [load for load in loads if local_stride(load, lane.variable) == 1]
    others = [load for load in loads if load not in rows]
    if not rows or not lane.is_constant or not depth.is_constant or depth.step != 1:
        return False
    if any(local_stride(load, lane.variable) for load in others):
        return False
    apart = min(local_stride(load, depth.variable) for load in rows)
    # The matrix may be shared out already: its chunks come from memory all the same.
    size = max(prod(memref_shape(load.memref.type)) for load in rows) * item
    return apart * item >= ROW_BYTES and size > target.l2_bytes


def even_blocks(extent: int, size: int, step: int) -> int:
    """A block size near `size` that divides an extent into nearly equal multiples of `step`."""
    blocks = max(1, round(extent / max(size, step)))
    return max(step, ceil(ceil(extent / blocks) / step) * step)


def rows_at_once(rows: ParallelOp, loop: ForOp, target: Target) -> int:
    """How many rows of a matrix are to share the loop that reduces each along itself.

    Several pay where the matrix comes from memory, and while the sums of all rows take at most half
    of the vector registers.
    """
    row, facts = rows.dims[-1], LoopFacts()
    trips = facts.trips(loop.dims[0])
    if target.kind != "cpu" or trips is None or not row.is_constant:
        return 1
    tiles = [value.type for value in loop.carried]
    if not all(tile_rank(type) == 1 for type in tiles):
        return 1
    vectors = sum(ceil(tile_shape(type)[0] / target.lanes(element_bits(type))) for type in tiles)
    nbytes = max(
        (
            tile_shape(load.result.type)[0] * element_bits(load.result.type) // 8
            for load in loop.body.block.ops
            if isinstance(load, LoadOp)
            and tile_rank(load.result.type) == 1
            and local_stride(load, row.variable)
        ),
        default=0,
    )
    times = MOST_STREAMS
    while times > 1 and (
        times * vectors > target.vector_registers // 2 or (row.extent or 0) < SHORTEST * times
    ):
        times //= 2
    return times if nbytes * trips * (row.extent or 0) > target.l2_bytes else 1


def streams_rows(op: ReduceOp, dim: Dim, target: Target) -> bool:
    """Whether a reduction along rows that come from memory stands alone in a loop over rows.

    Several of them then share a loop, in which each needs fewer sums of its own.
    """
    rows = op.parent_op()
    if not isinstance(rows, ParallelOp) or not dim.is_constant or not rows.dims[-1].is_constant:
        return False
    row = rows.dims[-1]
    if any(each is not op and each.regions for each in rows.body.block.ops):
        return False
    items = [
        element_bits(load.result.type) // 8
        for load in op.body.block.ops
        if isinstance(load, LoadOp)
        and local_stride(load, dim.variable) == 1
        and local_stride(load, row.variable)
    ]
    elements = (row.extent or 0) * (dim.extent or 0)
    return (
        max(items, default=0) * elements > target.l2_bytes
        and (row.extent or 0) >= SHORTEST * MOST_STREAMS
    )
