"""The buffer level: the same kernels, with explicit reads and writes of memory.

Grammar (`M` is a memref type with static sizes in row-major order):

    %b = buffer.alloc : M                           an intermediate, before planning
    %m = buffer.arena : memref<BYTESxi8>            memory of all intermediates, after planning
    %b = buffer.place %m at OFFSET : memref<BYTESxi8> to M
    %c = buffer.constant dense<…> : M               a large constant
    buffer.kernel "label" reads(%a = %x : M, …) writes(%y = %o : M, …) absorbs ["name", …] {
      %0 = buffer.read %a : M -> T                  a whole buffer as a tensor
      pico ops
      buffer.write %1, %y : T, M
    }

A kernel first reads, then computes, then writes: no two of its operands overlap in memory, and it
writes every element of what it lists under `writes`. `@main` returns nothing; its results are the
trailing arguments marked `buffer.output`:

    func.func @main(%x: memref<4x3xf32> {pico.name = "x"}, %w: memref<3x2xf32> {pico.name = "w"},
                    %out0: memref<4x2xf32> {buffer.output, pico.name = "y"}) {
      %m = buffer.arena : memref<256xi8>
      %h = buffer.place %m at 0 : memref<256xi8> to memref<4x2xf32>
      buffer.kernel "matmul" reads(%a = %x : memref<4x3xf32>, %b = %w : memref<3x2xf32>)
          writes(%o = %h : memref<4x2xf32>) {
        %ta = buffer.read %a : memref<4x3xf32> -> tensor<4x3xf32>
        %tb = buffer.read %b : memref<3x2xf32> -> tensor<3x2xf32>
        %t = pico.matmul %ta, %tb : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
        buffer.write %t, %o : tensor<4x2xf32>, memref<4x2xf32>
      }
      buffer.kernel "tanh" reads(%a = %h : memref<4x2xf32>) writes(%o = %out0 : memref<4x2xf32>) {
        %ta = buffer.read %a : memref<4x2xf32> -> tensor<4x2xf32>
        %t = pico.unary tanh %ta : tensor<4x2xf32>
        buffer.write %t, %o : tensor<4x2xf32>, memref<4x2xf32>
      }
      func.return
    }
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from typing_extensions import override
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    MemRefType,
    StringAttr,
    i8,
    i64,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Dialect, Operation, Region, SSAValue, SSAValues
from xdsl.irdl import (
    AttrConstraint,
    AttrSizedOperandSegments,
    BaseAttr,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    EffectInstance,
    IsolatedFromAbove,
    MemoryAllocEffect,
    MemoryEffect,
    MemoryEffectKind,
    NoTerminator,
    Pure,
)
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.bindings import (
    absorbed_attr,
    absorbed_names,
    check_types,
    parse_absorbed,
    parse_bindings,
    print_absorbed,
    print_bindings,
)
from picograd.dialects.dtypes import (
    AnyMemRef,
    AnyTensor,
    from_ir,
    memref_type,
    nbytes_of,
    tensor_type,
)
from picograd.dialects.literals import Literal, as_tensor_literal, literal_type, print_literal
from picograd.dialects.tensor_base import ANY_TENSOR, TensorOp, tensor_operand

ANY_MEMREF: AttrConstraint[AnyMemRef] = cast(AttrConstraint[AnyMemRef], BaseAttr(MemRefType))

MemRefValue: TypeAlias = SSAValue[AnyMemRef]

OUTPUT = "buffer.output"
"""The unit attribute of an argument of `@main` that is a result."""

NAME = "pico.name"
"""The attribute of an argument that holds the user's name for it."""


def memref_operand() -> MemRefValue:
    """Declares an operand of memref type."""
    return cast(MemRefValue, operand_def(ANY_MEMREF))


def memref_operands() -> SSAValues[MemRefValue]:
    """Declares operands of memref types, any number of them."""
    return cast(SSAValues[MemRefValue], var_operand_def(ANY_MEMREF))


class _Reads(MemoryEffect):
    """Reads the memory behind the first operand."""

    @classmethod
    @override
    def get_effects(cls, op: Operation) -> set[EffectInstance]:
        return {EffectInstance(MemoryEffectKind.READ, op.operands[0])}


class _Writes(MemoryEffect):
    """Writes the memory behind the second operand."""

    @classmethod
    @override
    def get_effects(cls, op: Operation) -> set[EffectInstance]:
        return {EffectInstance(MemoryEffectKind.WRITE, op.operands[1])}


class _KernelEffects(MemoryEffect):
    """Reads what the kernel lists under `reads`, writes what it lists under `writes`."""

    @classmethod
    @override
    def get_effects(cls, op: Operation) -> set[EffectInstance]:
        assert isinstance(op, KernelOp)
        return {EffectInstance(MemoryEffectKind.READ, value) for value in op.reads} | {
            EffectInstance(MemoryEffectKind.WRITE, value) for value in op.writes
        }


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
        _check_same(self.name, self.result.type, literal_type(self.value))

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected a literal such as dense<0.0> : memref<2xf32>")
        op = cls(as_tensor_literal(cast(Literal, value)))
        op.attributes.update(attributes)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_literal(printer, self.value, self.result.type)
        printer.print_op_attributes(self.attributes)


