"""Give a machine only the element types that it computes with: 64-bit integers become 32-bit ones.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>) -> tensor<4xi64> {
    %best = pico.argreduce max %x axis 1 : tensor<4x3xf32> -> tensor<4xi64>
    %one = pico.constant dense<1> : tensor<4xi64>
    %y = pico.binary add %best, %one : tensor<4xi64>
    func.return %y : tensor<4xi64>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>) -> tensor<4xi32> {
    %best = pico.argreduce max %x axis 1 as i32 : tensor<4x3xf32> -> tensor<4xi32>
    %one = pico.constant dense<1> : tensor<4xi32>
    %y = pico.binary add %best, %one : tensor<4xi32>
    func.return %y : tensor<4xi32>
  }
}
```

Options: legalize_types{target="gpu"}

Requires: nothing.

Does not: emulate wide arithmetic. Labels and indices fit 32 bits, and constants are checked here,
inputs when they are uploaded; sums that leave 32 bits wrap sooner. Float64 values and shifts to the
right of 64-bit integers, whose sign would end up elsewhere, are errors.

Source: the type legalization of code generators (LLVM's SelectionDAG), with errors for emulation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.dtypes import AnyTensor, DType, dtype_of, int32, tensor_type, type_of
from picograd.dialects.literals import Literal, array_of, literal, scalar_attr
from picograd.dialects.tensor import (
    ArgReduceOp,
    BinaryKind,
    BinaryOp,
    CastOp,
    ConstantOp,
    IotaOp,
    PadOp,
    TensorOp,
)
from picograd.errors import DTypeError
from picograd.passes.base import Level, Pass
from picograd.targets import Target, lookup

_LIMITS = np.iinfo(np.int32)


@dataclass(frozen=True)
class LegalizeTypes(Pass):
    """Give a machine only the element types that it computes with."""

    name: ClassVar[str] = "legalize_types"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = lookup(self.target)
        if machine.int64 and machine.float64:
            return
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                legalize(function, machine)


def legalize(function: FuncOp, target: Target) -> None:
    """Narrow what the target cannot hold, in place, the function's own type included.

    Raises DTypeError for float64 where the target has none, for a constant that does not fit 32
    bits, and for a shift whose result depends on the width.
    """
    for argument in function.args:
        _narrow_value(argument, f"argument %{argument.name_hint or '?'}", "", target)
    for op in tuple(function.body.block.ops):
        if isinstance(op, TensorOp):
            _legalize_op(op, target)
    block = function.body.block
    assert block.last_op is not None
    results = [value.type for value in block.last_op.operands]
    function.function_type = FunctionType.from_lists(list(block.arg_types), results)


def _legalize_op(op: TensorOp, target: Target) -> None:
    """Replace an op by the same one on narrow types; its operands are narrow already."""
    where = _place_of(op)
    _check_float64(op.result.type, op.name, where, target)
    _check_shift(op, target, where)
    properties = _narrow_properties(op, target, where)
    result = op.infer([type_of(operand) for operand in op.operands], properties)
    if result == op.result.type and properties == op.properties:
        return
    new = type(op).create(
        operands=op.operands,
        result_types=[result],
        properties=properties,
        attributes=op.attributes,
    )
    new.results[0].name_hint = op.result.name_hint
    Rewriter.insert_op(new, InsertPoint.before(op))
    op.result.replace_all_uses_with(new.results[0])
    Rewriter.erase_op(op)


def _narrow_value(value: SSAValue, what: str, where: str, target: Target) -> None:
    """Change the type of an argument in place."""
    type = type_of(value)
    _check_float64(type, what, where, target)
    narrow = _narrow_type(type, target)
    if narrow != type:
        Rewriter.replace_value_with_new_type(value, narrow)


def _is_wide(dtype: DType, target: Target) -> bool:
    return dtype.name == "int64" and not target.int64


def _narrow_type(type: AnyTensor, target: Target) -> AnyTensor:
    return tensor_type(type.get_shape(), int32) if _is_wide(dtype_of(type), target) else type


def _narrow_properties(op: TensorOp, target: Target, where: str) -> dict[str, Attribute]:
    """The properties of an op, with those that name or hold 64-bit integers narrowed."""
    properties = dict(op.properties)
    if target.int64:
        return properties
    if isinstance(op, ConstantOp):
        properties["value"] = _narrow_literal(op.value, target, where)
    elif isinstance(op, IotaOp | CastOp | ArgReduceOp):
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
                expected=f"numbers from {_LIMITS.min} to {_LIMITS.max}",
                found=number,
                hint="use smaller integers, or run on a device with 64-bit integers (cpu)",
                where=where,
            )


def _check_float64(type: AnyTensor, what: str, where: str, target: Target) -> None:
    if not target.float64 and dtype_of(type).name == "float64":
        raise DTypeError(
            f"{what} is float64, which the target {target.name!r} does not have",
            expected="float32",
            found="float64",
            hint="convert to float32 (x.float()) before this, or run on the cpu",
            where=where,
        )


def _check_shift(op: TensorOp, target: Target, where: str) -> None:
    is_shift = isinstance(op, BinaryOp) and op.kind.data == BinaryKind.SHR
    if is_shift and _is_wide(dtype_of(op.result.type), target):
        raise DTypeError(
            "a 64-bit shift to the right has no 32-bit equivalent",
            expected="int32 operands",
            found="int64 operands",
            hint="cast to int32 first, or run on a device with 64-bit integers (cpu)",
            where=where,
        )


def _place_of(op: Operation) -> str:
    """The op as errors name it, with the user's line where it is known."""
    at = op.attributes.get("at")
    name = op.results[0].name_hint
    shown = f"{op.name} %{name}" if name else op.name
    return f"{shown} ({at.data})" if isinstance(at, StringAttr) else shown
