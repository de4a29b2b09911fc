"""64-bit types on machines without them: integers become 32-bit ones, float64 is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import Attribute, Operation

from picograd.dialects.dtypes import AnyTensor, DType, dtype_of, int32
from picograd.dialects.literals import Literal, array_of, literal, scalar_attr
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    CastOp,
    ConstantOp,
    IotaOp,
    PadOp,
    TensorOp,
)
from picograd.errors import DTypeError, source_of
from picograd.targets import Target

_LIMITS = np.iinfo(np.int32)


def _is_wide(dtype: DType, target: Target) -> bool:
    return dtype.name == "int64" and not target.int64


def narrow_properties(op: TensorOp, target: Target, where: str) -> dict[str, Attribute]:
    """The properties of an op, with those that name or hold 64-bit integers narrowed."""
    properties = dict(op.properties)
    if target.int64:
        return properties
    if isinstance(op, ConstantOp):
        properties["value"] = _narrow_literal(op.value, target, where)
    elif isinstance(op, IotaOp | CastOp | ArgReduceOp | ArgSortOp):
        if _is_wide(dtype_of(op.result.type), target):
            properties["element_type"] = int32.ir
    elif isinstance(op, PadOp) and _is_wide(dtype_of(op.result.type), target):
        value = cast(IntegerAttr, op.value).value.data
        _check_range([value], where)
        properties["value"] = scalar_attr(value, int32.ir)
    return properties


def _narrow_literal(value: Literal, target: Target, where: str) -> Literal:
    if not _is_wide(dtype_of(cast(AnyTensor, value.type)), target):
        return value
    array = array_of(value)
    if array.size:
        _check_range([int(array.min()), int(array.max())], where)
    return literal(array.astype(np.int32))


def _check_range(numbers: Sequence[int], where: str) -> None:
    for number in numbers:
        if not _LIMITS.min <= number <= _LIMITS.max:
            raise DTypeError(
                "a constant does not fit the 32-bit integers that the target has",
                code="PG303",
                expected=f"numbers from {_LIMITS.min} to {_LIMITS.max}",
                found=number,
                hint="use smaller integers, or run on a device with 64-bit integers (cpu)",
                where=where,
            )


def check_float64(type: AnyTensor, what: str, where: str, target: Target) -> None:
    """Raise DTypeError for float64 where the target has none."""
    if not target.float64 and dtype_of(type).name == "float64":
        raise DTypeError(
            f"{what} is float64, which the target {target.name!r} does not have",
            code="PG303",
            expected="float32",
            found="float64",
            hint="convert to float32 (x.float()) before this, or run on the cpu",
            where=where,
        )


def check_shift(op: TensorOp, target: Target, where: str) -> None:
    """Raise DTypeError for a shift whose result depends on the width."""
    is_shift = isinstance(op, BinaryOp) and op.kind.data == BinaryKind.SHR
    if is_shift and _is_wide(dtype_of(op.result.type), target):
        raise DTypeError(
            "a 64-bit shift to the right has no 32-bit equivalent",
            code="PG303",
            expected="int32 operands",
            found="int64 operands",
            hint="cast to int32 first, or run on a device with 64-bit integers (cpu)",
            where=where,
        )


def place_of(op: Operation) -> str:
    """The op as errors name it, with the user's line where it is known."""
    at = op.attributes.get("at")
    name = op.results[0].name_hint
    shown = f"{op.name} %{name}" if name else op.name
    return f"{shown} ({at.data}){source_of([at.data])}" if isinstance(at, StringAttr) else shown
