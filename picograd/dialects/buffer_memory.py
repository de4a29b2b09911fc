"""Memory at the buffer level: allocations, the arena and places in it, constants."""

from __future__ import annotations

from typing import TypeAlias, cast

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    MemRefType,
    i8,
    i64,
)
from xdsl.ir import Operation, SSAValue, SSAValues
from xdsl.irdl import (
    AttrConstraint,
    BaseAttr,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    MemoryAllocEffect,
    Pure,
)
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.dtypes import (
    AnyMemRef,
    AnyTensor,
    from_ir,
    memref_type,
    nbytes_of,
    tensor_type,
)
from picograd.dialects.literals import Literal, literal_type, own_literal, print_literal

ANY_MEMREF: AttrConstraint[AnyMemRef] = cast(AttrConstraint[AnyMemRef], BaseAttr(MemRefType))

MemRefValue: TypeAlias = SSAValue[AnyMemRef]


def memref_operand() -> MemRefValue:
    """Declares an operand of memref type."""
    return cast(MemRefValue, operand_def(ANY_MEMREF))


def memref_operands() -> SSAValues[MemRefValue]:
    """Declares operands of memref types, any number of them."""
    return cast(SSAValues[MemRefValue], var_operand_def(ANY_MEMREF))


@irdl_op_definition
class AllocOp(IRDLOperation):
    """Memory for an intermediate value, not yet placed."""

    name = "buffer.alloc"
    result = result_def(ANY_MEMREF)
    traits = traits_def(MemoryAllocEffect())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, type: AnyMemRef):
        super().__init__(result_types=[type])


@irdl_op_definition
class ArenaOp(IRDLOperation):
    """The memory that holds every intermediate of a function, in bytes."""

    name = "buffer.arena"
    result = result_def(ANY_MEMREF)
    traits = traits_def(MemoryAllocEffect())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, nbytes: int):
        super().__init__(result_types=[memref_type((nbytes,), i8)])

    @property
    def nbytes(self) -> int:
        """The size of the arena."""
        return self.result.type.get_shape()[0]

    def verify_(self) -> None:
        type = self.result.type
        if type.element_type != i8 or type.get_num_dims() != 1:
            raise VerifyException(f"buffer.arena: expected memref<BYTESxi8>, found {type}")


@irdl_op_definition
class PlaceOp(IRDLOperation):
    """A buffer at a byte offset of the arena."""

    name = "buffer.place"
    arena = memref_operand()
    offset = prop_def(IntegerAttr.constr(i64))
    result = result_def(ANY_MEMREF)
    traits = traits_def(Pure())
    assembly_format = "$arena `at` $offset attr-dict `:` type($arena) `to` type($result)"

    def __init__(self, arena: SSAValue | Operation, offset: int, type: AnyMemRef):
        super().__init__(
            operands=[arena],
            result_types=[type],
            properties={"offset": IntegerAttr(offset, i64)},
        )

    @property
    def span(self) -> tuple[int, int]:
        """First byte, and one past the last byte."""
        start = self.offset.value.data
        return start, start + nbytes_of(self.result.type)

    def verify_(self) -> None:
        start, end = self.span
        size = self.arena.type.get_shape()[0]
        itemsize = from_ir(self.result.type.element_type).itemsize
        if start < 0 or end > size:
            raise VerifyException(
                f"buffer.place: the buffer lies inside the arena\n  expected: bytes 0 to {size}"
                f"\n  found:    bytes {start} to {end}"
            )
        if start % itemsize:
            raise VerifyException(
                f"buffer.place: elements are aligned\n  expected: a multiple of {itemsize}"
                f"\n  found:    offset {start}"
            )


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Read-only memory that holds a literal."""

    name = "buffer.constant"
    value: Literal = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(ANY_MEMREF)
    traits = traits_def(Pure())

    def __init__(self, value: Literal):
        """`value` is a literal of tensor type."""
        type = literal_type(value)
        memref = memref_type(type.get_shape(), type.element_type)
        super().__init__(properties={"value": value}, result_types=[memref])

    def verify_(self) -> None:
        check_same(self.name, self.result.type, literal_type(self.value))

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected a literal such as dense<0.0> : memref<2xf32>")
        op = cls(own_literal(cast(Literal, value)))
        op.attributes.update(attributes)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_literal(printer, self.value, self.result.type)
        printer.print_op_attributes(self.attributes)


def check_same(what: str, memref: AnyMemRef, tensor: AnyTensor) -> None:
    if memref.get_shape() != tensor.get_shape() or memref.element_type != tensor.element_type:
        raise VerifyException(
            f"{what}: buffer and tensor have one shape and element type"
            f"\n  expected: {tensor_type(memref.get_shape(), memref.element_type)}"
            f"\n  found:    {tensor}"
        )
