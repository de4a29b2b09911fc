"""Compute each stored value just before its store, so that few machine vectors live at once.

Unrolling a tile's epilogue makes all pieces of the first operation, then all of the second, and so
on: with a long epilogue every piece is alive at the same time and spills. Depth first from each
store, one piece is finished before the next is begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import Block, Operation, OpResult

from picograd.dialects.loop import BarrierOp, LoadOp, StoreOp
from picograd.passes.rewriting.loops import is_pure


def order_depth_first(block: Block) -> None:
    """Reorder the straight-line stretches of a block; what they mean stays the same."""
    stretches: list[list[Operation]] = [[]]
    for op in block.ops:
        if isinstance(op, LoadOp | StoreOp) or (not op.regions and is_pure(op)):
            stretches[-1].append(op)
        else:
            stretches.append([])
    for stretch in stretches:
        _order(block, stretch)


def sink_past_loops(block: Block) -> None:
    """Move what only later operations use behind the loops before them.

    An epilogue's operands that are loaded before a loop would occupy registers all through it.
    """
    ops = list(block.ops)
    place: dict[Operation, float] = {op: number for number, op in enumerate(ops)}
    loops = [number for number, op in enumerate(ops) if op.regions]
    if not loops:
        return
    for op in reversed(ops):
        user = _first_user(op, block, place)
        if user is None or not _is_movable(op):
            continue
        crossed = [ops[number] for number in loops if place[op] < number < place[user]]
        if not crossed:
            continue
        between = ops[int(place[op]) + 1 : int(place[crossed[-1]]) + 1]
        if isinstance(op, LoadOp) and _writes(between, op):
            continue
        # Directly behind the loop: later operations went there before, so the order stays.
        op.detach()
        block.insert_op_after(op, crossed[-1])
        place[op] = place[crossed[-1]] + 0.5


def _is_movable(op: Operation) -> bool:
    return not op.regions and (isinstance(op, LoadOp) or is_pure(op))


def _first_user(op: Operation, block: Block, place: Mapping[Operation, float]) -> Operation | None:
    """The first operation of the block that uses a result of another, itself or in its body."""
    users = [
        block.find_ancestor_op_in_block(use.operation)
        for result in op.results
        for use in result.uses
    ]
    inside = [user for user in users if user is not None]
    return min(inside, key=lambda user: place[user], default=None)


def _writes(ops: Sequence[Operation], load: LoadOp) -> bool:
    """Whether operations or their bodies may store to what a load reads."""
    return any(
        (isinstance(op, StoreOp) and op.memref is load.memref) or isinstance(op, BarrierOp)
        for outer in ops
        for op in outer.walk()
    )


def _order(block: Block, ops: Sequence[Operation]) -> None:
    stores = [op for op in ops if isinstance(op, StoreOp)]
    written = {op.memref for op in stores}
    if len(stores) < 2 or any(isinstance(op, LoadOp) and op.memref in written for op in ops):
        return
    # Operations by their number: looking one up takes long enough to do it once for each operand.
    number_of = {op: number for number, op in enumerate(ops)}
    numbers = [
        [
            number_of[operand.owner]
            for operand in op.operands
            if isinstance(operand, OpResult) and operand.owner in number_of
        ]
        for op in ops
    ]
    done = bytearray(len(ops))
    order: list[Operation] = []
    # An explicit stack: a fused chain may be longer than Python's recursion goes.
    stack = [*reversed(range(len(ops))), *(number_of[store] for store in reversed(stores))]
    while stack:
        top = stack[-1]
        needed = [number for number in numbers[top] if not done[number]]
        if needed and not done[top]:
            stack.extend(reversed(needed))
            continue
        stack.pop()
        if not done[top]:
            done[top] = True
            order.append(ops[top])
    after = ops[-1].next_op
    for op in ops:
        op.detach()
    if after is None:
        block.add_ops(order)
    else:
        block.insert_ops_before(list(order), after)
