"""The reference for exercise 3: a ReLU updates its operand in place where nobody reads it later."""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.buffer import AllocOp, KernelOp, ReadOp, WriteOp
from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.rules.matching import splat_in
from picograd.quick_dataclasses import dataclass


def is_relu(kernel: KernelOp) -> bool:
    """Whether a kernel writes the maximum of what it reads with 0, element by element."""
    if len(kernel.reads) != 1 or len(kernel.writes) != 1 or kernel.updates:
        return False
    last = kernel.block.last_op
    op = last.value.owner if isinstance(last, WriteOp) else None
    if not isinstance(op, BinaryOp) or op.kind.data != BinaryKind.MAXIMUM:
        return False
    pairs = ((op.a, op.b), (op.b, op.a))
    return any(isinstance(a.owner, ReadOp) and splat_in(b) == 0 for a, b in pairs)


def in_place(kernel: KernelOp) -> KernelOp:
    """The same kernel, which writes into what it reads."""
    (operand,) = kernel.reads
    block = Block(arg_types=[operand.type])
    argument = block.args[0]
    argument.name_hint = kernel.block.args[0].name_hint
    inside: dict[SSAValue, SSAValue] = dict.fromkeys(kernel.block.args, argument)
    for op in kernel.block.ops:
        block.add_op(op.clone(inside))
    names = kernel.absorbed_names
    return KernelOp(kernel.label, [], [], Region(block), names, updates=[operand])


def reuse(kernel: KernelOp, later: list[KernelOp]) -> None:
    """Let `kernel`, if it is a ReLU, write into what it reads, if that is right."""
    if not is_relu(kernel):
        return
    operand, result = kernel.reads[0], kernel.writes[0]
    if not isinstance(operand.owner, AllocOp) or not isinstance(result.owner, AllocOp):
        return
    if any(operand in other.operands for other in later):
        return
    Rewriter.replace_op(kernel, in_place(kernel))
    alloc = result.owner
    result.replace_all_uses_with(operand)
    Rewriter.erase_op(alloc)


@dataclass(frozen=True)
class ReluInPlace(Pass):
    """Let a ReLU write its result into the buffer that it reads."""

    name: ClassVar[str] = "relu_in_place"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [inner for inner in op.walk() if isinstance(inner, KernelOp)]
        while kernels:
            kernel = kernels.pop(0)
            reuse(kernel, kernels)
