"""Passes that spoil one op's result by as little as a budget must notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, ModuleOp
from xdsl.ir import Operation, SSAValue

from picograd.dialects.dtypes import DType, dtype_of, from_ir
from picograd.dialects.literals import splat
from picograd.dialects.loop_syntax import element_type
from picograd.dialects.tensor import BinaryOp, ConstantOp, TensorOp, UnaryOp
from picograd.passes import Level, Pass

LITTLE = 1e-4


@dataclass(frozen=True)
class Spoil(Pass):
    """Floats times 1 + 1e-4, integers plus 1, bools turned around: the result of one op."""

    name: ClassVar[str] = "spoil"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    number: int = 0

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        spoil(op, self.number)


@dataclass(frozen=True)
class SpoilKernels(Spoil):
    """The same inside of kernels."""

    name: ClassVar[str] = "spoil_kernels"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.KERNEL


@dataclass(frozen=True)
class SpoilLoops(Pass):
    """Floats of the loop level times 1 + 1e-4: the result of one op."""

    name: ClassVar[str] = "spoil_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    number: int = 0

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        spoil_loops(op, self.number)


def tensor_ops(module: ModuleOp) -> list[TensorOp]:
    """The ops that compute on tensors, in order, those in kernels too."""
    return [op for op in module.walk() if isinstance(op, TensorOp)]


def spoil(module: ModuleOp, number: int) -> None:
    """Change the result of the tensor op of that number a little, in place."""
    op = tensor_ops(module)[number]
    _replace(op, op.result, _spoiled(op.result))


def _spoiled(value: SSAValue) -> list[Operation]:
    """Ops, the last of which makes a slightly wrong value of a right one."""
    type: Any = value.type
    dtype: DType = dtype_of(type)
    if dtype.is_bool:
        return [UnaryOp("not", value)]
    constant = ConstantOp(splat(LITTLE if dtype.is_float else 1, type.get_shape(), dtype))
    if dtype.is_int:
        return [constant, BinaryOp("add", value, constant.result)]
    # Not times 1.0001, which is 1 in float16.
    part = BinaryOp("mul", value, constant.result)
    return [constant, part, BinaryOp("add", value, part.result)]


def loop_ops(module: ModuleOp) -> list[Operation]:
    """The ops of the loop level that give a float of 32 or 64 bits."""
    kinds = ("arith.", "math.", "loop.load", "loop.reduce", "loop.select", "loop.convert")
    return [
        op
        for op in module.walk()
        if op.name.startswith(kinds)
        and op.name != "arith.constant"
        and len(op.results) == 1
        and op.results[0].type == element_type(op.results[0].type)
        and from_ir(element_type(op.results[0].type)).name in ("float32", "float64")
    ]


def spoil_loops(module: ModuleOp, number: int) -> None:
    """Change the result of the op of that number a little, in place."""
    op = loop_ops(module)[number]
    result = op.results[0]
    type: Any = result.type
    constant = arith.ConstantOp(FloatAttr(1 + LITTLE, type))
    _replace(op, result, [constant, arith.MulfOp(result, constant.result)])


def _replace(op: Operation, value: SSAValue, ops: list[Operation]) -> None:
    block = op.parent_block()
    assert block is not None
    block.insert_ops_after(ops, op)
    value.replace_uses_with_if(ops[-1].results[0], lambda use: use.operation not in ops)
