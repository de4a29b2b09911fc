"""Tensor ops without tensor operands to speak of: constant, iota, random bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    i64,
)
from xdsl.ir import Attribute
from xdsl.irdl import (
    AnyAttr,
    irdl_op_definition,
    prop_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer

from picograd.dialects.dtypes import (
    AnyTensor,
    DType,
    dtype_of,
    from_ir,
    tensor_type,
)
from picograd.dialects.literals import (
    Literal,
    literal_type,
    own_literal,
    print_literal,
)
from picograd.dialects.tensor_base import (
    INT_ARRAY,
    NUMBER,
    Operand,
    Properties,
    TensorOp,
    check_dtype,
    check_shape,
    int_array,
    int_attr,
    int_value,
    ints,
    tensor_operand,
)
from picograd.errors import DTypeError, ShapeError


@irdl_op_definition
class ConstantOp(TensorOp):
    """A literal tensor; a splat is stored once in text, never in memory."""

    name = "pico.constant"
    value: Literal = prop_def(DenseIntOrFPElementsAttr)

    def __init__(self, value: Literal):
        self._build((), {"value": value})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        value = properties["value"]
        assert isinstance(value, DenseIntOrFPElementsAttr)
        return literal_type(cast(Literal, value))

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected a literal such as dense<0.0> : tensor<2xf32>")
        op = cls(own_literal(cast(Literal, value)))
        op.attributes.update(attributes)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_literal(printer, self.value)
        printer.print_op_attributes(self.attributes)


@irdl_op_definition
class IotaOp(TensorOp):
    """0, 1, 2, … in one dimension."""

    name = "pico.iota"
    size = prop_def(IntegerAttr.constr(i64))
    element_type = prop_def(AnyAttr())
    assembly_format = "$size `of` $element_type attr-dict `:` type($result)"

    def __init__(self, size: int, element_type: Attribute | DType):
        if isinstance(element_type, DType):
            element_type = element_type.ir
        self._build((), {"size": int_attr(size), "element_type": element_type})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        size = int_value(properties["size"])
        check_shape("iota", (size,))
        check_dtype("iota", from_ir(properties["element_type"]), NUMBER)
        return tensor_type((size,), properties["element_type"])


@irdl_op_definition
class RandomBitsOp(TensorOp):
    """Random bits by Philox 4x32-10 (Salmon et al., SC 2011), a function of `state` alone.

    `state` holds key low, key high, counter low, counter high. Element n of the flattened result is
    word n % 4 of the block whose 64-bit counter is `counter + n // 4`.
    """

    name = "pico.random_bits"
    state = tensor_operand()
    shape = prop_def(INT_ARRAY)
    assembly_format = "$state `to` $shape attr-dict `:` type($state) `->` type($result)"

    def __init__(self, state: Operand, shape: Sequence[int]):
        self._build((state,), {"shape": int_array(shape)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (state,) = operand_types
        dtype = dtype_of(state)
        if dtype.name != "int32":
            raise DTypeError(
                "random_bits: the state is int32",
                code="PG201",
                expected="int32",
                found=dtype.name,
                hint="pass the state as four int32 words",
            )
        if state.get_shape() != (4,):
            raise ShapeError(
                "random_bits: the state is (key low, key high, counter low, counter high)",
                code="PG102",
                expected=[4],
                found=list(state.get_shape()),
                hint="pass the state as four int32 words",
            )
        shape = ints(properties["shape"])
        check_shape("random_bits", shape)
        return tensor_type(shape, dtype)
