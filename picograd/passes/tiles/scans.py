"""Turns a loop that carries a running total, and stores it at each step, into one over tiles.

The totals within a tile of n elements come about in log2(n) steps: each lane is combined with the
one before it, then with the one two before it, four before it, and so on (W. D. Hillis and G. L.
Steele, "Data parallel algorithms", 1986). Then the total of all tiles before is combined with each
lane: one operation is all that a tile waits for the one before. So the order is fixed by the size
of a tile, which comes from the target's description. What is left after the last whole tile is
taken element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from xdsl.dialects import arith
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Lane, Linear
from picograd.dialects.loop import (
    BroadcastOp,
    Dim,
    FoldOp,
    ForOp,
    LoadOp,
    ReduceKind,
    ShuffleOp,
    StoreOp,
    YieldOp,
    combines,
    identity,
    tile_rank,
    yielded,
)
from picograd.dialects.quick import create
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import analyze_lanes
from picograd.passes.loops.nest_shape import element_bits, local_stride
from picograd.passes.loops.scalar_loops import TAIL
from picograd.passes.rewriting.loops import clone_body, copy_hint, replace_op
from picograd.passes.tiles.vectorizer import Vectorizer
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target

_LANES = frozenset({0})

_KINDS: dict[type[Operation], ReduceKind] = {
    arith.AddfOp: ReduceKind.ADD,
    arith.MaximumfOp: ReduceKind.MAX,
    arith.MinimumfOp: ReduceKind.MIN,
    arith.AddiOp: ReduceKind.ADD,
    arith.MuliOp: ReduceKind.MUL,
    arith.MaxSIOp: ReduceKind.MAX,
    arith.MinSIOp: ReduceKind.MIN,
}
"""What may be regrouped. Not products of floats: one of later elements may overflow alone."""


@dataclass(frozen=True)
class Scan:
    """A loop that can go in tiles of so many elements."""

    loop: ForOp
    dim: Dim
    combined: Operation
    """The operation that combines the total so far with an element."""
    element: SSAValue
    lanes: int


def scan_of(loop: ForOp, target: Target) -> Scan | None:
    """The scan that a loop is; None for another loop, or where tiles are not worth it."""
    if target.kind != "cpu" or len(loop.carried) != 1:
        return None
    (dim,), (total,), (end,) = loop.dims, loop.carried, yielded(loop.body.block)
    combined = end.owner
    if (
        type(combined) not in _KINDS
        or not isinstance(combined, Operation)
        or combined.parent_block() is not loop.body.block
        or total not in combined.operands
        or tile_rank(total.type)
        or not combines(_KINDS[type(combined)], total.type)
    ):
        return None
    lanes = target.lanes(element_bits(total.type))
    long = dim.is_constant and dim.step == 1 and (dim.extent or 0) >= 2 * lanes > 2
    left, right = combined.operands
    element = right if left is total else left
    if not long or element is total or not _is_plain(loop, dim, combined):
        return None
    return Scan(loop, dim, combined, element, lanes)


def _is_plain(loop: ForOp, dim: Dim, combined: Operation) -> bool:
    """Whether elements lie side by side, each is read before it is overwritten, and nothing that is
    computed before the new total needs the old one.
    """
    ops = list(loop.body.block.ops)
    loads = [op for op in ops if isinstance(op, LoadOp)]
    stores = [op for op in ops if isinstance(op, StoreOp)]
    at = {op: number for number, op in enumerate(ops)}
    (total,) = loop.carried
    return (
        bool(stores)
        and not any(op.regions for op in ops)
        and all(local_stride(store, dim.variable) == 1 for store in stores)
        and all(local_stride(load, dim.variable) in (0, 1) for load in loads)
        and all(
            load.memref is not store.memref
            or (tuple(load.indices) == tuple(store.indices) and at[load] < at[store])
            for load in loads
            for store in stores
        )
        and all(at[use.operation] >= at[combined] for use in total.uses)
    )


def tile_scan(scan: Scan) -> None:
    """Replace a scan by one over tiles and a loop over what is left.

    Raises NotVectorizable if that cannot be.
    """
    loop, dim, lanes = scan.loop, scan.dim, scan.lanes
    (total,) = loop.carried
    axes = analyze_lanes(loop.body.block, {dim.variable: _LANES}, {total: _LANES})
    middle = dim.uppers[0] - (dim.extent or 0) % lanes
    start = BroadcastOp(loop.inits[0], [0], [lanes])
    none = identity(_KINDS[type(scan.combined)], total.type)
    nothing = BroadcastOp(none.result, [0], [lanes])
    tiled = ForOp(replace(dim, uppers=(middle,), step=lanes, iv=None), [start.result])
    block, (before,) = tiled.body.block, tiled.carried
    copy_hint(block.args[0], dim.variable)
    copy_hint(before, total)
    vectorizer = Vectorizer(
        [lanes], {dim.variable: Linear.of(block.args[0]) + Lane(0)}, axes, LoopFacts()
    )

    def add(op: Operation) -> SSAValue:
        block.add_op(op)
        return op.results[0]

    def combine(left: SSAValue, right: SSAValue) -> SSAValue:
        old = scan.combined
        return add(create(type(old), [left, right], [left.type], old.properties))

    after = before
    for op in loop.body.block.ops:
        if op is scan.combined:
            tile = vectorizer.get(scan.element, (0,), block)
            here = _totals(tile, nothing.result, lanes, combine, add)
            last = add(ShuffleOp(here, here, [lanes - 1] * lanes))
            totals = combine(before, here)
            after = combine(before, last)
            vectorizer.values[op.results[0]] = copy_hint(totals, op.results[0])
            if total.uses.get_length() > 1:
                lane_before = [lanes, *range(lanes - 1)]
                vectorizer.values[total] = add(ShuffleOp(totals, before, lane_before))
        elif not isinstance(op, YieldOp):
            for old, copied in zip(op.results, vectorizer.copy(op, block), strict=True):
                vectorizer.values[old] = copy_hint(copied, old)
    block.add_op(YieldOp(after))
    one = ShuffleOp(tiled.outputs[0], tiled.outputs[0], [0])
    # Of a tile of one lane any fold is the element.
    end = FoldOp(ReduceKind.MAX, one.result)
    new: list[Operation] = [start, none, nothing, tiled, one, end]
    result = end.result
    if middle != dim.uppers[0]:
        rest = ForOp(replace(dim, lower=middle, iv=None), [result], clone_body(loop))
        rest.attributes |= loop.attributes
        rest.attributes[TAIL] = UnitAttr()
        new.append(rest)
        result = rest.outputs[0]
    replace_op(loop, new, [copy_hint(result, loop.outputs[0])])


def _totals(
    tile: SSAValue,
    nothing: SSAValue,
    lanes: int,
    combine: Callable[[SSAValue, SSAValue], SSAValue],
    add: Callable[[Operation], SSAValue],
) -> SSAValue:
    """Each lane of a tile combined with all lanes before it."""
    distance = 1
    while distance < lanes:
        shifted = [*range(lanes, lanes + distance), *range(lanes - distance)]
        tile = combine(add(ShuffleOp(tile, nothing, shifted)), tile)
        distance *= 2
    return tile
