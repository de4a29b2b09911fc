"""The ops of several kernels, seen as if they stood in one region already.

Deciding what to fuse looks at the same few bodies again and again, and changes no IR: so a body is
made once for the same kernels and outputs, and keeps what it has found out about itself.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import cast

from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.kernel import FusedOp
from picograd.dialects.literals import splat_value
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    ConstantOp,
    ConvolutionOp,
    MatmulOp,
    ReduceOp,
    ScanOp,
    ScatterOp,
    TensorOp,
)
from picograd.passes.outline_kernels import is_free


class Shapes(dict[SSAValue, tuple[int, ...]]):
    """The shapes of values, each taken from its type once."""

    def __missing__(self, value: SSAValue) -> tuple[int, ...]:
        shape = self[value] = type_of(value).get_shape()
        return shape


@cache
def _is_a(kind: type[Operation], *classes: type[Operation]) -> bool:
    """What `isinstance` tells of an op of a kind; classes with abstract methods take long to."""
    return issubclass(kind, classes)


class Contents:
    """What a body needs of one kernel."""

    def __init__(self, kernel: FusedOp) -> None:
        self.kernel = kernel
        self.block = kernel.block
        self.inputs = tuple(kernel.inputs)
        self.outputs = tuple(kernel.outputs)
        self.yielded = tuple(kernel.yield_op.values)
        self.ops = tuple(op for op in self.block.ops if isinstance(op, TensorOp))


class Body:
    """Ops in order; `outputs` are the results to provide, as the kernels around them call them."""

    def __init__(
        self, kernels: Sequence[Contents], outputs: Sequence[SSAValue], shapes: Shapes
    ) -> None:
        self.shapes = shapes
        self.kernels = tuple(contents.kernel for contents in kernels)
        self.outputs = tuple(outputs)
        self._inputs_of: dict[Block, tuple[SSAValue, ...]] = {}
        self._inside: dict[SSAValue, SSAValue] = {}
        for contents in kernels:
            self._inputs_of[contents.block] = contents.inputs
            self._inside.update(zip(contents.outputs, contents.yielded, strict=True))
        self.ops: tuple[TensorOp, ...] = tuple(op for contents in kernels for op in contents.ops)
        self._loads: dict[SSAValue, bool] = {}
        self._operands: dict[TensorOp, tuple[SSAValue, ...]] = {}

    def resolve(self, value: SSAValue) -> SSAValue:
        """What a value is in the one region: an op's result there, or a value from outside."""
        while True:
            if value in self._inside:
                value = self._inside[value]
            elif type(value) is BlockArgument and value.block in self._inputs_of:
                value = self._inputs_of[value.block][value.index]
            else:
                return value

    def defining(self, value: SSAValue) -> TensorOp | None:
        """The op in the region that computes a resolved value; None for values from outside."""
        if type(value) is OpResult and _is_a(type(value.op), TensorOp):
            return cast(TensorOp, value.op)
        return None

    def operands(self, op: TensorOp) -> tuple[SSAValue, ...]:
        """The operands of an op, resolved."""
        if op not in self._operands:
            self._operands[op] = tuple(self.resolve(operand) for operand in op.operands)
        return self._operands[op]

    @cached_property
    def results(self) -> tuple[SSAValue, ...]:
        """The outputs, resolved."""
        return tuple(self.resolve(value) for value in self.outputs)

    @cached_property
    def inputs(self) -> tuple[SSAValue, ...]:
        """The values from outside that the region reads, each once."""
        found: dict[SSAValue, None] = {}
        for op in self.ops:
            for value in self.operands(op):
                if self.defining(value) is None:
                    found[value] = None
        for value in self.results:
            if self.defining(value) is None:
                found[value] = None
        return tuple(found)

    def is_load(self, value: SSAValue) -> bool:
        """Whether a resolved value is read or made without arithmetic: views of what is outside."""
        if value not in self._loads:
            op = self.defining(value)
            self._loads[value] = op is None or (
                is_free(op) and all(self.is_load(operand) for operand in self.operands(op))
            )
        return self._loads[value]

    @cached_property
    def reductions(self) -> tuple[TensorOp, ...]:
        """Ops that read many elements for each that they make."""
        return tuple(
            op for op in self.ops if _is_a(type(op), ReduceOp, ArgReduceOp, MatmulOp, ConvolutionOp)
        )

    @cached_property
    def products(self) -> tuple[MatmulOp | ConvolutionOp, ...]:
        """Matmuls and convolutions: each element of their operands takes part in many products."""
        found = (op for op in self.ops if _is_a(type(op), MatmulOp, ConvolutionOp))
        return tuple(cast(MatmulOp | ConvolutionOp, op) for op in found)

    def count(self, op_class: type[TensorOp]) -> int:
        """How many ops of a class there are."""
        return sum(isinstance(op, op_class) for op in self.ops)

    @cached_property
    def is_sequential(self) -> bool:
        """Whether an op writes elements in sequence: its result is filled as a whole."""
        return any(_is_a(type(op), ScatterOp, ScanOp, ArgSortOp) for op in self.ops)

    def buffers(self) -> int:
        """Storage buffers that the kernel binds: inputs, outputs, and constants that are no single
        number, whatever their size: loops read those from memory.
        """
        tables = {
            op.value
            for op in self.ops
            if isinstance(op, ConstantOp) and op.value.data.data and splat_value(op.value) is None
        }
        return len(self.inputs) + len(self.outputs) + len(tables)
