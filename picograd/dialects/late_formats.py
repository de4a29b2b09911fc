"""Assembly formats of ops are read when an op is first parsed or printed.

xDSL reads them, and loads its parser for that, while an op's class is made: half of the time that
defining an op takes. A process that only compiles prints and parses nothing. `picograd.dialects`
calls `read_late` before any op is defined; a format that is wrong is told of by the first use.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xdsl.irdl import IRDLOperation, OpDef, operations
from xdsl.utils.exceptions import ParseError, PyRDLOpDefinitionError

if TYPE_CHECKING:
    from xdsl.irdl.declarative_assembly_format import FormatProgram
    from xdsl.parser import Parser
    from xdsl.printer import Printer

_accessors = operations.get_accessors_from_op_def


def read_late() -> None:
    """Let the formats of all ops that are defined from now on be read late."""
    operations.get_accessors_from_op_def = _with_late_format


def _with_late_format(op_def: OpDef, custom_verify: Any | None) -> dict[str, Any]:
    """As `get_accessors_from_op_def`, but for the reading of the format."""
    text = op_def.assembly_format
    if text is None:
        return _accessors(op_def, custom_verify)
    op_def.assembly_format = None
    found = _accessors(op_def, custom_verify)
    op_def.assembly_format = text

    @cache
    def program() -> FormatProgram:
        formats = import_module("xdsl.irdl.declarative_assembly_format")
        try:
            return formats.FormatProgram.from_str(text, op_def)
        except ParseError as error:
            raise PyRDLOpDefinitionError(
                "Error during the parsing of the assembly format: ", error.args
            ) from error

    def parse(cls: type[IRDLOperation], parser: Parser) -> IRDLOperation:
        return program().parse(parser, cls)

    def print_(self: IRDLOperation, printer: Printer) -> None:
        program().print(printer, self)

    return {**found, "parse": classmethod(parse), "print": print_}
