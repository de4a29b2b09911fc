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
Each op on float16, bfloat16, int8, int16 or uint8 becomes the op on float32 or int32. Where the
machine holds narrow types in memory (a CPU), operands are cast before the op and its result after
it, with one rounding; uint8 is held as the i8 of the same bits. Where it does not (a GPU, above),
values are held widened, and each result is rounded, or wrapped, to what the narrow type can hold.
Ops that only move elements leave them as they are held.

64-bit integers become 32-bit ones where the machine has none.

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
from typing import ClassVar

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


class _Legalizer:
    """Rewrites the ops of a function in order; knows which values stand for narrow dtypes."""

    def __init__(self, target: Target, ops: list[TensorOp]) -> None:
        self._target = target
        self._dtypes: dict[SSAValue, DType] = {}
        self._narrow = Narrow(target, ops[0]) if ops else None

    def _dtype(self, value: SSAValue) -> DType:
        """The dtype that a value had in the program."""
        return self._dtypes.get(value) or dtype_of(type_of(value))

    def argument(self, value: SSAValue) -> None:
        """Change the type of an argument in place."""
        type, dtype = type_of(value), dtype_of(type_of(value))
        check_float64(type, f"argument %{value.name_hint or '?'}", "", self._target)
        held = held_dtype(dtype, self._target)
        if held is not dtype:
            value = Rewriter.replace_value_with_new_type(value, tensor_type(type.get_shape(), held))
        if dtype.is_narrow:
            self._dtypes[value] = dtype

    def op(self, op: TensorOp) -> None:
        """Replace an op by ops on legal types; its operands are legal already."""
        where = place_of(op)
        check_float64(op.result.type, op.name, where, self._target)
        check_shift(op, self._target, where)
        dtype = dtype_of(op.result.type)
        assert self._narrow is not None
        self._narrow.move_to(op)
        if not any(self._dtype(value).is_narrow for value in (*op.operands, op.result)):
            new = self._rebuilt(op, op.operands, narrow_properties(op, self._target, where))
        elif moves_elements(op):
            new = self._rebuilt(op, op.operands, self._held_properties(op, dtype))
        elif isinstance(op, CastOp):
            new = self._cast(self._narrow, op.x, dtype)
        else:
            new = self._computed(self._narrow, op, dtype, where)
        if new is op.result:
            return
        name_after(new, op.result)
        if dtype.is_narrow:
            self._dtypes[new] = dtype
        op.result.replace_all_uses_with(new)
        Rewriter.erase_op(op)

    def _rebuilt(
        self, op: TensorOp, operands: Sequence[SSAValue], properties: dict[str, Attribute]
    ) -> SSAValue:
        """The op with other operands and properties; its own result when nothing changes."""
        result = op.infer([type_of(operand) for operand in operands], properties)
        same = result == op.result.type and properties == op.properties
        if same and tuple(operands) == tuple(op.operands):
            return op.result
        new = type(op).create(
            operands=operands,
            result_types=[result],
            properties=properties,
            attributes=op.attributes,
        )

    def _cast(self, narrow: Narrow, x: SSAValue, dtype: DType) -> SSAValue:
        """A cast from or to a narrow dtype, by way of those that are computed with."""
        source = self._dtype(x)
        wide = narrow.widen(x, source) if source.is_narrow else x
        if not dtype.is_narrow:
            return narrow.cast(wide, held_dtype(dtype, self._target))
        wide = narrow.cast(wide, compute_dtype(dtype))
        if source.is_float and dtype.is_int:
            return narrow.narrow(narrow.clamp(wide, dtype), dtype, fits=True)
        return narrow.narrow(wide, dtype, fits=source.is_bool)

    def _computed(self, narrow: Narrow, op: TensorOp, dtype: DType, where: str) -> SSAValue:
        """An op that computes, on widened operands; its result is narrowed if it was narrow."""
        operands: list[SSAValue] = []
        for value in op.operands:
            known = self._dtype(value)
            wide = narrow.widen(value, known) if known.is_narrow else value
            if isinstance(op, BinaryOp) and op.kind.data == BinaryKind.SHR and known.is_signed:
                wide = narrow.low_bits(wide, known)
            operands.append(wide)
        properties = narrow_properties(op, self._target, where)
        if isinstance(op, IotaOp):
            properties["element_type"] = int32.ir
        result = self._rebuilt(op, operands, properties)
        if isinstance(op, IotaOp) and dtype.is_float:
            result = narrow.cast(result, float32)
        return (
            narrow.narrow(result, dtype, fits=result_fits(op, dtype)) if dtype.is_narrow else result
        )


def _place_of(op: Operation) -> str:
    """The op as errors name it, with the user's line where it is known."""
    at = op.attributes.get("at")
    name = op.results[0].name_hint
    shown = f"{op.name} %{name}" if name else op.name
    return f"{shown} ({at.data})" if isinstance(at, StringAttr) else shown
