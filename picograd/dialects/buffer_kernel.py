"""Kernels at the buffer level, and how they read and write memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from typing_extensions import override
from xdsl.dialects.builtin import (
    ArrayAttr,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    EffectInstance,
    IsolatedFromAbove,
    MemoryEffect,
    MemoryEffectKind,
    NoTerminator,
)
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.bindings import (
    Bindings,
    absorbed_attr,
    absorbed_names,
    check_types,
    parse_absorbed,
    parse_bindings,
    print_absorbed,
    print_bindings,
)
from picograd.dialects.buffer_memory import PlaceOp, check_same, memref_operand, memref_operands
from picograd.dialects.dtypes import (
    AnyMemRef,
    tensor_type,
)
from picograd.dialects.tensor_base import ANY_TENSOR, TensorOp, tensor_operand


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
    """Reads `reads` and `updates`, writes `updates` and `writes`."""

    @classmethod
    @override
    def get_effects(cls, op: Operation) -> set[EffectInstance]:
        assert isinstance(op, KernelOp)
        return {
            EffectInstance(MemoryEffectKind.READ, value) for value in (*op.reads, *op.updates)
        } | {EffectInstance(MemoryEffectKind.WRITE, value) for value in (*op.updates, *op.writes)}


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
        check_same(self.name, self.source.type, self.result.type)


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
        check_same(self.name, self.target.type, self.value.type)


@irdl_op_definition
class KernelOp(IRDLOperation):
    """One kernel: reads buffers, computes with tensor ops, writes buffers whole.

    The arguments of `block` are those for `reads`, then those for `updates` (buffers that are
    read and written, in place), then those for `writes`.
    """

    name = "buffer.kernel"
    reads = memref_operands()
    updates = memref_operands()
    writes = memref_operands()
    label = prop_def(StringAttr)
    guarded = opt_prop_def(UnitAttr)
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
        *,
        updates: Sequence[SSAValue] = (),
        guarded: bool = False,
    ):
        super().__init__(
            operands=[list(reads), list(updates), list(writes)],
            properties={
                "label": StringAttr(label) if isinstance(label, str) else label,
                "absorbed": absorbed_attr(absorbed),
                "guarded": UnitAttr() if guarded else None,
            },
            regions=[body],
        )

    @property
    def block(self) -> Block:
        """The one block of the body."""
        return self.body.block

    @property
    def read_arguments(self) -> tuple[BlockArgument, ...]:
        """The body's arguments that stand for `reads` and `updates`."""
        return tuple(self.body.block.args[: len(self.reads) + len(self.updates)])

    @property
    def write_arguments(self) -> tuple[BlockArgument, ...]:
        """The body's arguments that stand for `updates` and `writes`."""
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
                        "buffer.kernel: only what stands under `reads` or `updates` is read"
                        f"\n  found:    a read of %{op.source.name_hint or '?'}"
                    )
                if op.source in written:
                    raise VerifyException(
                        "buffer.kernel: a buffer that is updated is read before it is written"
                        f"\n  found:    a read of %{op.source.name_hint or '?'} after its write"
                    )
            elif not isinstance(op, TensorOp):
                raise VerifyException(
                    "buffer.kernel: the body holds buffer.read, buffer.write and tensor ops"
                    f"\n  found:    {op.name}"
                )
        outputs = self.write_arguments
        if len(written) != len(outputs) or set(written) != set(outputs):
            raise VerifyException(
                "buffer.kernel: each buffer under `updates` or `writes` is written by one "
                f"buffer.write\n  expected: {len(outputs)} writes, one for each"
                f"\n  found:    {len(written)} writes"
            )
        _check_disjoint(self)

    @classmethod
    def parse(cls, parser: Parser) -> KernelOp:
        label = parser.parse_str_literal()
        guarded = parser.parse_optional_keyword("guarded") is not None
        parser.parse_keyword("reads")
        reads = parse_bindings(parser)
        updates = Bindings()
        if parser.parse_optional_keyword("updates") is not None:
            updates = parse_bindings(parser)
        parser.parse_keyword("writes")
        writes = parse_bindings(parser)
        absorbed = parse_absorbed(parser)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region([*reads.arguments, *updates.arguments, *writes.arguments])
        op = cls(
            label,
            reads.operands,
            writes.operands,
            body,
            absorbed_names(absorbed),
            updates=updates.operands,
            guarded=guarded,
        )
        if attributes:
            op.attributes.update(attributes.data)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.label.data)
        if self.guarded is not None:
            printer.print_string(" guarded")
        read, kept = len(self.reads), len(self.reads) + len(self.updates)
        printer.print_string(" reads")
        print_bindings(printer, self.block.args[:read], self.reads)
        if self.updates:
            printer.print_string(" updates")
            print_bindings(printer, self.block.args[read:kept], self.updates)
        printer.print_string(" writes")
        print_bindings(printer, self.block.args[kept:], self.writes)
        print_absorbed(printer, self.absorbed_names)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


def _check_disjoint(op: KernelOp) -> None:
    """A kernel's buffers do not overlap, so that native code may assume they do not."""
    written = [*op.updates, *op.writes]
    if len(set(written)) != len(written) or set(written) & set(op.reads):
        raise VerifyException(
            "buffer.kernel: a buffer that is written is listed once"
            "\n  help:     give the kernel a buffer of its own for each result, or list under"
            " `updates` what it reads and writes"
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
