"""Give a machine only element types that it has: to compute with, and to hold in memory.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf16>) -> tensor<4xi64> {
    %y = pico.binary mul %x, %x : tensor<4x3xf16>
    %best = pico.argreduce max %y axis 1 : tensor<4x3xf16> -> tensor<4xi64>
    %one = pico.constant dense<1> : tensor<4xi64>
    %z = pico.binary add %best, %one : tensor<4xi64>
    func.return %z : tensor<4xi64>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>) -> tensor<4xi32> {
    %0 = pico.binary mul %x, %x : tensor<4x3xf32>
    %y = pico.unary round_float16 %0 : tensor<4x3xf32>
    %best = pico.argreduce max %y axis 1 as i32 : tensor<4x3xf32> -> tensor<4xi32>
    %one = pico.constant dense<1> : tensor<4xi32>
    %z = pico.binary add %best, %one : tensor<4xi32>
    func.return %z : tensor<4xi32>
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
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.dtypes import (
    DType,
    compute_dtype,
    dtype_of,
    float32,
    int32,
    tensor_type,
    type_of,
)
from picograd.dialects.literals import array_of, literal, scalar_attr, scalar_type, scalar_value
from picograd.dialects.quick import create
from picograd.dialects.tensor import (
    BinaryKind,
    BinaryOp,
    CastOp,
    ConstantOp,
    IotaOp,
    TensorOp,
    moves_elements,
)
from picograd.passes.base import Level, Pass
from picograd.passes.legalization.narrow import Narrow, held_dtype, name_after, result_fits
from picograd.passes.legalization.wide import (
    check_float64,
    check_shift,
    narrow_properties,
    place_of,
)
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup


@dataclass(frozen=True)
class LegalizeTypes(Pass):
    """Give a machine only element types that it has: to compute with, and to hold in memory."""

    name: ClassVar[str] = "legalize_types"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    changes_types: ClassVar[bool] = True

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = lookup(self.target)
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                legalize(function, machine)


def legalize(function: FuncOp, target: Target) -> None:
    """Spell a function in the types that the target has, in place, its own type included.

    Raises DTypeError for float64 where the target has none, for a constant that does not fit 32
    bits, and for a shift whose result depends on the width.
    """
    block = function.body.block
    ops = [op for op in block.ops if isinstance(op, TensorOp)]
    legalizer = _Legalizer(target, ops)
    for argument in function.args:
        legalizer.argument(argument)
    for op in ops:
        legalizer.op(op)
    assert block.last_op is not None
    results = [value.type for value in block.last_op.operands]
    function.function_type = FunctionType.from_lists(list(block.arg_types), results)


class _Legalizer:
    """Rewrites the ops of a function in order; knows the dtypes that operands had in the program.

    What stands for an operand does not tell: on a GPU an int8 and the int64 it is cast to are one
    and the same int32.
    """

    def __init__(self, target: Target, ops: list[TensorOp]) -> None:
        self._target = target
        self._operands = {op: [dtype_of(type_of(value)) for value in op.operands] for op in ops}
        self._narrow = Narrow(target, ops[0]) if ops else None

    def argument(self, value: SSAValue) -> None:
        """Change the type of an argument in place."""
        type, dtype = type_of(value), dtype_of(type_of(value))
        check_float64(type, f"argument %{value.name_hint or '?'}", "", self._target)
        held = held_dtype(dtype, self._target)
        if held is not dtype:
            Rewriter.replace_value_with_new_type(value, tensor_type(type.get_shape(), held))

    def op(self, op: TensorOp) -> None:
        """Replace an op by ops on legal types; its operands are legal already."""
        where = place_of(op)
        check_float64(op.result.type, op.name, where, self._target)
        check_shift(op, self._target, where)
        dtype = dtype_of(op.result.type)
        assert self._narrow is not None
        self._narrow.move_to(op)
        if not any(known.is_narrow for known in (*self._operands[op], dtype)):
            new = self._rebuilt(op, op.operands, narrow_properties(op, self._target, where))
        elif moves_elements(op):
            new = self._rebuilt(op, op.operands, self._held_properties(op, dtype))
        elif isinstance(op, CastOp):
            new = self._cast(self._narrow, op.x, self._operands[op][0], dtype)
        else:
            new = self._computed(self._narrow, op, dtype, where)
        if new is op.result:
            return
        name_after(new, op.result)
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
        new = create(type(op), operands, [result], properties, op.attributes)
        Rewriter.insert_op(new, InsertPoint.before(op))
        return new.results[0]

    def _held_properties(self, op: TensorOp, dtype: DType) -> dict[str, Attribute]:
        """Properties with a literal or a number of a narrow dtype spelled as it is held."""
        held = held_dtype(dtype, self._target)
        if isinstance(op, ConstantOp):
            # The conversion of uint8 to the int8 of the same bits wraps.
            return {"value": literal(array_of(op.value).astype(held.numpy))}
        properties = dict(op.properties)
        for name, value in properties.items():
            if scalar_type(value) == dtype.ir:
                number = array_of(literal(scalar_value(value), dtype)).astype(held.numpy)
                properties[name] = scalar_attr(number.item(), held.ir)
        return properties

    def _cast(self, narrow: Narrow, x: SSAValue, source: DType, dtype: DType) -> SSAValue:
        """A cast from or to a narrow dtype, by way of those that are computed with."""
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
        for value, known in zip(op.operands, self._operands[op], strict=True):
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
