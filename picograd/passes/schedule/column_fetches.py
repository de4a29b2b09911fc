"""What a loop that leads down the columns of a matrix is to fetch, and how far ahead.

A few columns at a time, each turn of the loop reads some lines of another row. The hardware fetches
ahead what lies in a row, in one page; it does not follow steps from row to row of more than half a
page, and hardly shorter ones with several lines each.

It goes to the second cache: rows about whole pages apart share few places in the first. Tiles of
rows that begin anywhere in a line take part of one line more than they have lines, and one fetch
for each of these is all there is. So it is the last element of a line that is fetched: the tile's
first line is the last one of the tile before it, which is in the second cache still.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from xdsl.ir import BlockArgument, Operation, SSAValue

from picograd.dialects.affine import Lane, Linear
from picograd.dialects.loop import (
    FETCH_L1,
    FETCH_L2,
    BroadcastOp,
    ForOp,
    KernelOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    YieldOp,
    tile_rank,
    tile_shape,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import Counter, LoopFacts
from picograd.passes.loops.nest_shape import (
    LINE_BYTES,
    Access,
    begins_on_lines,
    element_bits,
    place_in,
)
from picograd.targets import Target

ROWS_AHEAD = 16
"""So many rows on, some lines each: about as many as are on their way from memory at once."""

LONG = 2 * ROWS_AHEAD
"""The least turns of a loop that are worth it: the first rows are waited for all the same."""

LEAST_OPERATIONS = 16
"""Machine operations in a turn. With fewer, a processor that looks some hundreds of operations
ahead has the loads of as many rows on their way by itself, and a fetch only costs."""


def down_columns(loop: ParallelOp | ForOp, target: Target) -> Iterator[tuple[LoadOp, str, int]]:
    """The loads of a loop down columns that come from memory, with a cache and a distance each.

    What the loops around read again stays in a cache, or is to be copied: it is left alone.
    """
    if not isinstance(loop, ForOp) or any(isinstance(op, LoopOp) for op in loop.body.block.ops):
        return
    (dim,) = loop.dims
    trips = LoopFacts().trips(dim)
    if trips is None or trips < LONG or _machine_operations(loop, target) < LEAST_OPERATIONS:
        return
    for load in loop.body.block.ops:
        if not isinstance(load, LoadOp) or not is_of_kernel(load.memref):
            continue
        if FETCH_L1 in load.attributes or FETCH_L2 in load.attributes:
            continue
        place = place_in(load)
        if place is None or tile_rank(load.result.type) != 1 or place.coefficient(Lane(0)) != 1:
            continue
        (lanes,), item = tile_shape(load.result.type), item_bytes(load)
        apart = place.coefficient(dim.variable) * dim.step
        whole = prod(memref_shape(load.memref.type)) * item
        if apart > lanes and whole > target.l2_bytes and _comes_from_memory(load, loop):
            ends = 0 if begins_on_lines(place, item) else LINE_BYTES // item - 1
            yield load, FETCH_L2, ROWS_AHEAD * apart + ends


def _machine_operations(loop: ForOp, target: Target) -> int:
    """About how many a turn of a loop takes."""
    count = 0
    for op in loop.body.block.ops:
        values = op.results or op.operands[:1]
        if not isinstance(op, YieldOp | BroadcastOp) and values:
            lanes = target.lanes(max(8, element_bits(values[0].type)))
            *leading, last = tile_shape(values[0].type) or (1,)
            count += prod(leading) * -(-last // lanes)
    return count


def _comes_from_memory(load: LoadOp, loop: ForOp) -> bool:
    """Whether every loop around takes a load to another place, and no loop has just been there."""
    place, way, facts = place_in(load), _way(load, loop), LoopFacts()
    moves = facts.expand(Linear.of(0) if place is None else place).terms
    inner: Operation = loop
    while (around := inner.parent_op()) is not None and not isinstance(around, KernelOp):
        if isinstance(around, LoopOp):
            for dim in around.dims:
                if facts.trips(dim) != 1 and Counter(dim.variable) not in moves:
                    return False
        inner = around
    before = loop.prev_op
    while before is not None:
        if isinstance(before, ForOp) and any(
            isinstance(op, LoadOp) and op.memref is load.memref and _way(op, before) == way
            for op in before.body.block.ops
        ):
            return False
        before = before.prev_op
    return True


def _way(load: LoadOp, loop: ForOp) -> tuple[Linear, int] | None:
    """Where a load begins in a loop, and how far each turn leads."""
    place, (dim,) = place_in(load), loop.dims
    if place is None:
        return None
    start = place.substitute({dim.variable: dim.lower})
    return start, place.coefficient(dim.variable) * dim.step


def is_of_kernel(memref: SSAValue) -> bool:
    """Whether a buffer is one that the kernel is given, rather than one of its own."""
    return isinstance(memref, BlockArgument) and isinstance(memref.block.parent_op(), KernelOp)


def item_bytes(access: Access) -> int:
    """Bytes of an element."""
    value = access.result if isinstance(access, LoadOp) else access.value
    return element_bits(value.type) // 8
