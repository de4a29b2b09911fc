"""Tile sizes for a kernel, chosen from the facts of a machine.

Blocks for caches follow Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
(2008), and Low et al., "Analytical Modeling Is Enough for High-Performance BLIS" (2016), for caches
of today: the panel of the right operand that register tiles share stays in the second cache, which
the left operand streams through from the third. `register_tiles` tells which tile registers hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, prod

from xdsl.ir import Operation

from picograd.dialects.loop import (
    CheckedIndexOp,
    Dim,
    KernelOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
)
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import NotVectorizable, analyze_lanes
from picograd.passes.loops.nest_shape import (
    Access,
    Contraction,
    Nest,
    element_bits,
    layout_block,
    local_stride,
    nest_of,
)
from picograd.passes.polynomials.formulas import FORMULAS
from picograd.passes.rewriting.loops import inner_first
from picograd.passes.schedule.choices import choices_for
from picograd.passes.schedule.crosswise import contraction_for
from picograd.passes.schedule.left_blocks import height_beside_tiles, left_block
from picograd.passes.schedule.operand_copies import (
    LINE_BYTES,
    PAGE_BYTES,
    SIDE_BY_SIDE,
    STREAMS,
    extent_of,
    left_streams,
    reads_rows,
    right_pays,
    room_of_panel,
    total_extent,
    turned_round_far_away,
    writes_rows,
)
from picograd.passes.schedule.register_tiles import best_tile
from picograd.passes.schedule.row_blocks import (
    MOST_STREAMS,
    VECTORS_OF_A_ROW,
    even_blocks,
    row_blocks,
    streams_rows,
)
from picograd.passes.schedule.thread_blocks import rows_for_threads
from picograd.passes.schedule.workgroup_blocks import GPU_SIDE, GPU_TILES, workgroup_blocks
from picograd.targets import Target

Sizes = Mapping[Operation, Mapping[str, int]]

ROWS_WRITTEN = 24
"""Rows of results that are written side by side: fewer streams than a processor follows."""

VECTORS_IN_FLIGHT = 4
"""Machine vectors that an elementwise loop works on at once: hides the latency of arithmetic."""

LIGHT_BODY = 3
"""The most operations of a reduction's body with which it waits for its accumulator."""

NEAR = 4
"""Elements of a reduction are read by vectors where they lie so far apart at most: the CPU reads as
many vectors as that and picks."""

SMALL_EXTENT = 4
"""Reductions over fewer elements stay scalar: folding a tile costs more."""


def leaf_nests(kernel: KernelOp) -> list[Nest]:
    """The parallel loops of a kernel that hold no others."""
    nests = (nest_of(loop) for loop in inner_first(kernel, ParallelOp))
    return [nest for nest in nests if nest is not None]


# Blocks for caches and workgroups


def block_sizes(kernel: KernelOp, target: Target) -> Sizes:
    """The sizes of the blocks of each contraction, and of sums over the rows of large matrices."""
    facts = LoopFacts()
    sizes: dict[Operation, Mapping[str, int]] = {}
    for nest in leaf_nests(kernel):
        contraction = contraction_for(nest, target, facts)
        if contraction is None and target.kind == "cpu":
            sizes |= row_blocks(nest, target, facts)
        if contraction is None or nest.loop.mapping is not None or _is_blocked(contraction):
            continue
        if target.kind == "gpu":
            chosen = workgroup_blocks(contraction, target, facts)
        elif runs_along_memory(contraction, target, facts):
            chosen = _blocks_of_rows(contraction, target, facts)
        else:
            chosen = _cache_blocks(contraction, target, facts)
        outer = {dim.name: 1 for dim in contraction.batch if extent_of(dim, facts) > 1}
        sizes[nest.loop] = outer | chosen
        sizes[contraction.reduction] = chosen
    return sizes


def _is_blocked(contraction: Contraction) -> bool:
    """Whether the contraction lies in blocks already: its bounds depend on other loops."""
    dims = [contraction.lane, contraction.row, *contraction.reduction.dims]
    return any(not dim.lower.is_constant for dim in dims)


