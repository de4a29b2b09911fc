"""Whether a kernel computes only with types that loops have."""

from __future__ import annotations

from collections.abc import Iterator

from picograd.dialects.buffer import KernelOp
from picograd.dialects.dtypes import DType, dtype_of, from_ir, type_of, uint8
from picograd.dialects.loop_syntax import memref_type
from picograd.dialects.tensor import CastOp, TensorOp, moves_elements
from picograd.errors import PassError


def check_types(kernel: KernelOp) -> None:
    """Raise PassError where a kernel computes with a narrow type, or holds uint8.

    The loops would round a half at each step of a sum, and know no unsigned integers.
    """
    for what, dtype in _illegal(kernel):
        raise PassError(
            f"{what} {dtype.name}, which loops do not",
            code="PG717",
            expected="float32, float64, int32, int64 or bool; narrow types moved or cast only",
            found=dtype.name,
            hint="run legalize_types while the module is at tensor level",
            where=what.partition(" ")[0],
        )


def has_legal_types(kernel: KernelOp) -> bool:
    """Whether `check_types` lets a kernel pass."""
    return next(_illegal(kernel), None) is None


def _illegal(kernel: KernelOp) -> Iterator[tuple[str, DType]]:
    """What is done with types that loops do not have, in words, and those types."""
    for op in kernel.block.ops:
        if not isinstance(op, TensorOp):
            continue
        held = moves_elements(op) or isinstance(op, CastOp)
        for value in (*op.operands, op.result):
            dtype = dtype_of(type_of(value))
            if dtype is uint8 or (dtype.is_narrow and not held):
                yield f"{op.name} computes with", dtype
    for argument in kernel.block.args:
        dtype = from_ir(memref_type(argument).element_type)
        if dtype is uint8:
            yield f"{kernel.name} holds", dtype
