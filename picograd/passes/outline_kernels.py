"""Give each op that computes a kernel of its own: from tensor level to kernel level.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>, %b: tensor<3xf32>) -> tensor<4x3xf32> {
    %bb = pico.broadcast %b to [4, 3] : tensor<3xf32> -> tensor<4x3xf32>
    %s = pico.binary add %x, %bb : tensor<4x3xf32>
    %y = pico.unary tanh %s : tensor<4x3xf32>
    func.return %y : tensor<4x3xf32>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>, %b: tensor<3xf32>) -> tensor<4x3xf32> {
    %s = kernel.fused "add" (%x_1 = %x : tensor<4x3xf32>, %b_1 = %b : tensor<3xf32>) -> (tensor<4x3xf32>) {
      %bb = pico.broadcast %b_1 to [4, 3] : tensor<3xf32> -> tensor<4x3xf32>
      %s_1 = pico.binary add %x_1, %bb : tensor<4x3xf32>
      kernel.yield %s_1 : tensor<4x3xf32>
    }
    %y = kernel.fused "tanh" (%s_1 = %s : tensor<4x3xf32>) -> (tensor<4x3xf32>) {
      %y_1 = pico.unary tanh %s_1 : tensor<4x3xf32>
      kernel.yield %y_1 : tensor<4x3xf32>
    }
    func.return %y : tensor<4x3xf32>
  }
}
```

Requires: nothing; `canonicalize`, `cse` and `dce` before it save kernels.

Does not: fuse anything (that is `fuse`), or give views, constants and iota a kernel: they are
copied into each kernel that reads them, where they cost an index computation. A result of the
function that is no kernel's own result (an argument, a constant, a view, or a value returned twice)
is copied by a kernel. Only a product that is read through one permutation of its rows belongs with
it: the kernel writes the rows in the order in which they are read.
"""  # noqa: E501

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.quick import clone
from picograd.dialects.tensor import (
    BinaryOp,
    CompareOp,
    ConstantOp,
    IotaOp,
    MatmulOp,
    PermuteOp,
    ReduceOp,
    TensorOp,
    UnaryOp,
    ints,
)
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class OutlineKernels(Pass):
    """Give each op that computes a kernel of its own."""

    name: ClassVar[str] = "outline_kernels"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.KERNEL

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                outline(function)


def is_free(op: Operation) -> bool:
    """Whether an op costs so little that every reader computes it anew: views, constants, iota."""
    return _is_free_kind(type(op))


@cache
def _is_free_kind(kind: type[Operation]) -> bool:
    return issubclass(kind, ConstantOp | IotaOp) or (issubclass(kind, TensorOp) and kind.IS_VIEW)


def outline(function: FuncOp) -> None:
    """Wrap the ops of a function in kernels, in place.

    Raises PassError where the function holds anything but tensor ops and one `func.return`.
    """
    block = function.body.block
    ops = tuple(block.ops)
    outlined: dict[SSAValue, SSAValue] = {}
    for op in ops[:-1]:
        if not isinstance(op, TensorOp):
            raise PassError(
                "outline_kernels meets an op that is no tensor op",
                code="PG709",
                expected="pico.* ops and one func.return",
                found=op.name,
                where=f"@{function.sym_name.data}",
                hint="lower or remove the op first; the pass runs at tensor level",
            )
        if not is_free(op):
            value = _as_read(op)
            outlined[value] = _outline(op, value, label_of(op), outlined)
    terminator = ops[-1]
    assert isinstance(terminator, ReturnOp)
    _return_kernels(terminator, outlined)
    for op in reversed(ops[:-1]):
        Rewriter.erase_op(op)


def _as_read(op: TensorOp) -> SSAValue:
    """What the kernel of an op makes: its result, or that with the axes in another order.

    A product writes its rows in any order as fast as in its own, but not every reader can read them
    so: where all look at them through one permutation that leaves the rows themselves alone, they
    are written in the order in which they are read.
    """
    if isinstance(op, MatmulOp):
        uses = list(op.result.uses)
        view = uses[0].operation if len(uses) == 1 else None
        if isinstance(view, PermuteOp) and ints(view.permutation)[-1] == len(view.permutation) - 1:
            return view.result
    return op.result


def label_of(op: TensorOp) -> str:
    """What a kernel of one op is called: `add`, `matmul`, `reduce_max`, …"""
    mnemonic = op.name.partition(".")[2]
    if isinstance(op, UnaryOp | BinaryOp | CompareOp):
        return op.kind.data.value
    if isinstance(op, ReduceOp):
        return f"{mnemonic}_{op.kind.data.value}"
    return mnemonic


def _return_kernels(terminator: ReturnOp, outlined: dict[SSAValue, SSAValue]) -> None:
    """Return kernel results, each once, with copies where a value is not one."""
    returned: set[SSAValue] = set()
    for index, value in enumerate(tuple(terminator.operands)):
        kernel = outlined.get(value)
        if kernel is None or kernel in returned:
            owner = value.owner
            label = label_of(owner) if isinstance(owner, TensorOp) and kernel is None else "copy"
            kernel = _outline(terminator, value, label, outlined)
        returned.add(kernel)
        terminator.operands[index] = kernel


def _outline(
    before: Operation, value: SSAValue, label: str, outlined: dict[SSAValue, SSAValue]
) -> SSAValue:
    """Insert a kernel that computes `value` from the results of earlier kernels; its result."""
    region = _Region(outlined)
    inner = region.compute(value)
    region.block.add_op(YieldOp([inner]))
    kernel = FusedOp(label, region.inputs, Region(region.block))
    kernel.outputs[0].name_hint = value.name_hint
    Rewriter.insert_op(kernel, InsertPoint.before(before))
    return kernel.outputs[0]


class _Region:
    """The body of a kernel under construction: values outside, and what they are called inside."""

    def __init__(self, outlined: dict[SSAValue, SSAValue]) -> None:
        self.block = Block()
        self.inputs: list[SSAValue] = []
        self._outlined = outlined
        self._inside: dict[SSAValue, SSAValue] = {}

    def compute(self, value: SSAValue) -> SSAValue:
        """The value inside the kernel: an input, or a copy of the op that computes it."""
        if value in self._inside:
            return self._inside[value]
        if value in self._outlined or not isinstance(value, OpResult):
            inside = self._input(self._outlined.get(value, value))
        else:
            inside = self._clone(value.op)
        self._inside[value] = inside
        return inside

    def _input(self, outside: SSAValue) -> SSAValue:
        argument = self.block.insert_arg(outside.type, len(self.inputs))
        argument.name_hint = outside.name_hint
        self.inputs.append(outside)
        return argument

    def _clone(self, op: Operation) -> SSAValue:
        operands: Sequence[SSAValue] = [self.compute(operand) for operand in op.operands]
        copy = clone(op, dict(zip(op.operands, operands, strict=True)))
        self.block.add_op(copy)
        return copy.results[0]
