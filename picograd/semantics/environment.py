"""The state of an evaluation: which array each SSA value stands for, and how a block runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from picograd.dialects.dtypes import AnyMemRef, AnyTensor, from_ir
from picograd.dialects.loop import KernelOp
from picograd.dialects.tensor import TensorOp
from picograd.errors import VerificationError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.loop import run_kernel
from picograd.semantics.tensor import EVALUATE, Array, Precision, evaluate_op, numpy_dtype


class Launcher(Protocol):
    """Runs a kernel of loop level on arrays, as `run_kernel` does."""

    def __call__(
        self, kernel: KernelOp, arrays: Sequence[Array], *, widen: bool, sanitize: bool
    ) -> None: ...


@dataclass
class Environment:
    """One run of one function.

    A tensor stands for an array that nobody writes, a memref for an array that its writers share.
    `handlers` says how to run ops other than those of the tensor dialect.
    """

    precision: Precision
    handlers: Mapping[type[Operation], Handler]
    module: ModuleOp | None = None
    """Where symbols are looked up, when the function stands in a module."""
    sanitize: bool = False
    """Whether to look for parallel iterations that disturb one another."""
    launch: Launcher = run_kernel
    """What runs a kernel of loop level on arrays."""
    values: dict[SSAValue, Any] = field(default_factory=dict[SSAValue, Any])

    def get(self, values: Sequence[SSAValue]) -> list[Any]:
        """What some values stand for."""
        return [self.values[value] for value in values]

    def bind(self, values: Sequence[SSAValue], arrays: Sequence[Any]) -> None:
        """Let values stand for arrays."""
        self.values.update(zip(values, arrays, strict=True))

    def run(self, block: Block) -> None:
        """Run the ops of a block, in order, up to its terminator."""
        for op in block.ops:
            if not op.has_trait(IsTerminator):
                self.run_op(op)

    def run_op(self, op: Operation) -> None:
        """Run one op. Raises VerificationError for an op that has no rule."""
        if isinstance(op, TensorOp) and type(op) in EVALUATE:
            operands = [self.values[operand] for operand in op.operands]
            self.values[op.result] = evaluate_op(op, operands, self.precision)
            return
        handler = self.handlers.get(type(op))
        if handler is None:
            raise VerificationError(
                f"{op.name} has no evaluation rule",
                code="PG605",
                expected="an op of one of picograd's levels",
                found=op.name,
                hint="lower or remove the op, or add its row to the level's table",
            )
        handler(op, self)


Handler: TypeAlias = Callable[[Any, Environment], None]


def poisoned(type: AnyTensor | AnyMemRef, precision: Precision) -> Array:
    """Fresh memory whose contents show in what reads them: NaN, a large integer, or true."""
    dtype = numpy_dtype(type.element_type, precision)
    shape = type.get_shape()
    if from_ir(type.element_type).is_float:
        return np.full(shape, np.nan, dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    return np.full(shape, np.iinfo(dtype.name).max - 90, dtype)
