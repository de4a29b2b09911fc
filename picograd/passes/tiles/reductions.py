"""Turns a scalar reduction into one over tiles, with an accumulator for each lane.

The order in which elements are combined is fixed: lane l of a tile of n takes elements l, l + n,
l + 2n, … in turn, as far as whole tiles go; then the upper half of the lanes is combined with the
lower, lane by lane, until one is left; the elements after the last whole tile are a smaller tile of
their own, combined at the end, or with the first lanes where there is a combiner of its own. The
size of a tile comes from the target's description, so neither threads nor the values decide about
the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import UnitAttr, i1
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Linear, floordiv
from picograd.dialects.loop import (
    BroadcastOp,
    Dim,
    FoldOp,
    ForOp,
    LoopOp,
    ReduceKind,
    ReduceOp,
    ShuffleOp,
    YieldOp,
    combine,
    element_type,
    tile_shape,
    tile_type,
    yielded,
)
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import (
    LaneAxes,
    NotVectorizable,
    analyze_combiner,
    analyze_lanes,
)
from picograd.passes.loops.scalar_loops import TAIL
from picograd.passes.rewriting.loops import clone_body, copy_hint, replace_op, take_ops
from picograd.passes.tiles.in_order import in_order
from picograd.passes.tiles.vectorizer import Vectorizer

_LANES = frozenset({0})

Values = Sequence[SSAValue]


def tile_reduction(op: ReduceOp, name: str, size: int) -> None:
    """Replace a scalar reduction by one over tiles of `size` elements, folds, and a tail.

    Raises NotVectorizable if that cannot be.
    """
    dims = op.dims
    dim = next(dim for dim in dims if dim.name == name)
    others = [other for other in dims if other is not dim]
    if dim.step != 1 or len(dim.uppers) != 1:
        raise NotVectorizable("it has a step or several upper bounds")
    if any(isinstance(inner, LoopOp) for inner in op.body.block.ops):
        raise NotVectorizable("it holds other loops")
    (upper,) = dim.uppers
    parts: list[Values] = []
    new: list[Operation] = []

    extent = dim.extent
    if extent is not None:
        new.extend(_tiled_as_far_as(op, dim, others, size, parts))
    else:
        middle = dim.lower + floordiv(upper - dim.lower, size) * size
        ops, values = _tiled(op, replace(dim, uppers=(middle,), step=size), others, size)
        new.extend(ops)
        parts.append(_folded(op, values, new))
        rest = _rest(op, [replace(each, lower=middle) if each is dim else each for each in dims])
        new.append(rest)
        parts.append(rest.outputs)
    if not parts:
        return
    total = parts[0]
    start = [op.inits] if op.inits else []
    for part in [*parts[1:], *start]:
        total = _combined(op, total, part, new)
    for value in total:
        value.name_hint = None
    replace_op(op, new, [copy_hint(v, old) for v, old in zip(total, op.outputs, strict=True)])


def _tiled_as_far_as(
    op: ReduceOp, dim: Dim, others: Sequence[Dim], size: int, parts: list[Values]
) -> list[Operation]:
    """Reduce a dimension of a known extent; what it comes to is added to `parts`, if anything is.

    Only whole tiles are worth a loop. The elements behind them are one more tile. To fold it with a
    combiner takes many operations, so it is combined with the first lanes of the whole tiles.
    """
    extent, (upper,) = dim.extent or 0, dim.uppers
    middle = upper - extent % size
    whole = replace(dim, uppers=(middle,), step=size)
    new: list[Operation] = []
    first: Values = []
    copy = None
    if op.combiner is not None and not others and extent >= 2 * size:
        copy = in_order(op, dim.variable)
    if extent >= size:
        if copy is None:
            ops, first = _tiled(op, whole, others, size)
        else:
            ops, first = _tiled_in_order(op, copy, whole, size)
        new.extend(ops)
        if op.combiner is None:
            parts.append(_folded(op, first, new))
    if extent % size:
        last = Dim(middle, (upper,), extent % size, dim.name)
        ops, rest = _tiled(op, last, others, extent % size)
        new.extend(ops)
        if op.combiner is not None and first:
            first = _into_first_lanes(copy or op, first, rest, new)
        else:
            parts.append(_folded(op, rest, new))
    if op.combiner is not None and first:
        parts.append(_folded(op, first, new))
    if copy is not None:
        copy.erase()
    return new


def _into_first_lanes(
    op: ReduceOp, tiles: Values, rest: Values, new: list[Operation]
) -> Sequence[SSAValue]:
    """Tiles, whose first lanes are combined with those of smaller tiles."""
    (size,), (few,) = tile_shape(tiles[0].type), tile_shape(rest[0].type)
    first = [_picked(tile, tile, range(few), new) for tile in tiles]
    lanes = [*range(few), *range(2 * few, few + size)]
    both = _combined(op, first, rest, new)
    return [_picked(one, tile, lanes, new) for one, tile in zip(both, tiles, strict=True)]


def _rest(op: ReduceOp, dims: Sequence[Dim]) -> ReduceOp:
    """The same reduction over what is left after the last tile, one element at a time."""
    rest = ReduceOp(
        op.kind.data if op.kind is not None else None,
        dims,
        [result.type for result in op.outputs],
        body=clone_body(op),
        identities=op.identities,
        combiner=None if op.combiner is None else op.combiner.clone().detach_block(0),
    )
    rest.attributes[TAIL] = UnitAttr()
    return rest


def _tiled(
    op: ReduceOp, dim: Dim, others: Sequence[Dim], size: int
) -> tuple[list[Operation], Values]:
    """Reduce tiles of `size` elements; a loop that runs once is straight-line code."""
    variables = {each.name: each.variable for each in op.dims}
    axes = analyze_lanes(op.body.block, {variables[dim.name]: _LANES})
    once = dim.is_constant and dim.extent == dim.step
    dims = [*others, *([] if once else [dim])]
    before, identities, combiner = _tile_combiner(op, size, axes if dims else None)
    types = [tile_type(result.type, [size]) for result in op.outputs]
    kind = op.kind.data if op.kind is not None else None
    loop = ReduceOp(kind, dims, types, identities=identities, combiner=combiner) if dims else None
    block = loop.body.block if loop is not None else Block()
    indices = {variables[dim.name]: dim.lower + Lane(0)}
    for each in loop.dims if loop is not None else []:
        lane = Lane(0) if each.name == dim.name else 0
        indices[variables[each.name]] = Linear.of(each.variable) + lane
    vectorizer = Vectorizer([size], indices, axes, LoopFacts())
    vectorizer.block(op.body.block, block)
    values = [vectorizer.get(value, (0,), block) for value in yielded(op.body.block)]
    if loop is None:
        return take_ops(block), values
    block.add_op(YieldOp(*values))
    return [*before, loop], loop.outputs


def _tiled_in_order(
    op: ReduceOp, copy: ReduceOp, dim: Dim, size: int
) -> tuple[list[Operation], Values]:
    """Start from the first tile, and go on with the others one after another.

    `copy` is the reduction with a combiner for values that come in order.
    """
    variable = op.dims[0].variable
    ops, first = _tiled(op, replace(dim, uppers=(dim.lower + size,)), [], size)
    loop = ForOp(replace(dim, lower=dim.lower + size, iv=None), first)
    block = loop.body.block
    axes = analyze_lanes(op.body.block, {variable: _LANES})
    indices = {variable: Linear.of(block.args[0]) + Lane(0)}
    vectorizer = Vectorizer([size], indices, axes, LoopFacts())
    vectorizer.block(op.body.block, block)
    values = [vectorizer.get(value, (0,), block) for value in yielded(op.body.block)]
    new: list[Operation] = []
    combined = _combined(copy, loop.carried, values, new)
    block.add_ops([*new, YieldOp(*combined)])
    for argument in loop.carried:
        argument.name_hint = "so_far"
    return [*ops, loop], loop.outputs


# Combiners: named ones are operations, others are bodies that are copied


def _tile_combiner(
    op: ReduceOp, size: int, axes: LaneAxes | None
) -> tuple[list[Operation], Values, Block | None]:
    """The identities and the combiner for tiles, and the operations that make the identities.

    None of them for a named combiner, and without `axes`: where there is no loop.
    """
    if op.combiner is None or axes is None:
        return [], [], None
    analyze_combiner(op, axes, _LANES)
    spreads = [BroadcastOp(value, [0], [size]) for value in op.identities]
    vectorizer = Vectorizer([size], {}, axes, LoopFacts())
    return (
        [*spreads],
        [spread.result for spread in spreads],
        vectorizer.combiner(op.combiner.block, (0,)),
    )


def _combined(op: ReduceOp, left: Values, right: Values, new: list[Operation]) -> Values:
    """What a reduction combines two sets of values into: elements, or tiles of one size."""
    if op.combiner is None:
        assert op.kind is not None
        result = combine(op.kind.data, left[0], right[0])
        new.append(result)
        return result.results
    shape = tile_shape(left[0].type)
    axes = LaneAxes({})
    analyze_combiner(op, axes, _LANES if shape else frozenset())
    source, block = op.combiner.block, Block()
    vectorizer = Vectorizer(shape, {}, axes, LoopFacts())
    vectorizer.values |= zip(source.args, [*left, *right], strict=True)
    vectorizer.block(source, block)
    place = (0,) if shape else ()
    values = [vectorizer.get(value, place, block) for value in yielded(source)]
    new.extend(take_ops(block))
    return values


def _folded(op: ReduceOp, tiles: Values, new: list[Operation]) -> Values:
    """The lanes of tiles, combined."""
    if op.kind is not None:
        fold = FoldOp(op.kind.data, tiles[0])
        new.append(fold)
        return [fold.result]
    (lanes,) = tile_shape(tiles[0].type)
    whole = 1 << (lanes - 1).bit_length()
    if whole > lanes:
        tiles = [
            _picked(tile, _spread(identity, lanes, new), range(whole), new)
            for tile, identity in zip(tiles, op.identities, strict=True)
        ]
    while whole > 1:
        whole //= 2
        low, high = range(whole), range(whole, 2 * whole)
        left = [_picked(tile, tile, low, new) for tile in tiles]
        right = [_picked(tile, tile, high, new) for tile in tiles]
        tiles = _combined(op, left, right, new)
    # Of a tile of one lane any fold is the element.
    folds = [FoldOp(_any_kind(tile), tile) for tile in tiles]
    new.extend(folds)
    return [fold.result for fold in folds]


def _picked(
    left: SSAValue, right: SSAValue, lanes: Sequence[int], new: list[Operation]
) -> SSAValue:
    shuffle = ShuffleOp(left, right, lanes)
    new.append(shuffle)
    return shuffle.result


def _spread(value: SSAValue, lanes: int, new: list[Operation]) -> SSAValue:
    spread = BroadcastOp(value, [0], [lanes])
    new.append(spread)
    return spread.result


def _any_kind(tile: SSAValue) -> ReduceKind:
    return ReduceKind.OR if element_type(tile.type) == i1 else ReduceKind.ADD
