"""Operations of the loop dialect on elements and register tiles, beside upstream arith and math.

Upstream `arith.cmpf`, `arith.cmpi` and `arith.select` verify scalar conditions only, and upstream
has no affine iota, so tiles need operations of their own for these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AffineMapAttr,
    AnyFloat,
    DenseArrayBase,
    IntegerType,
    StringAttr,
    VectorType,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from picograd.dialects.affine import INDEX, Linear, LinearLike, decode, encode
from picograd.dialects.affine_text import parse_linear, print_linear
from picograd.dialects.loop_combiners import ReduceKind, verify_kind
from picograd.dialects.loop_syntax import element_type, tile_rank, tile_shape, tile_type, verify_map
from picograd.dialects.quick import remembered


class ComparePredicate(StrEnum):
    """How two elements compare. On NaN only `ne` holds; integers are signed, i1 is unsigned."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"


@irdl_op_definition
class IndexOp(IRDLOperation):
    """An affine value as an element or a tile: element [t0, t1, …] is the expression there.

    `%v = loop.index %i + t0 : vector<16xi64>`. The element type is an integer or a float.
    """

    name = "loop.index"
    index_values = var_operand_def(INDEX)
    map = prop_def(AffineMapAttr)
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, expression: LinearLike, type: Attribute):
        values, affine_map = encode([Linear.of(expression)], tile_rank(type))
        super().__init__(operands=[values], properties={"map": affine_map}, result_types=[type])

    @property
    def expression(self) -> Linear:
        return remembered(self, (self.map,), lambda: decode(self.index_values, self.map))[0]

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_linear(printer, self.expression)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> IndexOp:
        expression = parse_linear(parser)
        notes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = cls(expression, parser.parse_type())
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        if not isinstance(element_type(self.result.type), IntegerType | AnyFloat):
            raise VerifyException(
                f"loop.index: the element type must be an integer or a float, not "
                f"{element_type(self.result.type)}"
            )
        verify_map(self, self.map, len(self.index_values), 1, tile_rank(self.result.type))


@irdl_op_definition
class CompareOp(IRDLOperation):
    """Compares two elements or tiles: `%c = loop.compare lt %a, %b : vector<16xf32>`."""

    name = "loop.compare"
    predicate = prop_def(StringAttr)
    left = operand_def()
    right = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, predicate: str, left: SSAValue, right: SSAValue):
        super().__init__(
            operands=[left, right],
            properties={"predicate": StringAttr(predicate)},
            result_types=[tile_type(i1, tile_shape(left.type))],
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.predicate.data} ")
        _print_same_type(printer, self, [self.left, self.right], self.left.type)

    @classmethod
    def parse(cls, parser: Parser) -> CompareOp:
        predicate = parser.parse_str_enum(ComparePredicate)
        (left, right), type, notes = _parse_same_type(parser, 2)
        op = cls(predicate, parser.resolve_operand(left, type), parser.resolve_operand(right, type))
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        if self.predicate.data not in list(ComparePredicate):
            raise VerifyException(
                f"loop.compare: expected one of {', '.join(ComparePredicate)}, found "
                f"{self.predicate.data!r}"
            )
        if self.left.type != self.right.type:
            raise VerifyException(
                f"loop.compare: both sides must have one type, found {self.left.type} and "
                f"{self.right.type}"
            )
        expected = tile_type(i1, tile_shape(self.left.type))
        if self.result.type != expected:
            raise VerifyException(
                f"loop.compare: the result must be {expected}, found {self.result.type}"
            )


def _print_same_type(
    printer: Printer, op: Operation, values: Sequence[SSAValue], type: Attribute
) -> None:
    printer.print_list(values, printer.print_ssa_value)
    printer.print_op_attributes(op.attributes)
    printer.print_string(" : ")
    printer.print_attribute(type)


def _parse_same_type(
    parser: Parser, count: int
) -> tuple[list[UnresolvedOperand], Attribute, dict[str, Attribute]]:
    operands = [parser.parse_unresolved_operand()]
    while len(operands) < count:
        parser.parse_punctuation(",")
        operands.append(parser.parse_unresolved_operand())
    notes = parser.parse_optional_attr_dict()
    parser.parse_punctuation(":")
    return operands, parser.parse_type(), notes


def _print_change(printer: Printer, op: ConvertOp | FoldOp, kind: str) -> None:
    printer.print_string(f" {kind} ")
    _print_same_type(printer, op, [op.value], op.value.type)
    printer.print_string(" to ")
    printer.print_attribute(op.result.type)


