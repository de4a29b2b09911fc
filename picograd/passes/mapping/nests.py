"""Perfect nests of parallel loops, and how to run their iterations from one number."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, Operation

from picograd.dialects.affine import Linear, floordiv, mod
from picograd.dialects.loop import AllocOp, Dim, LoadOp, ParallelOp, YieldOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.loops import set_dims


def mapping_of(op: Operation) -> str:
    """What runs a parallel loop's iterations; empty when that is still open."""
    if isinstance(op, ParallelOp) and op.mapping is not None:
        return op.mapping.data
    return ""


def set_mapping(op: ParallelOp, mapping: str) -> None:
    """Say what runs a parallel loop's iterations."""
    op.properties["mapping"] = StringAttr(mapping)


def perfect_nest(outer: ParallelOp) -> list[ParallelOp]:
    """The loop and those inside that have no mapping yet, as long as nothing stands between."""
    nest = [outer]
    while True:
        inner = [op for op in nest[-1].body.block.ops if not isinstance(op, YieldOp)]
        if len(inner) != 1 or not isinstance(inner[0], ParallelOp) or mapping_of(inner[0]):
            return nest
        nest.append(inner[0])


def dims_of(nest: Sequence[ParallelOp]) -> list[Dim]:
    """All dimensions of a nest, outermost first."""
    return [dim for loop in nest for dim in loop.dims]


def trip_counts(nest: Sequence[ParallelOp], facts: LoopFacts) -> list[int] | None:
    """The greatest number of iterations of each dimension; None when one is not bounded."""
    counts = [facts.trips(dim) for dim in dims_of(nest)]
    return None if None in counts else [count for count in counts if count is not None]


def once_dims(
    dims: Sequence[Dim], counts: Sequence[int], number: Linear, order: Sequence[int] | None = None
) -> list[Dim]:
    """Dimensions that run only iteration `number` of all iterations of some dimensions.

    They keep their names. Dimension d runs at lower + step * coordinate; where one of several
    upper bounds cuts that iteration off, it runs no time. `order` lists the dimensions from the
    slowest to the fastest to change with the number; they change in their own order without it.
    """
    stride = prod(counts)
    result = list(dims)
    for turn, place in enumerate(range(len(dims)) if order is None else order):
        dim, count = dims[place], counts[place]
        stride //= max(1, count)
        coordinate = floordiv(number, max(1, stride))
        if turn:
            coordinate = mod(coordinate, max(1, count))
        start = dim.lower + coordinate * dim.step
        cuts = () if dim.is_constant else dim.uppers
        result[place] = Dim(start, (start + 1, *cuts), 1, dim.name)
    return result


def run_once(
    nest: Sequence[ParallelOp],
    counts: Sequence[int],
    number: Linear,
    order: Sequence[int] | None = None,
) -> None:
    """Let the loops of a nest run only iteration `number` of all iterations of the nest."""
    dims = once_dims(dims_of(nest), counts, number, order)
    for loop in nest:
        own = len(loop.dims)
        set_dims(loop, dims[:own])
        dims = dims[own:]


def reading_order(nest: Sequence[ParallelOp], facts: LoopFacts) -> list[int]:
    """The dimensions of a nest with that one last along which it reads far memory in a row.

    Far memory is what the kernel is given; neighbouring threads should read neighbours there.
    """
    variables = [dim.variable for dim in dims_of(nest)]
    order = list(range(len(variables)))
    for op in nest[-1].body.block.ops:
        if isinstance(op, LoadOp) and not isinstance(op.memref.owner, AllocOp):
            place = facts.linearize(op.memref.type, op.indices)
            fastest = [n for n in order if place.coefficient(variables[n]) == 1]
            if fastest:
                return [n for n in order if n != fastest[-1]] + [fastest[-1]]
    return order


def put_around(block: Block, ops: Sequence[Operation], loop: ParallelOp) -> None:
    """Move operations of a block, which stand in a row, into an empty parallel loop."""
    block.insert_op_before(loop, ops[0])
    for op in ops:
        op.detach()
        loop.body.block.add_op(op)
    loop.body.block.add_op(YieldOp())
