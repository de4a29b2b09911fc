"""Affine expressions as text.

linear ::= ["-"] term (("+" | "-") term)*
term   ::= factor (("*" integer) | ("floordiv" integer) | ("mod" integer))*
factor ::= "%" name | "t" axis | integer | "(" linear ")"
"""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer

from picograd.dialects.affine import (
    INDEX,
    Atom,
    Counter,
    FloorDiv,
    Lane,
    Linear,
    floordiv,
    mod,
    ordered_terms,
)


def print_linear(printer: Printer, expression: Linear) -> None:
    terms = ordered_terms(expression)
    for position, (atom, coefficient) in enumerate(terms):
        if position:
            printer.print_string(" + " if coefficient > 0 else " - ")
        elif coefficient < 0:
            printer.print_string("-")
        _print_atom(printer, atom)
        if abs(coefficient) != 1:
            printer.print_string(f" * {abs(coefficient)}")
    if not terms:
        printer.print_string(str(expression.constant))
    elif expression.constant:
        sign = "+" if expression.constant > 0 else "-"
        printer.print_string(f" {sign} {abs(expression.constant)}")


def _print_atom(printer: Printer, atom: Atom) -> None:
    if isinstance(atom, SSAValue):
        printer.print_ssa_value(atom)
        return
    if isinstance(atom, Lane):
        printer.print_string(f"t{atom.axis}")
        return
    if isinstance(atom, Counter):
        raise TypeError("a loop's counter has no place in the IR")
    inner = atom.expression
    plain = inner.constant == 0 and list(inner.terms.values()) == [1]
    printer.print_string("" if plain else "(")
    print_linear(printer, inner)
    printer.print_string("" if plain else ")")
    printer.print_string(" floordiv " if isinstance(atom, FloorDiv) else " mod ")
    printer.print_string(str(atom.by))


def parse_linear(parser: Parser) -> Linear:
    expression = _parse_signed_term(parser, negative=_parse_sign(parser, "-"))
    while True:
        if _parse_sign(parser, "+"):
            expression = expression + _parse_signed_term(parser, negative=False)
        elif _parse_sign(parser, "-"):
            expression = expression + _parse_signed_term(parser, negative=True)
        else:
            return expression


def _parse_sign(parser: Parser, sign: str) -> bool:
    if sign == "-":
        return parser.parse_optional_punctuation("-") is not None
    return parser.parse_optional_punctuation("+") is not None


def _parse_signed_term(parser: Parser, *, negative: bool) -> Linear:
    term = _parse_factor(parser)
    while True:
        if parser.parse_optional_punctuation("*"):
            term = term * parser.parse_integer(allow_boolean=False)
        elif parser.parse_optional_keyword("floordiv"):
            term = floordiv(term, _parse_divisor(parser))
        elif parser.parse_optional_keyword("mod"):
            term = mod(term, _parse_divisor(parser))
        else:
            return term * -1 if negative else term


def _parse_divisor(parser: Parser) -> int:
    by = parser.parse_integer(allow_boolean=False, allow_negative=False)
    if by < 1:
        parser.raise_error("expected a positive divisor")
    return by


def _parse_factor(parser: Parser) -> Linear:
    if parser.parse_optional_punctuation("("):
        expression = parse_linear(parser)
        parser.parse_punctuation(")")
        return expression
    number = parser.parse_optional_integer(allow_boolean=False)
    if number is not None:
        return Linear.of(number)
    value = parser.parse_optional_operand(INDEX)
    if value is not None:
        return Linear.of(value)
    lane = parser.parse_optional_identifier()
    if lane is None or lane[0] != "t" or not lane[1:].isdecimal():
        parser.raise_error("expected an index value, a lane such as t0, a number or '('")
    return Linear.of(Lane(int(lane[1:])))
