"""Compute each stored value just before its store, so that few machine vectors live at once.

Unrolling a tile's epilogue makes all pieces of the first operation, then all of the second, and so
on: with a long epilogue every piece is alive at the same time and spills. Depth first from each
store, one piece is finished before the next is begun.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation
from xdsl.traits import is_side_effect_free

from picograd.dialects.loop import LoadOp, StoreOp


def order_depth_first(block: Block) -> None:
    """Reorder the straight-line stretches of a block; what they mean stays the same."""
    stretches: list[list[Operation]] = [[]]
    for op in block.ops:
        if isinstance(op, LoadOp | StoreOp) or (not op.regions and is_side_effect_free(op)):
            stretches[-1].append(op)
        else:
            stretches.append([])
    for stretch in stretches:
        _order(block, stretch)


def _order(block: Block, ops: Sequence[Operation]) -> None:
    stores = [op for op in ops if isinstance(op, StoreOp)]
    written = {op.memref for op in stores}
    if len(stores) < 2 or any(isinstance(op, LoadOp) and op.memref in written for op in ops):
        return
    order: dict[Operation, None] = {}
    inside = set(ops)

    def visit(op: Operation) -> None:
        if op in order or op not in inside:
            return
        for operand in op.operands:
            if isinstance(operand.owner, Operation):
                visit(operand.owner)
        order[op] = None

    for op in [*stores, *ops]:
        visit(op)
    after = ops[-1].next_op
    for op in ops:
        op.detach()
    if after is None:
        block.add_ops(order)
    else:
        block.insert_ops_before(list(order), after)