@irdl_op_definition
class ReadOp(IRDLOperation):
    """The contents of a buffer as a tensor."""

    name = "buffer.read"
    source = memref_operand()
    result = result_def(ANY_TENSOR)
    traits = traits_def(_Reads())
    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue):
        type = cast(AnyMemRef, source.type)
        super().__init__(
            operands=[source], result_types=[tensor_type(type.get_shape(), type.element_type)]
        )

    def verify_(self) -> None:
        _check_same(self.name, self.source.type, self.result.type)


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Store a tensor as the whole contents of a buffer."""

    name = "buffer.write"
    value = tensor_operand()
    target = memref_operand()
    traits = traits_def(_Writes())
    assembly_format = "$value `,` $target attr-dict `:` type($value) `,` type($target)"

    def __init__(self, value: SSAValue | Operation, target: SSAValue):
        super().__init__(operands=[value, target])

    def verify_(self) -> None:
        _check_same(self.name, self.target.type, self.value.type)


@irdl_op_definition
class KernelOp(IRDLOperation):
    """One kernel: reads buffers, computes with tensor ops, writes other buffers whole.

    The arguments of `block` are those for `reads`, then those for `writes`.
    """

    name = "buffer.kernel"
    reads = memref_operands()
    writes = memref_operands()
    label = prop_def(StringAttr)
    absorbed = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(_KernelEffects(), IsolatedFromAbove(), NoTerminator())

    def __init__(
        self,
        label: str | StringAttr,
        reads: Sequence[SSAValue],
        writes: Sequence[SSAValue],
        body: Region,
        absorbed: Sequence[str] = (),
    ):
        super().__init__(
            operands=[list(reads), list(writes)],
            properties={
                "label": StringAttr(label) if isinstance(label, str) else label,
                "absorbed": absorbed_attr(absorbed),
            },
            regions=[body],
        )

    @property
    def block(self) -> Block:
        """The one block of the body."""
        return self.body.block

    @property
    def read_arguments(self) -> tuple[BlockArgument, ...]:
        """The body's arguments that stand for `reads`."""
        return tuple(self.body.block.args[: len(self.reads)])

    @property
    def write_arguments(self) -> tuple[BlockArgument, ...]:
        """The body's arguments that stand for `writes`."""
        return tuple(self.body.block.args[len(self.reads) :])

    @property
    def absorbed_names(self) -> tuple[str, ...]:
        """Names of values that are computed inside."""
        return absorbed_names(self.absorbed)

    def verify_(self) -> None:
        block = self.body.block
        check_types(
            "buffer.kernel: the arguments of the body have the operands' types",
            self.operand_types,
            block.arg_types,
            "bind each operand to an argument of its own type",
        )
        written: list[SSAValue] = []
        for op in block.ops:
            if isinstance(op, WriteOp):
                written.append(op.target)
            elif isinstance(op, ReadOp):
                if op.source not in self.read_arguments:
                    raise VerifyException(
                        "buffer.kernel: only what stands under `reads` is read"
                        f"\n  found:    a read of %{op.source.name_hint or '?'}"
                    )
            elif not isinstance(op, TensorOp):
                raise VerifyException(
                    "buffer.kernel: the body holds buffer.read, buffer.write and tensor ops"
                    f"\n  found:    {op.name}"
                )
        if len(written) != len(self.writes) or set(written) != set(self.write_arguments):
            raise VerifyException(
                "buffer.kernel: each buffer under `writes` is written by one buffer.write"
                f"\n  expected: {len(self.writes)} writes, one for each"
                f"\n  found:    {len(written)} writes"
            )
        _check_disjoint(self)

    @classmethod
    def parse(cls, parser: Parser) -> KernelOp:
        label = parser.parse_str_literal()
        parser.parse_keyword("reads")
        reads = parse_bindings(parser)
        parser.parse_keyword("writes")
        writes = parse_bindings(parser)
        absorbed = parse_absorbed(parser)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region([*reads.arguments, *writes.arguments])
        op = cls(label, reads.operands, writes.operands, body, absorbed_names(absorbed))
        if attributes:
            op.attributes.update(attributes.data)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.label.data)
        printer.print_string(" reads")
        print_bindings(printer, self.read_arguments, self.reads)
        printer.print_string(" writes")
        print_bindings(printer, self.write_arguments, self.writes)
        print_absorbed(printer, self.absorbed_names)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


def outputs_of(function: FuncOp) -> tuple[BlockArgument, ...]:
    """The arguments of a function that are marked `buffer.output`: its results, in order."""
    if function.arg_attrs is None:
        return ()
    marks = [OUTPUT in attributes.data for attributes in function.arg_attrs]
    return tuple(arg for arg, mark in zip(function.args, marks, strict=True) if mark)


def _check_same(what: str, memref: AnyMemRef, tensor: AnyTensor) -> None:
    if memref.get_shape() != tensor.get_shape() or memref.element_type != tensor.element_type:
        raise VerifyException(
            f"{what}: buffer and tensor have one shape and element type"
            f"\n  expected: {tensor_type(memref.get_shape(), memref.element_type)}"
            f"\n  found:    {tensor}"
        )


def _check_disjoint(op: KernelOp) -> None:
    """A kernel's buffers do not overlap, so that native code may assume they do not."""
    writes = set(op.writes)
    if len(writes) != len(op.writes) or writes & set(op.reads):
        raise VerifyException(
            "buffer.kernel: a buffer that is written is listed once, and not read"
            "\n  help:     give the kernel a buffer of its own for each result"
        )
    places = [v.owner for v in dict.fromkeys(op.operands) if isinstance(v.owner, PlaceOp)]
    for i, first in enumerate(places):
        for second in places[:i]:
            (a, b), (c, d) = first.span, second.span
            if first.arena is second.arena and a < d and c < b:
                raise VerifyException(
                    f"buffer.kernel {op.label.data!r}: two operands overlap in the arena"
                    f"\n  found:    bytes {c} to {d} and {a} to {b}"
                )


Buffer = Dialect("buffer", [AllocOp, ArenaOp, PlaceOp, ConstantOp, ReadOp, WriteOp, KernelOp], [])
