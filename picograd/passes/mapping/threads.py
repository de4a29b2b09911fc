"""Two ways to run a launch: a thread for each iteration, or a workgroup for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

from xdsl.ir import Block, Operation

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    AllocOp,
    Dim,
    ForOp,
    IfOp,
    LoopOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    constant_dim,
)
from picograd.dialects.loop_syntax import memref_type
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.lower_reduce import lower
from picograd.passes.mapping.nests import (
    dims_of,
    mapping_of,
    perfect_nest,
    put_around,
    reading_order,
    run_once,
    set_mapping,
    trip_counts,
)
from picograd.passes.mapping.own_parts import Astray, own_parts
from picograd.passes.rewriting.loops import copy_hint, replace_op, set_dims, take_ops
from picograd.targets import Target

_PLAIN = Target("plain", "gpu", fma=False)
"""Reductions that take turns are rare: they stay loops of simple operations."""


def power_of_two(count: int) -> int:
    """The least power of two that is not below `count`."""
    return 1 << max(0, count - 1).bit_length()


def one_thread_each(nest: Sequence[ParallelOp], counts: Sequence[int], threads: int) -> None:
    """Run each iteration of a nest in a thread of its own: workgroups of `threads` take turns.

    The number of a thread gives its place in the nest by division, the last dimension fastest, so
    that neighbouring threads touch neighbouring elements.
    """
    total = prod(counts)
    size = min(threads, power_of_two(total))
    grid = ParallelOp([Dim(Linear.of(0), (Linear.of(total),), size, "group")], "grid")
    first = Linear.of(grid.induction_variables[0])
    uppers = (first + size,) if total % size == 0 else (first + size, Linear.of(total))
    dims = dims_of(nest)
    outer = nest[0]
    block = outer.parent_block()
    assert block is not None
    block.insert_op_before(grid, outer)
    outer.detach()
    if len(dims) == 1 and dims[0].step == 1 and dims[0].lower == Linear.of(0):
        set_dims(outer, [Dim(first, uppers, 1, dims[0].name)])
        set_mapping(outer, "workgroup")
        grid.body.block.add_ops([outer, YieldOp()])
        return
    work = ParallelOp([Dim(first, uppers, 1, "thread")], "workgroup")
    run_once(nest, counts, Linear.of(work.induction_variables[0]))
    work.body.block.add_ops([outer, YieldOp()])
    grid.body.block.add_ops([work, YieldOp()])


def one_group_each(nest: Sequence[ParallelOp], limit: int) -> None:
    """Run each iteration of a nest in a workgroup of its own, and spread the loops inside it.

    Loops inside are workgroup-mapped, but those that allocate workgroup memory in their bodies: the
    workgroup takes their iterations one after the other. Buffers that its threads share move into
    workgroup memory; a store outside the loops inside is made by one thread.
    """
    body = nest[-1].body.block
    run_in_turn(body)
    facts = LoopFacts()
    threads = threads_for(body, limit, facts)
    for loop in nest:
        set_mapping(loop, "grid")
    _spread_block(body, threads, facts)
    _share_what_is_not_own(body)


def run_in_turn(block: Block) -> None:
    """Turn loops and reductions that allocate workgroup memory into sequential loops.

    Only all threads together can have such memory, so they take such iterations one after another.
    """
    for op in list(block.ops):
        if isinstance(op, ParallelOp | ReduceOp):
            if any(isinstance(a, AllocOp) and a.space == "workgroup" for a in op.walk()):
                first = op.body.block.first_op
                _run_in_sequence(op)
                inside = first.parent_block() if first is not None else None
                assert inside is not None, "an allocation stands before the end of its body"
                run_in_turn(inside)
        elif isinstance(op, ForOp | IfOp):
            for region in op.regions:
                run_in_turn(region.block)


def _run_in_sequence(op: ParallelOp | ReduceOp) -> None:
    """Replace a loop by sequential ones inside one another."""
    if isinstance(op, ReduceOp):
        lower(op, _PLAIN, repeat=1)
        return
    nest = [ForOp(replace(dim, iv=None)) for dim in op.dims]
    for outer, inner in pairwise(nest):
        outer.body.block.add_ops([inner, YieldOp()])
    body = nest[-1].body.block
    body.add_ops(take_ops(op.body.block))
    for old, loop in zip(op.induction_variables, nest, strict=True):
        old.replace_all_uses_with(copy_hint(loop.body.block.args[0], old))
    replace_op(op, [nest[0]], [])


def threads_for(body: Block, limit: int, facts: LoopFacts) -> int:
    """How many threads a workgroup has: what register tiles ask for, or as many as have work."""
    tiled: list[int] = []
    longest = 1
    for loop in outermost_loops(body):
        if isinstance(loop, ParallelOp):
            nest = perfect_nest(loop)
            total = prod(trip_counts(nest, facts) or [limit])
            if _holds_tile(nest):
                tiled.append(total)
        else:
            total = prod(facts.trips(dim) or limit for dim in loop.dims)
        longest = max(longest, total)
    return max(tiled) if tiled else min(limit, power_of_two(longest))


def outermost_loops(body: Block) -> list[LoopOp]:
    """The parallel and reduce loops that group code runs, those in sequential loops included."""
    found: list[LoopOp] = []
    for op in body.ops:
        if isinstance(op, ParallelOp | ReduceOp):
            found.append(op)
        elif isinstance(op, ForOp):
            found += outermost_loops(op.body.block)
        elif isinstance(op, IfOp):
            found += outermost_loops(op.then.block) + outermost_loops(op.otherwise.block)
    return found


def _holds_tile(nest: Sequence[ParallelOp]) -> bool:
    return any(mapping_of(op) == "lanes" for op in nest[-1].walk())


def _spread_block(block: Block, threads: int, facts: LoopFacts) -> None:
    stores: list[Operation] = []
    for op in list(block.ops):
        if isinstance(op, StoreOp):
            stores.append(op)
            continue
        if stores:
            put_around(block, stores, ParallelOp([constant_dim("once", 1)], "workgroup"))
            stores = []
        if isinstance(op, ParallelOp):
            _spread_nest(op, threads, facts)
        elif isinstance(op, ForOp):
            _spread_block(op.body.block, threads, facts)
        elif isinstance(op, IfOp):
            _spread_block(op.then.block, threads, facts)
            _spread_block(op.otherwise.block, threads, facts)
        elif isinstance(op, ReduceOp):
            # All threads run it alike, each with what it needs for itself.
            for alloc in [inner for inner in op.walk() if isinstance(inner, AllocOp)]:
                move(alloc, "private")
        elif isinstance(op, AllocOp) and op.space != "private":
            move(op, "workgroup")
    assert not stores, "a body ends in its terminator"


def move(alloc: AllocOp, space: str) -> None:
    """Move a buffer into another memory space."""
    type = memref_type(alloc.memref)
    new = AllocOp(type.get_shape(), type.element_type, space)
    new.memref.name_hint = alloc.memref.name_hint
    block = alloc.parent_block()
    assert block is not None
    block.insert_op_before(new, alloc)
    alloc.memref.replace_all_uses_with(new.memref)
    alloc.detach()
    alloc.erase()


def _share_what_is_not_own(body: Block) -> None:
    """Move private buffers of which threads have no parts of their own into workgroup memory.

    Exact tails are loops of their own: their threads share a buffer out in another way than those
    of the whole tiles.
    """
    facts = LoopFacts()
    for alloc in [op for op in body.walk() if isinstance(op, AllocOp) and op.space == "private"]:
        if not _in_thread(alloc) and isinstance(own_parts(alloc, facts), Astray):
            move(alloc, "workgroup")


def _in_thread(op: Operation) -> bool:
    above = op.parent_op()
    return above is not None and (mapping_of(above) == "workgroup" or _in_thread(above))


def _spread_nest(outer: ParallelOp, threads: int, facts: LoopFacts) -> None:
    """Map a nest inside a workgroup to its threads, each taking every `threads`-th iteration."""
    if mapping_of(outer) == "lanes":
        block = outer.parent_block()
        assert block is not None
        put_around(block, [outer], ParallelOp([constant_dim("once", 1)], "workgroup"))
        return
    nest = perfect_nest(outer)
    counts = trip_counts(nest, facts)
    assert counts is not None, "a parallel loop of unbounded extent"
    total = prod(counts)
    if total <= threads or _holds_tile(nest):
        for loop in nest:
            set_mapping(loop, "workgroup")
        return
    work = ParallelOp([constant_dim("thread", threads)], "workgroup")
    thread = Linear.of(work.induction_variables[0])
    block = outer.parent_block()
    assert block is not None
    block.insert_op_before(work, outer)
    outer.detach()
    (dim, *more) = dims_of(nest)
    if not more and dim.step == 1:
        set_dims(outer, [Dim(dim.lower + thread, dim.uppers, threads, dim.name)])
        work.body.block.add_ops([outer, YieldOp()])
        return
    order = reading_order(nest, facts)
    turns = ParallelOp([Dim(thread, (Linear.of(total),), threads, "element")])
    run_once(nest, counts, Linear.of(turns.induction_variables[0]), order)
    turns.body.block.add_ops([outer, YieldOp()])
    work.body.block.add_ops([turns, YieldOp()])
