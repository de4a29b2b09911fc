"""Whether a copy of an operand of a contraction pays on a CPU.

A copy costs one pass over the operand, some of which goes on in the caches' place, and gives
contiguous, aligned panels. It pays when each element is used often, the operand lies far away, and
the way in which a register tile walks through it is bad for caches.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd, prod

from picograd.dialects.loop import Dim, LoadOp
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import (
    LINE_BYTES,
    Contraction,
    element_bits,
    layout_block,
    local_stride,
)
from picograd.passes.schedule.choices import choices_for
from picograd.targets import Target

MANY_USES = 32
"""Above so many uses of a panel, copying it costs a few percent of the work at most; fewer are
enough where its rows lie so that caches hold few of them."""

FEW_ROWS = 32
"""Up to so many rows of results the right operand is read by whole rows where it comes from far
away. More rows wait longer for their sums, which go through memory, than a copy takes."""

STREAMS = 32
"""The rows of an operand that are read side by side: a processor follows as many pages."""

SIDE_BY_SIDE = 48
"""The rows of a transposed operand that are copied into a panel side by side, at most, where the
copy is most of the work: beyond it, memory and pages are waited for."""

SHORT_SUM = 64
"""Up to so many terms, a sum takes no longer than writing what comes out to memory."""

MANY_BLOCKS = 8
"""Sums of fewer times that many terms gain nothing: there are few pages to wait for."""

MANY_PANELS = 8
"""From so many panels on a left operand is worth a copy that would half stay in the first cache."""

FEW_USES = 4
"""Below so many uses even an awkward operand is better read where it lies."""

PAGE_BYTES = 4096
"""Addresses so far apart differ in none of the bits that choose their place within a page."""

SPREAD_BYTES = 512
"""Lines that lie a multiple of so many bytes apart share an eighth of a first cache's places."""

SMALL_PART = 4
"""Of rows so many times as long as what is read of them, most of what a processor fetches ahead is
not needed."""

UNKNOWN_EXTENT = 1 << 20
"""Stands for an extent that is not known, so that it counts as large."""


def extent_of(dim: Dim, facts: LoopFacts) -> int:
    """The greatest extent of a dimension."""
    extent = facts.extent(dim)
    return UNKNOWN_EXTENT if extent is None else extent


