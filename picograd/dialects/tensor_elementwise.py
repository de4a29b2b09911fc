"""Elementwise tensor ops: unary, binary, compare, select, cast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.ir import Attribute
from xdsl.irdl import (
    AnyAttr,
    VarConstraint,
    irdl_op_definition,
    prop_def,
    result_def,
)

from picograd.dialects.dtypes import (
    AnyTensor,
    DType,
    bool_,
    dtype_of,
    float32,
    from_ir,
    tensor_type,
)
from picograd.dialects.tensor_base import (
    ANY_TENSOR,
    BITS,
    FLOAT,
    NUMBER,
    ROUNDED_TO,
    BinaryKind,
    BinaryKindAttr,
    CompareKind,
    CompareKindAttr,
    Operand,
    Properties,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    binary_kind,
    check_dtype,
    check_same_shape,
    check_same_type,
    compare_kind,
    kind_of,
    tensor_operand,
    unary_kind,
)
from picograd.errors import DTypeError

_UNARY_TAKES: dict[UnaryKind, tuple[str, ...]] = {
    UnaryKind.NEG: NUMBER,
    UnaryKind.ABS: NUMBER,
    UnaryKind.SIGN: NUMBER,
    UnaryKind.NOT: BITS,
}
_BINARY_TAKES: dict[BinaryKind, tuple[str, ...]] = {
    BinaryKind.DIV: FLOAT,
    BinaryKind.POW: FLOAT,
    BinaryKind.AND: BITS,
    BinaryKind.OR: BITS,
    BinaryKind.XOR: BITS,
    BinaryKind.SHL: ("int",),
    BinaryKind.SHR: ("int",),
}


@irdl_op_definition
class UnaryOp(TensorOp):
    """An elementwise function of one tensor. `round` rounds half to even; `not` flips bits.

    `round_float16` and `round_bfloat16` take float32 to the nearest number that a half float holds:
    `legalize_types` makes them for machines without 16-bit floats.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.unary"
    kind = prop_def(UnaryKindAttr)
    x = tensor_operand(T)
    result = result_def(T)
    assembly_format = "$kind $x attr-dict `:` type($result)"

    def __init__(self, kind: UnaryKind | str, x: Operand):
        self._build((x,), {"kind": unary_kind(kind)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        kind = kind_of(properties)
        check_dtype(kind, dtype_of(x), _UNARY_TAKES.get(kind, FLOAT))
        if kind in ROUNDED_TO and dtype_of(x) is not float32:
            raise DTypeError(
                f"{kind} takes float32",
                code="PG201",
                expected="float32",
                found=dtype_of(x).name,
                hint=f"pico.cast converts to {ROUNDED_TO[kind].name}",
            )
        return x


@irdl_op_definition
class BinaryOp(TensorOp):
    """An elementwise function of two tensors of one type.

    `floordiv` rounds down and `remainder` has the divisor's sign, for integers and floats alike; an
    integer divided by zero gives 0 both ways. `maximum` and `minimum` give NaN when either is NaN.
    Integers wrap. A shift by a negative count or by at least the width gives 0; `shr` fills with
    zeros.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.binary"
    kind = prop_def(BinaryKindAttr)
    a = tensor_operand(T)
    b = tensor_operand(T)
    result = result_def(T)
    assembly_format = "$kind $a `,` $b attr-dict `:` type($result)"

    def __init__(self, kind: BinaryKind | str, a: Operand, b: Operand):
        self._build((a, b), {"kind": binary_kind(kind)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        kind = kind_of(properties)
        check_same_type(kind, a, b)
        check_dtype(kind, dtype_of(a), _BINARY_TAKES.get(kind, NUMBER))
        return a


@irdl_op_definition
class CompareOp(TensorOp):
    """An elementwise comparison; the result is bool. Bools compare with `eq` and `ne` only."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.compare"
    kind = prop_def(CompareKindAttr)
    a = tensor_operand(T)
    b = tensor_operand(T)
    assembly_format = "$kind $a `,` $b attr-dict `:` type($a) `->` type($result)"

    def __init__(self, kind: CompareKind | str, a: Operand, b: Operand):
        self._build((a, b), {"kind": compare_kind(kind)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        kind = kind_of(properties)
        check_same_type(kind, a, b)
        if kind not in (CompareKind.EQ, CompareKind.NE):
            check_dtype(kind, dtype_of(a), NUMBER)
        return tensor_type(a.get_shape(), bool_)


@irdl_op_definition
class SelectOp(TensorOp):
    """Elementwise choice: `on_true` where `condition` holds, else `on_false`."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.select"
    condition = tensor_operand()
    on_true = tensor_operand(T)
    on_false = tensor_operand(T)
    result = result_def(T)
    assembly_format = (
        "$condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,` type($result)"
    )

    def __init__(self, condition: Operand, on_true: Operand, on_false: Operand):
        self._build((condition, on_true, on_false), {})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        condition, on_true, on_false = operand_types
        check_dtype("select's condition", dtype_of(condition), ("bool",), "compare it with 0")
        check_same_type("select", on_true, on_false)
        check_same_shape("select", condition, on_true)
        return on_true


@irdl_op_definition
class CastOp(TensorOp):
    """Conversion of elements.

    Float to int truncates toward zero and saturates, NaN gives 0; int to int wraps; anything to
    bool is `!= 0` (NaN is true). To float16 or bfloat16 is by way of float32, as in PyTorch.
    """

    name = "pico.cast"
    x = tensor_operand()
    element_type = prop_def(AnyAttr())
    assembly_format = "$x `to` $element_type attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: Operand, element_type: Attribute | DType):
        if isinstance(element_type, DType):
            element_type = element_type.ir
        self._build((x,), {"element_type": element_type})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        return tensor_type(x.get_shape(), from_ir(properties["element_type"]))