def _parse_change(parser: Parser) -> tuple[SSAValue, Attribute, dict[str, Attribute]]:
    """What follows the kind: the operand, the type of the result, and the notes."""
    (value,), type, notes = _parse_same_type(parser, 1)
    parser.parse_characters("to")
    return parser.resolve_operand(value, type), parser.parse_type(), notes


@irdl_op_definition
class SelectOp(IRDLOperation):
    """Takes each element from one of two values: `loop.select %c, %a, %b : vector<16xf32>`.

    The condition is i1, or a tile of i1 of the same shape.
    """

    name = "loop.select"
    condition = operand_def()
    on_true = operand_def()
    on_false = operand_def()
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, condition: SSAValue, on_true: SSAValue, on_false: SSAValue):
        super().__init__(operands=[condition, on_true, on_false], result_types=[on_true.type])

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        _print_same_type(printer, self, self.operands, self.on_true.type)

    @classmethod
    def parse(cls, parser: Parser) -> SelectOp:
        (condition, on_true, on_false), type, notes = _parse_same_type(parser, 3)
        op = cls(
            parser.resolve_operand(condition, tile_type(i1, tile_shape(type))),
            parser.resolve_operand(on_true, type),
            parser.resolve_operand(on_false, type),
        )
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        expected = tile_type(i1, tile_shape(self.on_true.type))
        if self.condition.type != expected:
            raise VerifyException(
                f"loop.select: the condition must be {expected}, found {self.condition.type}"
            )
        if not self.on_true.type == self.on_false.type == self.result.type:
            raise VerifyException(
                f"loop.select: both values and the result must have one type, found "
                f"{self.on_true.type}, {self.on_false.type} and {self.result.type}"
            )


CONVERSIONS: dict[str, type[Operation]] = {
    "sitofp": arith.SIToFPOp,
    "uitofp": arith.UIToFPOp,
    "fptosi": arith.FPToSIOp,
    "fptoui": arith.FPToUIOp,
    "trunci": arith.TruncIOp,
    "extsi": arith.ExtSIOp,
    "extui": arith.ExtUIOp,
}
"""The upstream conversions that take scalars only, by what they are called here."""


@irdl_op_definition
class ConvertOp(IRDLOperation):
    """What an upstream conversion of the same name does, for tiles, which those do not take.

    `%f = loop.convert uitofp %c : vector<16xi1> to vector<16xf32>`.
    """

    name = "loop.convert"
    kind = prop_def(StringAttr)
    value = operand_def(VectorType)
    result = result_def(VectorType)
    traits = traits_def(Pure())

    def __init__(self, kind: str, value: SSAValue, element: Attribute):
        super().__init__(
            operands=[value],
            properties={"kind": StringAttr(kind)},
            result_types=[tile_type(element, tile_shape(value.type))],
        )

    def print(self, printer: Printer) -> None:
        _print_change(printer, self, self.kind.data)

    @classmethod
    def parse(cls, parser: Parser) -> ConvertOp:
        kind = parser.parse_keyword_in(CONVERSIONS)
        value, result, notes = _parse_change(parser)
        op = cls(kind, value, element_type(result))
        if op.result.type != result:
            parser.raise_error(f"converting {value.type} gives {op.result.type}, not {result}")
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        if self.kind.data not in CONVERSIONS:
            raise VerifyException(
                f"loop.convert: expected one of {', '.join(CONVERSIONS)}, found {self.kind.data!r}"
            )
        if tile_shape(self.value.type) != tile_shape(self.result.type):
            raise VerifyException("loop.convert: the shape of a tile stays the same")


