"""Turns a scalar reduction into one over tiles, with an accumulator for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Linear, floordiv
from picograd.dialects.loop import (
    Dim,
    FoldOp,
    LoopOp,
    ReduceOp,
    YieldOp,
    combine,
    tile_type,
    yielded,
)
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import NotVectorizable, analyze_lanes
from picograd.passes.loops.scalar_loops import TAIL
from picograd.passes.rewriting.loops import clone_body, copy_hint, replace_op, take_ops
from picograd.passes.tiles.vectorizer import Vectorizer


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
    assert op.kind is not None
    kind = op.kind.data
    (upper,) = dim.uppers
    parts: list[SSAValue] = []
    new: list[Operation] = []

    def add(ops: Sequence[Operation], value: SSAValue) -> None:
        new.extend(ops)
        fold = FoldOp(kind, value)
        new.append(fold)
        parts.append(fold.result)

    extent = dim.extent
    if extent is not None:
        middle = upper - extent % size
        if extent >= size:
            add(*_tiled(op, replace(dim, uppers=(middle,), step=size), others, size))
        if extent % size:
            last = Dim(middle, (upper,), extent % size, dim.name)
            add(*_tiled(op, last, others, extent % size))
    else:
        middle = dim.lower + floordiv(upper - dim.lower, size) * size
        add(*_tiled(op, replace(dim, uppers=(middle,), step=size), others, size))
        rest = ReduceOp(
            kind,
            [replace(other, lower=middle) if other is dim else other for other in dims],
            [op.outputs[0].type],
            body=clone_body(op),
        )
        rest.attributes[TAIL] = UnitAttr()
        new.append(rest)
        parts.append(rest.outputs[0])
    if not parts:
        return
    total = parts[0]
    for part in [*parts[1:], *op.inits]:
        combined = combine(kind, total, part)
        new.append(combined)
        total = combined.results[0]
    total.name_hint = None
    replace_op(op, new, [copy_hint(total, op.outputs[0])])


def _tiled(
    op: ReduceOp, dim: Dim, others: Sequence[Dim], size: int
) -> tuple[list[Operation], SSAValue]:
    """Reduce tiles of `size` elements; a loop that runs once is straight-line code."""
    assert op.kind is not None
    variables = {each.name: each.variable for each in op.dims}
    axes = analyze_lanes(op.body.block, {variables[dim.name]: frozenset({0})})
    once = dim.is_constant and dim.extent == dim.step
    dims = [*others, *([] if once else [dim])]
    loop = ReduceOp(op.kind.data, dims, [tile_type(op.outputs[0].type, [size])]) if dims else None
    block = loop.body.block if loop is not None else Block()
    indices = {variables[dim.name]: dim.lower + Lane(0)}
    for each in loop.dims if loop is not None else []:
        lane = Lane(0) if each.name == dim.name else 0
        indices[variables[each.name]] = Linear.of(each.variable) + lane
    vectorizer = Vectorizer([size], indices, axes, LoopFacts())
    vectorizer.block(op.body.block, block)
    value = vectorizer.get(yielded(op.body.block)[0], (0,), block)
    if loop is None:
        return take_ops(block), value
    block.add_op(YieldOp(value))
    return [loop], loop.outputs[0]
