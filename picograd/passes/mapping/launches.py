"""Splitting a kernel into launches: afterwards, only parallel loops and buffers stand at its top.

Each top-level parallel loop is one dispatch. What stands beside them is dealt with by kind:
scalars that are cheap to compute again are copied into every loop that uses them; reductions,
stores and other loops go into a parallel loop of one iteration of their own; and a value that one
launch computes and another uses waits in a buffer of the kernel in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.loop import (
    AllocOp,
    CheckedIndexOp,
    KernelOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    StoreOp,
    constant_dim,
)
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import perfect_nest, put_around

ONE_GROUP_LIMIT = 1 << 14
"""Kernels whose loops run up to this many iterations stay in one workgroup rather than be split."""


def split_into_launches(kernel: KernelOp, facts: LoopFacts) -> list[ParallelOp]:
    """Rewrite a kernel's top level; returns its launches in order."""
    block = kernel.body.block
    segments = _segments(kernel)
    if len(segments) > 1 and _stays_together(segments, facts):
        launch = ParallelOp([constant_dim("once", 1)])
        put_around(block, list(block.ops), launch)
        return [launch]
    # A launch gathers operations around buffers that stand between them, and may use those.
    for op in reversed([op for op in block.ops if isinstance(op, AllocOp)]):
        op.detach()
        _put_first(block, op)
    launches = [_launch(block, segment) for segment in segments]
    _pass_values_on(block, launches)
    rest = [op for op in block.ops if op not in set(launches) and not isinstance(op, AllocOp)]
    values: set[SSAValue] = {result for op in rest for result in op.results}
    for launch in launches:
        _copy_in(launch, values)
    for op in reversed(rest):
        op.detach()
        op.erase()
    return launches


def _segments(kernel: KernelOp) -> list[list[Operation]]:
    """The operations of each launch: one parallel loop, or others that stand in a row.

    Left out are buffers, and cheap operations that do not depend on what a launch computes just
    before them.
    """
    segments: list[list[Operation]] = []
    current: list[Operation] | None = None
    for op in kernel.body.block.ops:
        if isinstance(op, ParallelOp):
            segments.append([op])
            current = None
        elif _is_pinned(op, kernel):
            if current is None:
                current = []
                segments.append(current)
            current.append(op)
        elif current and any(operand.owner in current for operand in op.operands):
            current.append(op)
    return segments


def _is_pinned(op: Operation, kernel: KernelOp) -> bool:
    """Whether an operation must run exactly once, where it stands."""
    if isinstance(op, LoadOp):
        return isinstance(op.memref.owner, AllocOp) or op.memref in kernel.written
    return bool(op.regions) or isinstance(op, StoreOp)


def _stays_together(segments: Sequence[Sequence[Operation]], facts: LoopFacts) -> bool:
    """Whether one workgroup may run everything: there is a reduction, and little to do.

    It must when a reduction decides on an index, which cannot wait in a buffer.
    """
    tops = [op for segment in segments for op in segment]
    if any(isinstance(op, CheckedIndexOp) for op in tops):
        return True
    alone = all(isinstance(op, ParallelOp) for op in tops)
    return not alone and sum(_iterations(op, facts) for op in tops) <= ONE_GROUP_LIMIT


def _iterations(op: Operation, facts: LoopFacts) -> int:
    """How often the bodies inside an operation run, innermost loops counted."""
    inner = sum(
        _iterations(child, facts)
        for region in op.regions
        for block in region.blocks
        for child in block.ops
        if child.regions
    )
    if not isinstance(op, LoopOp):
        return inner
    return max(1, inner) * prod(facts.trips(dim) or 1 for dim in op.dims)


def _launch(block: Block, segment: Sequence[Operation]) -> ParallelOp:
    if isinstance(segment[0], ParallelOp):
        return segment[0]
    launch = ParallelOp([constant_dim("once", 1)])
    put_around(block, segment, launch)
    return launch


def _innermost(launch: ParallelOp) -> Block:
    return perfect_nest(launch)[-1].body.block


def _put_first(block: Block, op: Operation) -> None:
    first = block.first_op
    if first is None:
        block.add_op(op)
    else:
        block.insert_op_before(op, first)


def _pass_values_on(block: Block, launches: Sequence[ParallelOp]) -> None:
    """Let values that a launch computes and something outside it uses wait in buffers."""
    for launch in launches:
        for op in list(launch.body.block.ops):
            for value in op.results:
                if isinstance(op, AllocOp) or not _used_outside(value, launch):
                    continue
                buffer = AllocOp((), value.type)
                buffer.memref.name_hint = value.name_hint
                _put_first(block, buffer)
                launch.body.block.insert_op_after(StoreOp(value, buffer.memref, []), op)
                _reload(value, buffer.memref, launch, block)


def _used_outside(value: SSAValue, launch: ParallelOp) -> bool:
    return any(not launch.is_ancestor(use.operation) for use in value.uses)


def _reload(value: SSAValue, memref: SSAValue, launch: ParallelOp, block: Block) -> None:
    """Replace the uses of a value outside its launch by loads right before the users' loops."""
    for use in list(value.uses):
        if launch.is_ancestor(use.operation):
            continue
        top = use.operation
        while top.parent_block() is not block:
            parent = top.parent_op()
            assert parent is not None
            top = parent
        load = LoadOp(memref, [])
        load.result.name_hint = value.name_hint
        if top is use.operation:
            block.insert_op_before(load, top)
        else:
            assert isinstance(top, ParallelOp)
            _put_first(_innermost(top), load)
        use.operation.operands[use.index] = load.result


def _copy_in(launch: ParallelOp, values: set[SSAValue]) -> None:
    """Copy what a launch uses of the operations around it to the head of its innermost body."""
    body = _innermost(launch)
    copies: dict[SSAValue, SSAValue] = {}

    def copied(value: SSAValue) -> SSAValue:
        if value not in values:
            return value
        if value not in copies:
            assert isinstance(value.owner, Operation)
            op = value.owner
            new = op.clone({operand: copied(operand) for operand in op.operands})
            order.append(new)
            for old, result in zip(op.results, new.results, strict=True):
                copies[old] = result
        return copies[value]

    order: list[Operation] = []
    for op in list(launch.walk()):
        for number, operand in enumerate(op.operands):
            if operand in values:
                op.operands[number] = copied(operand)
    first = body.first_op
    assert first is not None
    body.insert_ops_before(order, first)
