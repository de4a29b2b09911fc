"""The memory operations of the loop dialect: load, store, alloc, checked_index and barrier."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    AffineMapAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    MemRefType,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryAllocEffect, MemoryReadEffect, MemoryWriteEffect
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.affine import INDEX, Linear, LinearLike, decode, encode
from picograd.dialects.loop_syntax import (
    element_type,
    memref_type,
    parse_indices,
    print_indices,
    tile_rank,
    verify_index_values,
    verify_map,
)
from picograd.dialects.quick import remembered

SPACES = ("stack", "packed", "workgroup", "private")

FETCH_L1 = "fetch_l1"
"""A note on a load: fetch what lies so many elements further on into the first cache."""

FETCH_L2 = "fetch_l2"
"""The same into the second cache."""

STREAM = "stream"
"""A note on a store: past the caches, as nobody reads it before it would have left them anyway."""


@irdl_op_definition
class LoadOp(IRDLOperation):
    """Reads an element, or a tile whose element [t0, t1, …] is the memref's at the indices there.

    With `pad`, an index out of bounds reads zero; without, it must not occur.
    """

    name = "loop.load"
    memref = operand_def(MemRefType)
    index_values = var_operand_def(INDEX)
    map = prop_def(AffineMapAttr)
    pad = opt_prop_def(UnitAttr)
    result = result_def()
    traits = traits_def(MemoryReadEffect())

    def __init__(
        self,
        memref: SSAValue,
        indices: Sequence[LinearLike],
        type: Attribute | None = None,
        *,
        pad: bool = False,
    ):
        type = type or memref_type(memref).element_type
        values, affine_map = encode((Linear.of(index) for index in indices), tile_rank(type))
        properties: dict[str, Attribute] = {"map": affine_map}
        if pad:
            properties["pad"] = UnitAttr()
        Operation.__init__(
            self, operands=[memref, *values], properties=properties, result_types=[type]
        )

    @property
    def indices(self) -> list[Linear]:
        made = remembered(self, (self.map,), lambda: decode(self.index_values, self.map))
        return list(made)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.memref)
        print_indices(printer, self.indices)
        if self.pad is not None:
            printer.print_string(" pad")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.memref.type)
        if tile_rank(self.result.type):
            printer.print_string(" to ")
            printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> LoadOp:
        memref = parser.parse_unresolved_operand()
        indices = parse_indices(parser)
        pad = parser.parse_optional_keyword("pad") is not None
        notes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        memref_value = parser.resolve_operand(memref, parser.parse_type())
        type = parser.parse_type() if parser.parse_optional_keyword("to") else None
        op = cls(memref_value, indices, type, pad=pad)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        verify_access(self, self.memref, self.index_values, self.map, self.result.type)


@irdl_op_definition
class StoreOp(IRDLOperation):
    """Writes an element, or a tile whose element [t0, t1, …] goes to the memref's indices there.

    With `clip`, an element whose index is out of bounds is dropped; without, none may be.
    """

    name = "loop.store"
    value = operand_def()
    memref = operand_def(MemRefType)
    index_values = var_operand_def(INDEX)
    map = prop_def(AffineMapAttr)
    clip = opt_prop_def(UnitAttr)
    traits = traits_def(MemoryWriteEffect())

    def __init__(
        self,
        value: SSAValue,
        memref: SSAValue,
        indices: Sequence[LinearLike],
        *,
        clip: bool = False,
    ):
        rank = tile_rank(value.type)
        values, affine_map = encode((Linear.of(index) for index in indices), rank)
        properties: dict[str, Attribute] = {"map": affine_map}
        if clip:
            properties["clip"] = UnitAttr()
        Operation.__init__(self, operands=[value, memref, *values], properties=properties)

    @property
    def indices(self) -> list[Linear]:
        made = remembered(self, (self.map,), lambda: decode(self.index_values, self.map))
        return list(made)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_string(", ")
        printer.print_ssa_value(self.memref)
        print_indices(printer, self.indices)
        if self.clip is not None:
            printer.print_string(" clip")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.value.type)
        printer.print_string(", ")
        printer.print_attribute(self.memref.type)

    @classmethod
    def parse(cls, parser: Parser) -> StoreOp:
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        memref = parser.parse_unresolved_operand()
        indices = parse_indices(parser)
        clip = parser.parse_optional_keyword("clip") is not None
        notes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        stored = parser.resolve_operand(value, parser.parse_type())
        parser.parse_punctuation(",")
        memref_value = parser.resolve_operand(memref, parser.parse_type())
        op = cls(stored, memref_value, indices, clip=clip)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        verify_access(self, self.memref, self.index_values, self.map, self.value.type)


def verify_access(
    op: Operation,
    memref: SSAValue,
    values: Sequence[SSAValue],
    affine_map: AffineMapAttr,
    type: Attribute,
) -> None:
    """Check the element type and the number of indices of a load or store."""
    of = memref_type(memref)
    if element_type(type) != of.element_type:
        raise VerifyException(f"{op.name}: {of} does not hold elements of {element_type(type)}")
    verify_map(op, affine_map, len(values), len(of.get_shape()), tile_rank(type))
    verify_index_values(op, values)


@irdl_op_definition
class AllocOp(IRDLOperation):
    """A buffer that lives as long as one run of the body around it; it starts undefined."""

    name = "loop.alloc"
    memref = result_def(MemRefType)
    traits = traits_def(MemoryAllocEffect())
    assembly_format = "attr-dict `:` type($memref)"

    def __init__(self, shape: Sequence[int], element: Attribute, space: str = "stack"):
        type = MemRefType(element, shape, memory_space=StringAttr(space))
        super().__init__(result_types=[type])

    @property
    def space(self) -> str:
        """Where the buffer lies: one of SPACES."""
        space = memref_type(self.memref).memory_space
        return space.data if isinstance(space, StringAttr) else ""

    def verify_(self) -> None:
        if self.space not in SPACES:
            raise VerifyException(
                f"loop.alloc: expected a memory space out of {', '.join(SPACES)}, found "
                f"{memref_type(self.memref).memory_space}"
            )


@irdl_op_definition
class CheckedIndexOp(IRDLOperation):
    """An element value as an index from 0 to `size` - 1: how data chooses a place.

    A value outside that range is recorded in the kernel's status word, so that the caller raises
    IndexError, and counts as 0 meanwhile.
    """

    name = "loop.checked_index"
    value = operand_def(IntegerType)
    size = prop_def(IntegerAttr[IndexType])
    result = result_def(INDEX)
    traits = traits_def(MemoryWriteEffect())

    def __init__(self, value: SSAValue, size: int):
        super().__init__(
            operands=[value],
            properties={"size": IntegerAttr.from_index_int_value(size)},
            result_types=[INDEX],
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.value.type)
        printer.print_string(f" below {self.size.value.data}")

    @classmethod
    def parse(cls, parser: Parser) -> CheckedIndexOp:
        value = parser.parse_unresolved_operand()
        notes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        resolved = parser.resolve_operand(value, parser.parse_type())
        parser.parse_keyword("below")
        op = cls(resolved, parser.parse_integer(allow_boolean=False, allow_negative=False))
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        if self.size.value.data < 1:
            raise VerifyException("loop.checked_index: there must be at least one valid index")


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """No invocation of a workgroup goes on before all of them have come here."""

    name = "loop.barrier"
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()
