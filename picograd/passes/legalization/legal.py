"""Whether a kernel computes only with types that loops have."""

from __future__ import annotations

from picograd.dialects.buffer import KernelOp
from picograd.dialects.dtypes import DType, dtype_of, type_of, uint8
from picograd.dialects.tensor import CastOp, TensorOp, moves_elements
from picograd.errors import PassError


def check_types(kernel: KernelOp) -> None:
    """Raise PassError where a kernel computes with a narrow type, or holds uint8.

    The loops would round a half at each step of a sum, and know no unsigned integers.
    """
    for op in kernel.block.ops:
        if not isinstance(op, TensorOp):
            continue
        held = moves_elements(op) or isinstance(op, CastOp)
        for value in (*op.operands, op.result):
            dtype = dtype_of(type_of(value))
            if dtype is uint8 or (dtype.is_narrow and not held):
                raise _illegal(op, dtype)


def _illegal(op: TensorOp, dtype: DType) -> PassError:
    return PassError(
        f"{op.name} computes with {dtype.name}, which loops do not",
        code="PG709",
        expected="float32, float64, int32, int64 or bool; narrow types only to be moved or cast",
        found=dtype.name,
        hint="run legalize_types while the module is at tensor level",
        where=op.name,
    )
