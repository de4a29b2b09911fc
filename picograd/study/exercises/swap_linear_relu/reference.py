"""The reference for exercise 2: three kernels that are a linear layer and its ReLU become one."""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.dtypes import type_of
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.tensor import BinaryKind, BinaryOp, BroadcastOp, MatmulOp
from picograd.passes import Level, Pass
from picograd.passes.rules.matching import splat_in
from picograd.quick_dataclasses import dataclass


def returned_op(kernel: FusedOp) -> Operation | None:
    """The op that computes a kernel's only result."""
    values = kernel.yield_op.values
    owner = values[0].owner if len(values) == 1 else None
    return owner if isinstance(owner, Operation) else None


def outside(kernel: FusedOp, value: SSAValue) -> SSAValue | None:
    """What an argument of a kernel's region stands for; None for another value."""
    if isinstance(value, BlockArgument) and value.owner is kernel.block:
        return kernel.inputs[value.index]
    return None


def producer(kernel: FusedOp, value: SSAValue) -> FusedOp | None:
    """The kernel whose result `value` stands for inside `kernel`, if only `kernel` reads it."""
    source = outside(kernel, value)
    if source is None or not isinstance(source.owner, FusedOp) or not source.has_one_use():
        return None
    return source.owner if len(source.owner.outputs) == 1 else None


def input_of_relu(kernel: FusedOp) -> FusedOp | None:
    """The kernel whose result this one takes the maximum of with 0."""
    op = returned_op(kernel)
    if not isinstance(op, BinaryOp) or op.kind.data != BinaryKind.MAXIMUM:
        return None
    for value, other in ((op.a, op.b), (op.b, op.a)):
        if splat_in(other) == 0:
            return producer(kernel, value)
    return None


def input_of_bias(kernel: FusedOp) -> FusedOp | None:
    """The kernel to whose result this one adds a bias of rank 1, the same for every row."""
    op = returned_op(kernel)
    if not isinstance(op, BinaryOp) or op.kind.data != BinaryKind.ADD:
        return None
    for value, other in ((op.a, op.b), (op.b, op.a)):
        row = other.owner
        if isinstance(row, BroadcastOp) and outside(kernel, row.x) is not None:
            # A broadcast aligns shapes to the right: of rank 1 means along the columns.
            return producer(kernel, value) if type_of(row.x).get_num_dims() == 1 else None
    return None


def join(kernels: list[FusedOp]) -> FusedOp:
    """One kernel that does what several do, each of which reads the result of the one before."""
    block, inputs = Block(), list[SSAValue]()
    inside: dict[SSAValue, SSAValue] = {}
    for kernel in kernels:
        for argument, source in zip(kernel.block.args, kernel.inputs, strict=True):
            if source not in inside:
                inside[source] = block.insert_arg(source.type, len(inputs))
                inside[source].name_hint = argument.name_hint
                inputs.append(source)
            inside[argument] = inside[source]
        for op in tuple(kernel.block.ops)[:-1]:
            block.add_op(op.clone(inside))
        inside[kernel.outputs[0]] = inside[kernel.yield_op.values[0]]
    block.add_op(YieldOp([inside[kernels[-1].outputs[0]]]))
    names = [kernel.outputs[0].name_hint for kernel in kernels[:-1]]
    return FusedOp("linear_relu", inputs, Region(block), [name for name in names if name])


def swap(relu: FusedOp) -> None:
    """Let one kernel take the place of `relu` and of the two that lead to it, if that is right."""
    bias = input_of_relu(relu)
    product = input_of_bias(bias) if bias is not None else None
    if bias is None or product is None or not isinstance(returned_op(product), MatmulOp):
        return
    joined = join([product, bias, relu])
    joined.outputs[0].name_hint = relu.outputs[0].name_hint
    Rewriter.replace_op(relu, joined)
    Rewriter.erase_op(bias)
    Rewriter.erase_op(product)


@dataclass(frozen=True)
class SwapLinearRelu(Pass):
    """Swap a matrix product, the addition of a bias, and a ReLU for one kernel."""

    name: ClassVar[str] = "swap_linear_relu"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.KERNEL

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in [inner for inner in op.walk() if isinstance(inner, FusedOp)]:
            swap(kernel)
