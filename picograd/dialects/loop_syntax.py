"""The shared parts of the loop dialect: tile types, loop dimensions, and how both are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar, cast

from xdsl.dialects.builtin import AffineMapAttr, MemRefType, VectorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.affine import INDEX, Linear
from picograd.dialects.affine_text import parse_linear, print_linear
from picograd.quick_dataclasses import dataclass

INDEX_MAKERS = ("loop.parallel", "loop.reduce", "loop.for", "loop.checked_index")
"""The operations that define index values."""

# Types: an element (f32, i64, i1, …) or a register tile of elements (vector<8x48xf32>)


def tile_shape(type: Attribute) -> tuple[int, ...]:
    """The shape of a register tile; an element has the shape ()."""
    return _vector(type).get_shape() if type.__class__ is VectorType else ()


def tile_rank(type: Attribute) -> int:
    """The number of axes of a register tile; 0 for an element."""
    return len(_vector(type).shape.data) if type.__class__ is VectorType else 0


def element_type(type: Attribute) -> Attribute:
    """The element type of a register tile; an element is its own."""
    return _vector(type).element_type if type.__class__ is VectorType else type


def _vector(type: Attribute) -> VectorType[Attribute]:
    """A type whose class has been looked at: `isinstance` takes ten times as long to say no.

    In quotes, as Python would make `VectorType[Attribute]` anew each time.
    """
    return cast("VectorType[Attribute]", type)


@lru_cache(maxsize=4096)
def _vector_type(element: Attribute, shape: tuple[int, ...]) -> Attribute:
    return VectorType(element, shape)


def tile_type(element: Attribute, shape: Sequence[int]) -> Attribute:
    """The type of a register tile, or the element type itself for the shape ().

    Cached: building a type takes long.
    """
    return _vector_type(element, tuple(shape)) if shape else element


def memref_type(value: SSAValue) -> MemRefType[Attribute]:
    """The type of a value that is known to be a memref."""
    type = value.type
    assert isinstance(type, MemRefType)  # xDSL's `isa` is a hundred times as slow
    return cast("MemRefType[Attribute]", type)


def memref_shape(type: Attribute) -> tuple[int, ...]:
    """The shape of a memref type."""
    assert isinstance(type, MemRefType)
    return cast("MemRefType[Attribute]", type).get_shape()


# Loop dimensions


@dataclass(frozen=True)
class Dim:
    """One dimension of a loop: from `lower` up to the least of `uppers`, in steps of `step`.

    `name` is the handle by which schedules call the dimension. `iv` is the induction variable; it
    is None in a description from which a loop is still to be built.
    """

    lower: Linear
    uppers: tuple[Linear, ...]
    step: int = 1
    name: str = ""
    iv: SSAValue | None = None

    @property
    def variable(self) -> SSAValue:
        """The induction variable of a dimension that belongs to a loop."""
        assert self.iv is not None, f"dimension {self.name!r} does not belong to a loop"
        return self.iv

    @property
    def extent(self) -> int | None:
        """The distance from lower to upper bound, if it is the same whatever the outer loops do.

        With several upper bounds this is only the least of those distances that are constant.
        """
        distances = [upper - self.lower for upper in self.uppers]
        constants = [distance.constant for distance in distances if distance.is_constant]
        return max(0, min(constants)) if constants else None

    @property
    def is_constant(self) -> bool:
        """Whether `extent` is exact: one upper bound, at a constant distance."""
        return len(self.uppers) == 1 and self.extent is not None


def constant_dim(name: str, extent: int, step: int = 1) -> Dim:
    """The dimension from 0 to `extent`."""
    return Dim(Linear.of(0), (Linear.of(extent),), step, name)


def loop_block(names: Sequence[str], carried: Sequence[Attribute] = ()) -> Block:
    """An empty body with an induction variable for each name and arguments of the given types."""
    block = Block(arg_types=[*([INDEX] * len(names)), *carried])
    for argument, name in zip(block.args, names, strict=False):
        argument.name_hint = name if SSAValue.is_valid_name(name) and name else None
    return block


# Text of dimensions:
#   dims ::= ivs "=" lowers "to" uppers ("step" steps)?
# each part in parentheses when there are several dimensions. An induction variable whose printed
# name is not the dimension's name (a second loop over i prints %i_1) is followed by "as" name.


def print_dims(printer: Printer, dims: Sequence[Dim]) -> None:
    def part(print_one: Callable[[Dim], object]) -> None:
        if len(dims) == 1:
            print_one(dims[0])
            return
        printer.print_string("(")
        printer.print_list(dims, print_one)
        printer.print_string(")")

    def print_variable(dim: Dim) -> None:
        printed = printer.print_ssa_value(dim.variable)
        if dim.name != ("" if printed.isdecimal() else printed):
            printer.print_string(" as ")
            printer.print_identifier_or_string_literal(dim.name)

    part(print_variable)
    printer.print_string(" = ")
    part(lambda dim: print_linear(printer, dim.lower))
    printer.print_string(" to ")
    part(lambda dim: _print_uppers(printer, dim.uppers))
    if any(dim.step != 1 for dim in dims):
        printer.print_string(" step ")
        part(lambda dim: printer.print_string(str(dim.step)))


def _print_uppers(printer: Printer, uppers: Sequence[Linear]) -> None:
    if len(uppers) == 1:
        print_linear(printer, uppers[0])
        return
    printer.print_string("min(")
    printer.print_list(uppers, lambda upper: print_linear(printer, upper))
    printer.print_string(")")


Item = TypeVar("Item")


def parse_group(parser: Parser, parse_one: Callable[[], Item]) -> list[Item]:
    """One item, or several in parentheses."""
    if not parser.parse_optional_punctuation("("):
        return [parse_one()]
    items = [parse_one()]
    while parser.parse_optional_punctuation(","):
        items.append(parse_one())
    parser.parse_punctuation(")")
    return items


def parse_dims(parser: Parser) -> tuple[list[Parser.Argument], list[Dim]]:
    """The induction variables (to be given to the body) and the dimensions of a loop."""

    def variable() -> tuple[Parser.Argument, str]:
        argument = parser.parse_argument(expect_type=False).resolve(INDEX)
        printed = argument.name.text[1:]
        if parser.parse_optional_keyword("as"):
            return argument, parser.parse_identifier_or_str_literal()
        return argument, "" if printed.isdecimal() else printed

    def uppers() -> tuple[Linear, ...]:
        if not parser.parse_optional_keyword("min"):
            return (parse_linear(parser),)
        return tuple(
            parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: parse_linear(parser))
        )

    position = parser.pos
    grouped = parser.parse_optional_punctuation("(") is not None

    def group(parse_one: Callable[[], Item], *, opened: bool = False) -> list[Item]:
        # A bound may itself begin with a parenthesis: only the variables tell what this one means.
        if not grouped:
            return [parse_one()]
        if not opened:
            parser.parse_punctuation("(")
        items = [parse_one()]
        while parser.parse_optional_punctuation(","):
            items.append(parse_one())
        parser.parse_punctuation(")")
        return items

    variables = group(variable, opened=grouped)
    parser.parse_punctuation("=")
    lower_bounds = group(lambda: parse_linear(parser))
    parser.parse_keyword("to")
    upper_bounds = group(uppers)
    steps = [1] * len(variables)
    if parser.parse_optional_keyword("step"):
        steps = group(lambda: parser.parse_integer(allow_boolean=False))
    if not len(variables) == len(lower_bounds) == len(upper_bounds) == len(steps):
        parser.raise_error(
            f"{len(variables)} induction variables need as many lower bounds, upper bounds and "
            f"steps, not {len(lower_bounds)}, {len(upper_bounds)} and {len(steps)}",
            position,
        )
    dims = [
        Dim(lower, upper, step, name)
        for (_, name), lower, upper, step in zip(
            variables, lower_bounds, upper_bounds, steps, strict=True
        )
    ]
    return [argument for argument, _ in variables], dims


def print_indices(printer: Printer, indices: Sequence[Linear]) -> None:
    printer.print_string("[")
    printer.print_list(indices, lambda index: print_linear(printer, index))
    printer.print_string("]")


def parse_indices(parser: Parser) -> list[Linear]:
    return parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_linear(parser))


# Text of bodies: the terminator is left out when it yields nothing


def print_body(printer: Printer, region: Region) -> None:
    terminator = region.block.last_op
    printer.print_string(" ")
    printer.print_region(
        region,
        print_entry_block_args=False,
        print_empty_block=False,
        print_block_terminators=terminator is not None and bool(terminator.operands),
    )


def parse_body(
    parser: Parser, arguments: Sequence[Parser.Argument], terminator: Callable[[], Operation]
) -> Block:
    """A body with the given arguments; `terminator` makes the one that the text leaves out."""
    block = parser.parse_region(arguments).detach_block(0)
    last = block.last_op
    if last is None or last.name != "loop.yield":
        block.add_op(terminator())
    return block


def print_typed(printer: Printer, values: Sequence[SSAValue]) -> None:
    """` : T, U`, the types of a list of values."""
    printer.print_string(" : ")
    printer.print_list(values, lambda value: printer.print_attribute(value.type))


def print_value_group(printer: Printer, keyword: str, values: Sequence[SSAValue]) -> None:
    """` init %a` or ` init (%a, %b)`; nothing when there are no values."""
    if not values:
        return
    printer.print_string(f" {keyword} ")
    if len(values) == 1:
        printer.print_ssa_value(values[0])
        return
    printer.print_string("(")
    printer.print_list(values, printer.print_ssa_value)
    printer.print_string(")")


def print_notes(printer: Printer, operation: Operation) -> None:
    """The discardable attributes of an operation that is written in a form of its own."""
    if operation.attributes:
        printer.print_op_attributes(operation.attributes, print_keyword=True)


def parse_notes(parser: Parser) -> dict[str, Attribute]:
    notes = parser.parse_optional_attr_dict_with_keyword()
    return dict(notes.data) if notes is not None else {}


# Checks


def verify_map(
    op: Operation, affine_map: AffineMapAttr, operands: int, results: int, rank: int
) -> None:
    """Check an operation's map: one result an index, one dimension an operand or lane."""
    data = affine_map.data
    if len(data.results) != results:
        raise VerifyException(f"{op.name}: expected {results} indices, found {len(data.results)}")
    if data.num_symbols or data.num_dims != operands + rank:
        raise VerifyException(
            f"{op.name}: the index map must have {operands} operands and {rank} lanes as its "
            f"dimensions, found {data.num_dims} dimensions and {data.num_symbols} symbols"
        )


def verify_index_values(op: Operation, values: Sequence[SSAValue]) -> None:
    """Check that indices come from loops or from checked indices, of which ranges are known."""
    for value in values:
        maker = value.owner.parent_op() if isinstance(value.owner, Block) else value.owner
        if maker is not None and maker.name not in INDEX_MAKERS:
            raise VerifyException(
                f"{op.name}: the index %{value.name_hint} must be the induction variable of a "
                f"loop or the result of loop.checked_index, not of {maker.name}"
            )