def _cache_blocks(contraction: Contraction, target: Target, facts: LoopFacts) -> dict[str, int]:
    """Blocks for one core's caches, outermost first.

    A panel of the right operand, as wide as a register tile, is read for every tile of rows, and
    stays in the second cache. The rows of the left operand go by once for each panel, a few
    elements a step, which a processor fetches ahead even from the third cache; the deeper the
    blocks are, the more rarely sums wait in memory. Where the right operand is copied, that is done
    panel by panel, just before a panel is read: then it is in the second cache already.
    """
    item = contraction.nest.bits // 8
    tile = register_tile(contraction, target, facts)
    rows, columns = tile
    lane = contraction.lane
    depth_dim = max(contraction.reduction.dims, key=lambda dim: extent_of(dim, facts))
    extent = extent_of(depth_dim, facts)
    panel = max(1, room_of_panel(contraction, target, facts, tile) // (columns * item))
    step = max(SHORTEST_STEP, target.lanes(contraction.nest.bits))
    chosen = choices_for(contraction.nest.loop)
    streamed = not chosen.packs("right") and reads_rows(
        contraction.right, contraction, target, facts, tile
    )
    depth = even_blocks(extent, chosen.depth or ceil(extent / ceil(extent / panel)), step)
    if streamed and not chosen.depth:
        depth = STREAMS
    # The third cache is shared, and what a virtual machine tells about it is often too much.
    shared = min(target.l3_bytes // 4, 8 * target.l2_bytes) or 2 * target.l2_bytes
    height = chosen.height or shared // (min(depth, extent) * item)
    block = left_block(contraction, target, facts, tile)
    if block is not None and not streamed:
        depth = even_blocks(extent, chosen.depth or block.depth, step)
        height = chosen.height or block.height
    lower = (
        rows_for_threads(contraction, target, facts, tile),
        height_beside_tiles(contraction, target, facts, tile, min(depth, extent)),
    )
    if not chosen.height:
        height = min([height, *(one for one in lower if one is not None)])
    wide = chosen.width or (PAGE_BYTES // item if streamed else 0)
    if writes_rows(contraction, target, facts, tile):
        height = chosen.height or ROWS_WRITTEN
        wide = chosen.width or extent_of(lane, facts)
    width = even_blocks(extent_of(lane, facts), wide, columns) if wide else columns
    return {
        contraction.row.name: even_blocks(extent_of(contraction.row, facts), height, rows),
        lane.name: width,
        depth_dim.name: depth,
    }


def runs_along_memory(contraction: Contraction, target: Target, facts: LoopFacts) -> bool:
    """Whether each sum goes along a row of the right operand, which no copy turns round."""
    tile = register_tile(contraction, target, facts)
    return not _is_contiguous(contraction.right, contraction.lane) and not right_pays(
        contraction.right, contraction, target, facts, tile
    )


def _blocks_of_rows(contraction: Contraction, target: Target, facts: LoopFacts) -> dict[str, int]:
    """So many rows of the right operand as stay in the first cache until all sums have used them.

    Sums along memory are not cut: each is one stream, and two go on side by side.
    """
    chosen, lane = choices_for(contraction.nest.loop), contraction.lane
    terms = prod(extent_of(dim, facts) for dim in contraction.reduction.dims)
    rows = target.l1_bytes // 2 // (terms * contraction.nest.bits // 8)
    size = chosen.width or max(MOST_STREAMS, rows)
    return {lane.name: even_blocks(extent_of(lane, facts), size, MOST_STREAMS)}


SHORTEST_STEP = 8
"""Depths of blocks are multiples of this and of a vector's lanes: a transposed operand is packed in
square tiles, which must fit into the blocks. Column by column, rows whose length is a power of two
would fall into the same few lines of the cache."""


# Register tiles


def register_tile(contraction: Contraction, target: Target, facts: LoopFacts) -> tuple[int, int]:
    """Rows and columns of the tile of accumulators that stays in registers.

    The layout of staged operands, if there is one, has decided already.
    """
    accesses = contraction.nest.loads
    row_block = layout_block(accesses, contraction.row.variable)
    lane_block = layout_block(accesses, contraction.lane.variable)
    if target.kind == "gpu":
        rows, columns = (
            min(GPU_TILES[0], ceil(extent_of(dim, facts) / GPU_SIDE))
            for dim in (contraction.row, contraction.lane)
        )
        return row_block or rows, lane_block or columns
    lanes = target.lanes(contraction.nest.bits)
    # Of the whole loops, so that blocks of them get the tiles that they were cut for.
    height, width = (total_extent(dim, facts) for dim in (contraction.row, contraction.lane))
    widest = SIDE_BY_SIDE if turned_round_far_away(contraction, target, facts) else None
    rows, columns = best_tile(height, width, lanes, target, lane_block, widest)
    chosen = choices_for(contraction.nest.loop)
    if chosen.rows:
        rows = max(1, min(chosen.rows, height))
    if chosen.vectors and lane_block is None:
        columns = max(1, min(chosen.vectors * lanes, width))
    return row_block or rows, columns


def register_sizes(kernel: KernelOp, target: Target) -> Sizes:
    """The sizes of the register tiles of each innermost parallel loop."""
    facts = LoopFacts()
    sizes: dict[Operation, Mapping[str, int]] = {}
    for nest in leaf_nests(kernel):
        if nest.loop.mapping is not None:
            continue
        chosen = _register_sizes(nest, target, facts)
        if chosen and _is_vectorizable(nest, chosen):
            sizes[nest.loop] = chosen
    return sizes


def _register_sizes(nest: Nest, target: Target, facts: LoopFacts) -> dict[str, int]:
    contraction = contraction_for(nest, target, facts)
    if contraction is not None and _is_contiguous(contraction.right, contraction.lane):
        if target.kind == "gpu" and not _is_blocked(contraction):
            return {}
        rows, columns = register_tile(contraction, target, facts)
        return {contraction.lane.name: columns, contraction.row.name: rows}
    if target.kind == "gpu":
        return {}
    return _elementwise_sizes(nest, target, facts)


def vectors_in_flight(loop: Operation, target: Target) -> int:
    """Machine vectors that a loop works on at once.

    Polynomials keep a dozen coefficients in registers, which leaves room for few vectors; and they
    are so long that a processor overlaps one turn of the loop with the next by itself.
    """
    if chosen := choices_for(loop).vectors:
        return chosen
    if any(type(op) in FORMULAS for op in loop.walk()):
        return max(1, min(VECTORS_IN_FLIGHT, target.vector_registers // 16))
    return VECTORS_IN_FLIGHT


def _is_light(op: ReduceOp) -> bool:
    """Whether a reduction does so little that its accumulators and memory set the pace.

    Twice the vectors then hide the latency of both; down columns they are longer runs of memory.
    """
    return op.kind is not None and len(op.body.block.ops) <= LIGHT_BODY


def _is_contiguous(loads: Iterable[Access], dim: Dim) -> bool:
    return all(local_stride(load, dim.variable) in (0, 1) for load in loads)


def _elementwise_sizes(nest: Nest, target: Target, facts: LoopFacts) -> dict[str, int]:
    """Lanes along the dimension in which memory runs; two dimensions where a copy transposes."""
    lanes = target.lanes(nest.bits)
    inside = {op for reduction in nest.reductions for op in reduction.walk()}
    candidates: list[tuple[int, Dim]] = []
    for dim in nest.dims:
        strides = [local_stride(access, dim.variable) for access in nest.accesses]
        hot = [local_stride(a, dim.variable) for a in nest.loads if a in inside]
        if 1 in strides and all(stride in (0, 1) for stride in hot):
            candidates.append((strides.count(1), dim))
    if not candidates:
        return {}
    lane = max(candidates, key=lambda pair: pair[0])[1]
    block = layout_block(nest.accesses, lane.variable)
    strided = [a for a in nest.accesses if local_stride(a, lane.variable) not in (0, 1)]
    other = _transposed_dim(nest, strided, lane) if not nest.reductions else None
    if other is None:
        vectors = vectors_in_flight(nest.loop, target)
        light = nest.reductions and all(map(_is_light, nest.reductions))
        if light and not choices_for(nest.loop).vectors:
            vectors = 2 * VECTORS_IN_FLIGHT
        size = block or min(extent_of(lane, facts), vectors * lanes)
        deep = _depth_of_panels(nest, lane, block)
        if deep is not None:
            return {deep.name: min(extent_of(deep, facts), SHORTEST_STEP), lane.name: size}
        return {lane.name: max(1, size)}
    # Panel by panel a copy into blocks reads and writes along memory; its rows are then streams
    # that the processor fetches ahead.
    return {
        dim.name: layout_block(nest.accesses, dim.variable)
        or max(1, min(extent_of(dim, facts), lanes))
        for dim in ((other, lane) if block is None else (lane, other))
    }


def _depth_of_panels(nest: Nest, lane: Dim, block: int | None) -> Dim | None:
    """The dimension along which a copy fills whole lines, where a panel's row is less than one."""
    if block is None or nest.reductions or block * nest.bits // 8 >= LINE_BYTES:
        return None
    for dim in nest.dims:
        if dim is not lane and all(local_stride(s, dim.variable) == block for s in nest.stores):
            return dim
    return None


def _transposed_dim(nest: Nest, strided: Sequence[Access], lane: Dim) -> Dim | None:
    """The dimension along which those accesses are contiguous that `lane` strides through."""
    for dim in nest.dims:
        contiguous = all(local_stride(access, dim.variable) == 1 for access in strided)
        if dim is not lane and strided and contiguous:
            return dim
    return None


def _is_vectorizable(nest: Nest, sizes: Mapping[str, int]) -> bool:
    lanes = {
        dim.variable: frozenset({axis})
        for axis, dim in enumerate(dim for dim in nest.dims if sizes.get(dim.name, 1) > 1)
    }
    try:
        analyze_lanes(nest.loop.body.block, lanes)
    except NotVectorizable:
        return False
    return bool(lanes)


# Reductions


def reduce_sizes(reductions: Sequence[ReduceOp], target: Target) -> dict[ReduceOp, tuple[str, int]]:
    """Dimension and number of accumulators of reductions that run along memory, or read none.

    Of several dimensions the one whose elements lie closest, of equals the last.
    """
    facts = LoopFacts()
    sizes: dict[ReduceOp, tuple[str, int]] = {}
    if target.kind != "cpu":
        return sizes
    for op in reductions:
        loads = [load for load in op.walk() if isinstance(load, LoadOp)]
        nearest = NEAR
        for dim in op.dims:
            strides = {abs(local_stride(load, dim.variable)) for load in loads} - {0}
            extent, apart = extent_of(dim, facts), max(strides, default=1)
            if (loads and not strides) or apart > nearest or extent < SMALL_EXTENT:
                continue
            nearest = apart
            lanes = target.lanes(element_bits(op.outputs[0].type))
            light = _is_light(op)
            vectors = 2 * VECTORS_IN_FLIGHT if light else vectors_in_flight(op, target)
            if streams_rows(op, dim, target):
                vectors = VECTORS_OF_A_ROW
            vectors = choices_for(op).accumulators or vectors
            sizes[op] = (dim.name, min(extent, vectors * lanes))
    return sizes


# Hoisting


def accumulator_space(target: Target) -> str:
    """Where running values wait: wherever it suits on a CPU, in registers on a GPU."""
    return "private" if target.kind == "gpu" else ""


def hoist_target(reduction: ReduceOp, target: Target) -> ParallelOp | None:
    """The outermost parallel loop that the blocks of a reduction should move above.

    On a CPU a block of the right operand is then used for all rows; on a GPU each workgroup keeps
    its own sums. None for a reduction that tiling has not blocked.
    """
    dims = reduction.dims
    inner = [op for op in reduction.body.block.ops if isinstance(op, ReduceOp)]
    if len(dims) != 1 or len(inner) != 1 or dims[0].step == 1:
        return None
    if not any(dims[0].variable in dim.lower.values() for dim in inner[0].dims):
        return None
    loop = reduction.parent_op()
    if not isinstance(loop, ParallelOp):
        return None
    if target.kind == "gpu" and any(isinstance(op, CheckedIndexOp) for op in loop.walk()):
        # round_up_loops leaves tails that check indices as loops, whose threads share out a
        # register buffer in another way than those of the whole tiles.
        return None
    nest = nest_of(loop)
    contraction = contraction_for(nest, target, LoopFacts()) if nest is not None else None
    if target.kind == "gpu" or contraction is None:
        return loop
    facts, top = LoopFacts(), loop
    starts = set(contraction.row.lower.values())
    if not left_streams(contraction, target, facts, register_tile(contraction, target, facts)):
        starts |= contraction.lane.lower.values()
    while isinstance(parent := top.parent_op(), ParallelOp):
        variables = set(parent.induction_variables)
        if not variables & starts:
            break
        top = parent
    return top