@irdl_op_definition
class ScaleOp(IRDLOperation):
    """Multiplies floats by powers of two, rounding once: `a * 2**n` for int32 n of any size.

    `%y = loop.scale %a, %n : vector<16xf32>, vector<16xi32>`. Some processors have an instruction
    for it, for which LLVM's `ldexp` stands; on others it is slow, and passes multiply instead.
    """

    name = "loop.scale"
    T: ClassVar = VarConstraint("T", AnyAttr())
    value = operand_def(T)
    power = operand_def()
    result = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$value `,` $power attr-dict `:` type($value) `,` type($power)"

    def __init__(self, value: SSAValue, power: SSAValue):
        super().__init__(operands=[value, power], result_types=[value.type])

    def verify_(self) -> None:
        if not isinstance(element_type(self.value.type), AnyFloat):
            raise VerifyException(f"loop.scale: expected floats, found {self.value.type}")
        expected = tile_type(i32, tile_shape(self.value.type))
        if self.power.type != expected:
            raise VerifyException(
                f"loop.scale: the powers must be {expected}, found {self.power.type}"
            )


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """Repeats an element or a tile along new axes of the result.

    `%t = loop.broadcast %a along [1] : vector<8xf32> to vector<8x48xf32>`.
    """

    name = "loop.broadcast"
    value = operand_def()
    along = prop_def(DenseArrayBase.constr(i64))
    result = result_def(VectorType)
    traits = traits_def(Pure())
    assembly_format = "$value `along` $along attr-dict `:` type($value) `to` type($result)"

    def __init__(self, value: SSAValue, along: Sequence[int], shape: Sequence[int]):
        super().__init__(
            operands=[value],
            properties={"along": DenseArrayBase.from_list(i64, along)},
            result_types=[tile_type(element_type(value.type), shape)],
        )

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the result that are new."""
        return self.along.get_values()

    def verify_(self) -> None:
        shape = tile_shape(self.result.type)
        kept = tuple(n for axis, n in enumerate(shape) if axis not in self.axes)
        wrong_axes = list(self.axes) != sorted(set(self.axes)) or not all(
            0 <= axis < len(shape) for axis in self.axes
        )
        if wrong_axes or not self.axes:
            raise VerifyException(
                f"loop.broadcast: expected increasing axes of {self.result.type}, found "
                f"{list(self.axes)}"
            )
        expected = tile_type(element_type(self.result.type), kept)
        if self.value.type != expected:
            raise VerifyException(
                f"loop.broadcast: without its new axes the result is {expected}, but the value "
                f"is {self.value.type}"
            )


@irdl_op_definition
class FoldOp(IRDLOperation):
    """Combines a tile along its last axis, in any grouping, into a tile of one rank less.

    `%s = loop.fold add %t : vector<64xf32> to f32`.
    """

    name = "loop.fold"
    kind = prop_def(StringAttr)
    value = operand_def(VectorType)
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, kind: str, value: SSAValue):
        type = tile_type(element_type(value.type), tile_shape(value.type)[:-1])
        super().__init__(
            operands=[value], properties={"kind": StringAttr(kind)}, result_types=[type]
        )

    def print(self, printer: Printer) -> None:
        _print_change(printer, self, self.kind.data)

    @classmethod
    def parse(cls, parser: Parser) -> FoldOp:
        kind = parser.parse_str_enum(ReduceKind)
        value, result, notes = _parse_change(parser)
        op = cls(kind, value)
        if op.result.type != result:
            parser.raise_error(f"folding {value.type} gives {op.result.type}, not {result}")
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        verify_kind(self.name, self.kind.data, self.value.type)
        expected = tile_type(element_type(self.value.type), tile_shape(self.value.type)[:-1])
        if self.result.type != expected:
            raise VerifyException(
                f"loop.fold: folding {self.value.type} gives {expected}, found {self.result.type}"
            )


@irdl_op_definition
class ShuffleOp(IRDLOperation):
    """Picks lanes of two machine vectors laid end to end; lane -1 is any value.

    `%r = loop.shuffle %a, %b [0, 4, 1, 5] : vector<4xf32>, vector<4xf32> to vector<4xf32>`.
    """

    name = "loop.shuffle"
    left = operand_def(VectorType)
    right = operand_def(VectorType)
    lanes = prop_def(DenseArrayBase.constr(i64))
    result = result_def(VectorType)
    traits = traits_def(Pure())
    assembly_format = (
        "$left `,` $right $lanes attr-dict `:` type($left) `,` type($right) `to` type($result)"
    )

    def __init__(self, left: SSAValue, right: SSAValue, lanes: Sequence[int]):
        super().__init__(
            operands=[left, right],
            properties={"lanes": DenseArrayBase.from_list(i64, lanes)},
            result_types=[tile_type(element_type(left.type), [len(lanes)])],
        )

    def verify_(self) -> None:
        types = (self.left.type, self.right.type, self.result.type)
        if any(tile_rank(type) != 1 for type in types):
            raise VerifyException("loop.shuffle: both operands and the result have one axis")
        if len({element_type(type) for type in types}) != 1:
            raise VerifyException("loop.shuffle: all element types must be the same")
        total = tile_shape(types[0])[0] + tile_shape(types[1])[0]
        lanes = self.lanes.get_values()
        if len(lanes) != tile_shape(types[2])[0] or not all(-1 <= lane < total for lane in lanes):
            raise VerifyException(
                f"loop.shuffle: expected {tile_shape(types[2])[0]} lanes from -1 to {total - 1}, "
                f"found {list(lanes)}"
            )


TILE_OPS: tuple[type[Operation], ...] = (
    IndexOp,
    CompareOp,
    SelectOp,
    ConvertOp,
    ScaleOp,
    BroadcastOp,
    FoldOp,
    ShuffleOp,
)
