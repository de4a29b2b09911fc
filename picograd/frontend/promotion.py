"""Type promotion and broadcasting, with PyTorch's rules.

Operands fall into three classes: tensors with axes, 0-d tensors, and Python numbers. A class
decides the dtype only where the classes before it have a lower kind (bool < int < float): so
`int_tensor + 1.5` is float32, and `float32_tensor + float64_scalar_tensor` stays float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    int8,
    int16,
    int64,
    uint8,
)
from picograd.dialects.limits import iinfo
from picograd.errors import DeviceError, DTypeError, OperandError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.problems import located

DEFAULT_FLOAT = float32
_KINDS = ("bool", "int", "float")


def promote_types(a: DType, b: DType) -> DType:
    """The smallest dtype that both convert to, as `torch.promote_types`."""
    if a is b:
        return a
    if a.kind != b.kind:
        return max(a, b, key=lambda dtype: _KINDS.index(dtype.kind))
    if {a, b} == {float16, bfloat16}:
        return float32  # the one has the range, the other the precision
    if {a, b} == {uint8, int8}:
        return int16
    if uint8 in (a, b):
        return a if b is uint8 else b
    return max(a, b, key=lambda dtype: dtype.itemsize)


def number_dtype(number: bool | float) -> DType:
    """The dtype that a Python number stands for."""
    if isinstance(number, bool):
        return bool_
    return int64 if isinstance(number, int) else DEFAULT_FLOAT


def result_type(*operands: Operand) -> DType:
    """The dtype of an operation on these operands, as `torch.result_type`."""
    classes: tuple[list[DType], list[DType], list[DType]] = ([], [], [])
    for operand in operands:
        if not isinstance(operand, TensorCore):
            classes[2].append(number_dtype(operand))
        elif operand.number is not None:
            classes[2].append(operand.dtype)
        else:
            classes[1 if operand.ndim == 0 else 0].append(operand.dtype)
    promoted = [reduce(promote_types, dtypes) for dtypes in classes if dtypes]
    return reduce(_combine, promoted)


def _combine(stronger: DType, weaker: DType) -> DType:
    """The dtype of two classes of operands; the weaker one counts only for its kind."""
    if _KINDS.index(weaker.kind) > _KINDS.index(stronger.kind):
        return promote_types(stronger, weaker)
    return stronger


def float_type(*operands: Operand) -> DType:
    """The result type, or the default float where that is no float (as division and `exp` want)."""
    dtype = result_type(*operands)
    return dtype if dtype.is_float else DEFAULT_FLOAT


def can_cast(source: DType, target: DType) -> bool:
    """Whether an operation in place may store `source` into `target`: kinds never go down."""
    return _KINDS.index(source.kind) <= _KINDS.index(target.kind)


def require_fit(shape: tuple[int, ...], dtype: DType, target: TensorCore) -> None:
    """Raise unless an operation in place may store such a result into the target's storage."""
    if shape != target.shape:
        raise located(
            ShapeError(
                "the result of an operation in place does not fit into its tensor",
                code="PG101",
                expected=f"a result of shape {list(target.shape)}",
                found=list(shape),
                hint="use the operation that makes a new tensor",
            )
        )
    if not can_cast(dtype, target.dtype):
        raise located(
            DTypeError(
                f"a result of dtype {dtype.name} can't be stored in place as {target.dtype.name}",
                code="PG204",
                expected=f"{target.dtype.name}, or a dtype of a lower kind",
                found=dtype.name,
                hint="use the operation that makes a new tensor",
            )
        )


def require_tensor(value: object, what: str, hint: str) -> TensorCore:
    """The tensor; raise OperandError for anything else."""
    if not isinstance(value, TensorCore):
        raise located(
            OperandError(
                f"{what} takes a tensor",
                code="PG207",
                expected="a tensor",
                found=type(value).__name__,
                hint=hint,
            )
        )
    return value


def require_dtype(dtype: object) -> None:
    """Raise OperandError for what is given as a dtype, and is none."""
    if dtype is not None and not isinstance(dtype, DType):
        raise located(
            OperandError(
                "this is no dtype",
                code="PG207",
                expected="one of picograd's dtypes, such as torch.float32, or None",
                found=repr(dtype),
                hint="names and NumPy's types are not dtypes: write torch.int64, torch.bool, …",
            )
        )


def require_float(tensor: TensorCore, what: str) -> None:
    """Raise DTypeError unless the tensor holds floats."""
    if not tensor.dtype.is_float:
        raise located(
            DTypeError(
                f"{what} is defined for floats",
                code="PG201",
                expected="a tensor of a float dtype",
                found=tensor.dtype.name,
                hint="convert it first: x.float()",
            )
        )


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape. Raises ShapeError when sizes differ and neither is 1."""
    rank = max((len(shape) for shape in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                raise located(
                    ShapeError(
                        f"sizes {result[axis]} and {size} of axis {axis - rank} do not broadcast",
                        code="PG101",
                        expected="sizes, from the right, that are equal or 1",
                        found=" and ".join(str(list(shape)) for shape in shapes),
                        hint="reshape one of the tensors, for instance with unsqueeze()",
                    )
                )
    return tuple(result)


def common_device(operands: Sequence[Operand]) -> str:
    """The device of all tensors among the operands. Raises DeviceError when they differ."""
    devices = list(dict.fromkeys(x.device for x in operands if isinstance(x, TensorCore)))
    if len(devices) > 1:
        raise located(
            DeviceError(
                "tensors of one operation are on different devices",
                code="PG302",
                expected=f"all on {devices[0]!r}",
                found=" and ".join(repr(device) for device in devices),
                hint=f"move them with .to({devices[0]!r})",
            )
        )
    return devices[0]


def as_var(ops: Tape, operand: Operand, dtype: DType, shape: Sequence[int] | None = None) -> Var:
    """An operand as a value of this dtype, broadcast to `shape` when that is given."""
    if not isinstance(operand, TensorCore):
        return _number_var(ops, operand, dtype, () if shape is None else shape)
    if operand.number is not None and dtype is not operand.dtype:
        var = Var(ops.mode.runtime(replace(operand.number, dtype=dtype)))
    else:
        var = ops.cast(operand.read(), dtype)
    return var if shape is None else ops.broadcast(var, shape)


def wrapped(number: float, dtype: DType) -> int:
    """A whole number as a narrow integer dtype holds it: modulo its range, as in PyTorch."""
    limits = iinfo(dtype)
    return (int(number) - limits.min) % 2**limits.bits + limits.min


def _number_var(ops: Tape, number: bool | float, dtype: DType, shape: Sequence[int]) -> Var:
    if dtype.is_narrow and dtype.is_int:
        number = wrapped(number, dtype)
    try:
        return ops.full(shape, number, dtype)
    except OverflowError as error:
        raise located(
            DTypeError(
                f"the number {number} does not fit into {dtype.name}",
                code="PG203",
                expected=f"a number that {dtype.name} can hold",
                found=number,
                hint="use a tensor of a wider dtype",
            )
        ) from error


def broadcast_vars(ops: Tape, operands: Sequence[Operand], dtype: DType) -> list[Var]:
    """All operands in one dtype and one shape."""
    shapes = [operand.shape if isinstance(operand, TensorCore) else () for operand in operands]
    shape = broadcast_shapes(*shapes)
    return [as_var(ops, operand, dtype, shape) for operand in operands]