def right_pays(
    loads: Iterable[LoadOp],
    contraction: Contraction,
    target: Target,
    facts: LoopFacts,
    tile: tuple[int, int],
) -> bool:
    """Whether to copy what the register tiles of a column share, panel by panel.

    A step of the reduction reads a piece of a row, the next step a piece of another one. What has
    no elements side by side, or needs padding, is copied nearly always; so is what is used several
    times and has rows that begin anywhere in a line, because half of all vectors or more would lie
    in two lines. Else what is used often, and large, or a small part of long rows, or else so
    spread that a panel does not stay in the first cache, for which it is small enough.
    """
    loads = list(loads)
    if lies_in_panels(loads, contraction):
        return False
    chosen = choices_for(contraction.nest.loop).packs("right")
    if chosen is not None:
        return chosen
    rows, columns = tile
    uses = total_extent(contraction.row, facts)
    if any(
        load.pad is not None or local_stride(load, contraction.lane.variable) not in (0, 1)
        for load in loads
    ):
        return uses >= FEW_USES
    if reads_rows(loads, contraction, target, facts, tile):
        return False
    item = contraction.nest.bits // 8
    depth = _depth(contraction, facts)
    apart = [local_stride(load, d.variable) for load in loads for d in contraction.reduction.dims]
    width = total_extent(contraction.lane, facts)
    if width > columns and any(distance * item % (target.vector_bits // 8) for distance in apart):
        return uses > FEW_USES * rows
    spread = any(distance and distance * item % SPREAD_BYTES == 0 for distance in apart)
    paged = any(distance and distance * item % PAGE_BYTES == 0 for distance in apart)
    size = width * depth * item
    large = size > target.l2_bytes // 4
    needed = MANY_USES // (2 if spread else 1)
    if paged or (spread and large) or size > target.l2_bytes // 2:
        needed = MANY_USES // 4
    if size > target.l2_bytes:
        needed = FEW_USES  # each use would fetch its rows from far away
    return uses > needed * rows and (
        large
        or min(apart, default=0) >= SMALL_PART * width
        or (spread and columns * depth * item <= target.l1_bytes)
    )


def lies_in_panels(loads: Iterable[LoadOp], contraction: Contraction) -> bool:
    """Whether what a register tile reads is one stream of memory: weights may lie so."""
    lane, depth = contraction.lane.variable, contraction.reduction.dims
    return all(
        local_stride(load, lane) == 1
        and layout_block([load], lane) in {local_stride(load, dim.variable) for dim in depth}
        for load in loads
    )


def reads_rows(
    loads: Iterable[LoadOp],
    contraction: Contraction,
    target: Target,
    facts: LoopFacts,
    tile: tuple[int, int],
) -> bool:
    """Whether a large right operand is read row by row, where it lies, for few rows of results.

    Panel by panel each step would lead to another page, of which a processor fetches nothing ahead.
    A few rows at a time, it follows all of them. The sums of all columns then wait in a cache, and
    few rows of results have few of them.
    """
    item = contraction.nest.bits // 8
    width, depth = total_extent(contraction.lane, facts), _depth(contraction, facts)
    if len(contraction.reduction.dims) > 1 or depth < MANY_BLOCKS * STREAMS:
        return False
    (dim,) = contraction.reduction.dims
    return (
        total_extent(contraction.row, facts) <= FEW_ROWS
        and width * depth * item > target.l2_bytes // 2
        and all(
            load.pad is None
            and local_stride(load, contraction.lane.variable) == 1
            and local_stride(load, dim.variable) >= width >= 2 * tile[1]
            for load in loads
        )
    )


def writes_rows(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int]
) -> bool:
    """Whether sums are so short, and results so large, that writing results takes the time.

    Panel by panel a piece of each row of results would be written, on a page of its own. A few rows
    at a time, all columns of which are computed while the right operand stays in the second cache,
    they are written as they lie; rows that begin anywhere in a line share lines with their pieces.
    """
    item = contraction.nest.bits // 8
    depth = _depth(contraction, facts)
    rows, width = (total_extent(dim, facts) for dim in (contraction.row, contraction.lane))
    batch = prod(total_extent(dim, facts) for dim in contraction.batch)
    return (
        depth <= SHORT_SUM
        and width >= 2 * tile[1]
        and depth * width * item <= target.l2_bytes // 4
        and batch * rows * width * item > 3 * target.l2_bytes // 4
    )


def turned_round_far_away(contraction: Contraction, target: Target, facts: LoopFacts) -> bool:
    """Whether a large transposed right operand is copied for few rows of results."""
    lane = contraction.lane
    size = total_extent(lane, facts) * _depth(contraction, facts) * contraction.nest.bits // 8
    return (
        total_extent(contraction.row, facts) <= FEW_ROWS
        and size > target.l2_bytes
        and any(local_stride(load, lane.variable) not in (0, 1) for load in contraction.right)
    )


def left_pays(
    load: LoadOp,
    contraction: Contraction,
    target: Target,
    facts: LoopFacts,
    tile: tuple[int, int],
) -> bool:
    """Whether to copy what the register tiles of a row share.

    Rows along which the reduction walks are streams, which need no copy. Otherwise each step leads
    to another line, and few of them stay in the first cache until the next tile needs what is left
    of them: there are too many, or they lie so far apart that they share its places. What comes
    from far away is worth a copy for a single use, because a copy reads more than a line in a row.
    """
    chosen = choices_for(contraction.nest.loop).packs("left")
    if chosen is not None:
        return chosen
    if any(local_stride(load, dim.variable) == 1 for dim in contraction.reduction.dims):
        return False
    uses = total_extent(contraction.lane, facts)
    lines = _depth(contraction, facts) * LINE_BYTES
    item = contraction.nest.bits // 8
    apart = min(local_stride(load, dim.variable) * item for dim in contraction.reduction.dims)
    if apart >= SPREAD_BYTES and _bytes_of(load) > 4 * target.l2_bytes:
        return True
    if lines > target.l1_bytes // 2:
        return uses >= FEW_USES * tile[1]
    return uses >= MANY_PANELS * tile[1] and lines > target.l1_bytes // 8


def room_of_panel(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int]
) -> int:
    """The bytes of the second cache that a panel of the right operand may take.

    Three sixteenths as a copy. Where it lies it is a column of pieces of rows; with rows as long as
    a power of two, they share as many places as the pieces of one page have.
    """
    right = contraction.right
    if lies_in_panels(right, contraction) or right_pays(right, contraction, target, facts, tile):
        return room_of_copy(target)
    item = contraction.nest.bits // 8
    apart = [
        gcd(local_stride(load, dim.variable) * item, PAGE_BYTES)
        for load in right
        for dim in contraction.reduction.dims
    ]
    return target.l2_bytes // 2 // max(8, max(apart, default=0) // (tile[1] * item))


def room_of_copy(target: Target) -> int:
    """The bytes of the second cache that the copy of a panel may take."""
    return 3 * target.l2_bytes // 16


def left_streams(
    contraction: Contraction, target: Target, facts: LoopFacts, tile: tuple[int, int]
) -> bool:
    """Whether the left operand is read where it lies."""
    return not any(left_pays(load, contraction, target, facts, tile) for load in contraction.left)


def total_extent(dim: Dim, facts: LoopFacts) -> int:
    """The extent of a dimension, the blocks around it taken together; large if not known."""
    last = facts.greatest(dim.variable)
    return extent_of(dim, facts) if last is None else last + 1


def _bytes_of(load: LoadOp) -> int:
    """The size of the buffer that is read."""
    return prod(memref_shape(load.memref.type)) * element_bits(load.result.type) // 8


def _depth(contraction: Contraction, facts: LoopFacts) -> int:
    """The terms of each sum."""
    return prod(total_extent(dim, facts) for dim in contraction.reduction.dims)
