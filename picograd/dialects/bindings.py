"""Syntax that the kernel and buffer levels share: bindings of arguments, absorbed names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Attribute, BlockArgument, SSAValue
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from picograd.quick_dataclasses import dataclass


@dataclass
class Bindings:
    """A parsed list `(%a = %x : T, …)`: region arguments and the values that they stand for."""

    arguments: list[Parser.Argument] = field(default_factory=list[Parser.Argument])
    operands: list[SSAValue] = field(default_factory=list[SSAValue])


def parse_bindings(parser: Parser) -> Bindings:
    """Parse `(%a = %x : T, …)`."""
    result = Bindings()

    def binding() -> None:
        argument = parser.parse_argument(expect_type=False)
        parser.parse_punctuation("=")
        operand: UnresolvedOperand = parser.parse_unresolved_operand()
        parser.parse_punctuation(":")
        type = parser.parse_type()
        result.arguments.append(argument.resolve(type))
        result.operands.append(parser.resolve_operand(operand, type))

    parser.parse_comma_separated_list(parser.Delimiter.PAREN, binding)
    return result


def print_bindings(
    printer: Printer, arguments: Sequence[BlockArgument], operands: Sequence[SSAValue]
) -> None:
    """Print `(%a = %x : T, …)`."""

    def binding(pair: tuple[BlockArgument, SSAValue]) -> None:
        printer.print_ssa_value(pair[0])
        printer.print_string(" = ")
        printer.print_ssa_value(pair[1])
        printer.print_string(" : ")
        printer.print_attribute(pair[1].type)

    with printer.in_parens():
        printer.print_list(list(zip(arguments, operands, strict=True)), binding)


def parse_absorbed(parser: Parser) -> ArrayAttr[StringAttr] | None:
    """Parse `absorbs ["hidden", …]` where present."""
    if parser.parse_optional_keyword("absorbs") is None:
        return None
    names = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_str_literal)
    return absorbed_attr(names)


def print_absorbed(printer: Printer, names: Sequence[str]) -> None:
    """Print ` absorbs ["hidden", …]`, or nothing when there are no names."""
    if names:
        printer.print_string(" absorbs ")
        with printer.in_square_brackets():
            printer.print_list(names, printer.print_string_literal)


def absorbed_attr(names: Sequence[str]) -> ArrayAttr[StringAttr] | None:
    """The property that holds names, or None for none: both texts mean one attribute."""
    return ArrayAttr([StringAttr(name) for name in names]) if names else None


def absorbed_names(attribute: ArrayAttr[StringAttr] | None) -> tuple[str, ...]:
    """The names in the property."""
    return () if attribute is None else tuple(name.data for name in attribute)


def check_types(
    what: str, expected: Sequence[Attribute], found: Sequence[Attribute], help: str
) -> None:
    """Raise VerifyException unless two lists of types are equal."""
    if list(expected) != list(found):
        raise VerifyException(
            f"{what}\n  expected: {', '.join(map(str, expected)) or 'nothing'}"
            f"\n  found:    {', '.join(map(str, found)) or 'nothing'}\n  help:     {help}"
        )
