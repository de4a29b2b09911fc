"""How long reductions are cut into chunks that threads share: where, and how many rows each has."""

from __future__ import annotations

from math import prod

from picograd.dialects.loop import LoadOp, ParallelOp, ReduceOp, StoreOp, tile_rank
from picograd.passes.loops.nest_shape import local_stride
from picograd.passes.rewriting.loops import is_pure

MOST_PARTS = 256
"""One thread reduces them."""

FEW_ROWS = 8
"""Loops with fewer iterations leave threads without work, or with one more than others."""

ROWS_OF_COLUMNS = 128
"""The least rows of a chunk whose columns are summed: its sums are then little beside it."""

MOST_SUMS = 1 << 18
"""The most sums of chunks of columns: they stay in the caches until they are added."""

# Elements: chunks of whole vectors and cache lines.
_EVEN = 64


def rows_at_top(reduction: ReduceOp, chunk: int, shortest: int) -> int:
    """How many iterations of the outermost dimension a chunk takes; 0 to leave it whole."""
    if not _can_be_cut(reduction):
        return 0
    outer, *inner = [dim.extent or 0 for dim in reduction.dims]
    row = prod(inner)
    if outer * row < shortest:
        return 0
    rows = max(1, chunk // row, -(-outer // (MOST_PARTS - 1)))
    return _near(outer, rows, row, MOST_PARTS)


def rows_in_nest(loop: ParallelOp, reduction: ReduceOp, chunk: int, shortest: int) -> int:
    """The same for a reduction inside of a parallel loop, which has a result in each iteration.

    Few rows that are long, each of which is reduced; or a matrix whose rows are added to one
    another, with so few columns that they are read as they lie in memory.
    """
    if not _can_be_cut(reduction) or not _is_first(loop, reduction):
        return 0
    if not all(dim.is_constant and dim.step == 1 for dim in loop.dims):
        return 0
    outer, *inner = [dim.extent or 0 for dim in reduction.dims]
    results, row = prod(dim.extent or 0 for dim in loop.dims), prod(inner)
    if results < 1 or outer * row * results < shortest:
        return 0
    if _goes_down_columns(loop, reduction):
        most = min(MOST_PARTS, MOST_SUMS // results)
        rows = max(ROWS_OF_COLUMNS, chunk // results, -(-outer // max(1, most - 1)))
        return _near(outer, rows, 8, most)
    if results >= FEW_ROWS:
        return 0
    rows = max(1, chunk // row, -(-outer // (MOST_PARTS - 1)))
    return _near(outer, rows, row, MOST_PARTS)


def _can_be_cut(reduction: ReduceOp) -> bool:
    if not all(dim.is_constant and dim.step == 1 and dim.extent for dim in reduction.dims):
        return False
    if any(isinstance(op, StoreOp) for op in reduction.walk()):
        return False
    return not any(tile_rank(result.type) for result in reduction.outputs)  # memory holds elements


def _is_first(loop: ParallelOp, reduction: ReduceOp) -> bool:
    """Whether what stands before a reduction in a loop can be computed once more elsewhere."""
    before = list(loop.body.block.ops)
    before = before[: before.index(reduction)]
    return all(isinstance(op, LoadOp) or (is_pure(op) and not op.regions) for op in before)


def _goes_down_columns(loop: ParallelOp, reduction: ReduceOp) -> bool:
    """Whether neighbours in a loop are neighbours in memory, and the reduction leads across."""
    if len(loop.dims) != 1 or len(reduction.dims) != 1:
        return False
    (lane,), (depth,) = loop.dims, reduction.dims
    loads = [op for op in reduction.walk() if isinstance(op, LoadOp)]
    strides = [local_stride(load, lane.variable) for load in loads]
    apart = [
        local_stride(load, depth.variable)
        for load, stride in zip(loads, strides, strict=True)
        if stride
    ]
    return set(strides) <= {0, 1} and bool(apart) and min(apart) >= (lane.extent or 0)


def _near(outer: int, rows: int, row: int, most: int) -> int:
    """A number of rows near the one asked for: what divides all of them, if anything does.

    Without a chunk that is left over there is less code. 0 if there would be one chunk.
    """
    counts = range(max(2, outer // (2 * rows)), min(most, 2 * outer // rows) + 1)
    even = (outer // n for n in counts if outer % n == 0 and outer // n * row % _EVEN == 0)
    return max(even, default=0) or (rows if 2 * rows <= outer else 0)
