"""Whether a kernel computes only with types that loops have."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.ir import Operation

from picograd.dialects.buffer import KernelOp
from picograd.dialects.dtypes import DType, dtype_of, from_ir, type_of, uint8
from picograd.dialects.loop_syntax import memref_type
from picograd.dialects.tensor import CastOp, TensorOp, moves_elements
from picograd.errors import DTypeError
from picograd.passes.legalization.wide import place_of


def check_types(kernel: KernelOp) -> None:
    """Raise DTypeError where a kernel computes with a narrow type, or holds uint8.

    The loops would round a half at each step of a sum, and know no unsigned integers.
    """
    for op, dtype in _illegal(kernel):
        does = "holds" if op is kernel else "computes with"
        raise DTypeError(
            f"{op.name} {does} {dtype.name}, which loops do not",
            code="PG717",
            expected="float32, float64, int32, int64 or bool; narrow types moved or cast only",
            found=dtype.name,
            hint="run legalize_types while the module is at tensor level",
            where=kernel.label.data if op is kernel else place_of(op),
        )


def has_legal_types(kernel: KernelOp) -> bool:
    """Whether `check_types` lets a kernel pass."""
    return next(_illegal(kernel), None) is None


def _illegal(kernel: KernelOp) -> Iterator[tuple[Operation, DType]]:
    """Types that loops do not have, each with the op that computes with it, or the kernel."""
    for op in kernel.block.ops:
        if not isinstance(op, TensorOp):
            continue
        held = moves_elements(op) or isinstance(op, CastOp)
        for value in (*op.operands, op.result):
            dtype = dtype_of(type_of(value))
            if dtype is uint8 or (dtype.is_narrow and not held):
                yield op, dtype
    for argument in kernel.block.args:
        dtype = from_ir(memref_type(argument).element_type)
        if dtype is uint8:
            yield kernel, dtype
