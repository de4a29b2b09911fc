"""What canonicalization must not make larger: the weighted number of ops, then the depth.

Ops weigh about what they cost where nothing fuses them: a loop in sequence more than a power, that
more than a division, that more than other arithmetic, and a view next to nothing. What is computed
from constants alone weighs nothing, because folding computes it before the program runs; neither do
ops whose results nobody uses. Two modules of one weight are told apart by their longest chain of
ops. A rule may leave both as they are (`c + x -> x + c`), but must never increase them.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from picograd.dialects.tensor import (
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    ConcatOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterOp,
    SliceOp,
    TensorOp,
    WindowsOp,
)
from picograd.semantics.evaluate import entry_of

ARITHMETIC = 2
"""What an op weighs that no other line names."""

WEIGHTS: Mapping[type[TensorOp], int] = {
    IotaOp: 1,
    ReshapeOp: 1,
    PermuteOp: 1,
    BroadcastOp: 1,
    SliceOp: 1,
    ReverseOp: 1,
    # Windows may become a slice and a reshape.
    WindowsOp: 3,
    ConcatOp: 2,
    GatherOp: 4,
    # A scatter of one element a row becomes a gather, a comparison and a selection.
    ScatterOp: 16,
    ScanOp: 16,
    ArgSortOp: 16,
    MatmulOp: 16,
    ConvolutionOp: 16,
}

HEAVY_KINDS: Mapping[BinaryKind, int] = {BinaryKind.DIV: 4, BinaryKind.POW: 8}


def cost(module: ModuleOp) -> tuple[int, int]:
    """The weight of a tensor-level module's live ops, and the length of their longest chain."""
    block = entry_of(module).body.block
    known: set[SSAValue] = set()
    depth: dict[SSAValue, int] = dict.fromkeys(block.args, 0)
    live: set[SSAValue] = set()
    ops = list(block.ops)
    for op in reversed(ops):
        if isinstance(op, ReturnOp) or any(result in live for result in op.results):
            live.update(op.operands)
    weight = 0
    for op in ops:
        if not isinstance(op, TensorOp) or op.result not in live:
            continue
        if not isinstance(op, IotaOp) and all(operand in known for operand in op.operands):
            known.add(op.result)
            depth[op.result] = 0
            continue
        weight += weight_of(op)
        depth[op.result] = 1 + max((depth[operand] for operand in op.operands), default=0)
    return weight, max((depth[value] for value in live), default=0)


def weight_of(op: TensorOp) -> int:
    """What an op weighs that is not known when compiling."""
    if isinstance(op, BinaryOp):
        return HEAVY_KINDS.get(op.kind.data, ARITHMETIC)
    return WEIGHTS.get(type(op), ARITHMETIC)
