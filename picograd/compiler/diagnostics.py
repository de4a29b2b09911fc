"""Reading IR text, checking it, and saying in one screen what is wrong with it."""

import re
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl.dominance import DominanceInfo
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove
from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

from picograd.compiler.verifier import Verifier
from picograd.dialects import new_context
from picograd.dialects.argument_notes import check_notes
from picograd.errors import ParseFailure, PicogradError, VerificationError

_EXCERPT_LINES = 5
"""Lines of IR shown before and after the op that an error is about."""

_EXCERPT_WIDTH = 160
"""Characters of a line that an excerpt shows."""


_COMMENTS = re.compile(r"//.*")


def parse_module(text: str, name: str = "input") -> ModuleOp:
    """The module that the text spells, verified.

    Raises ParseFailure with line, column and a caret for malformed text, VerificationError for
    well-formed text that breaks a rule. `name` is what messages call the text, such as a file.
    """
    if not _COMMENTS.sub("", text).strip():
        raise ParseFailure(
            "there is no IR",
            code="PG601",
            expected="a module, such as func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> { … }",
            found="comments only" if text.strip() else "an empty text",
            hint="`picograd dump` writes modules of functions; docs/levels has the grammars",
            where=name,
        )
    try:
        module = Parser(new_context(), text, name).parse_module()
    except ParseError as error:
        start, end = _first_use(error.msg, text) or (error.span.start, error.span.end)
        raise ParseFailure(
            _first_line(error.msg),
            code="PG601",
            found=repr(text[start:end]) if text[start:end].strip() else "the end of the line",
            hint="compare the line with the grammar of its level, in docs/levels",
            where=_caret(start, end, text, name),
        ) from error
    except (VerifyException, DiagnosticException, PicogradError) as error:
        # The parser builds ops as it reads, and some of them refuse to be built.
        raise _broken_rule(error, "", name) from error
    verify_module(module)
    return module


def _first_use(message: str, text: str) -> tuple[int, int] | None:
    """Where a value is first used of which the parser finds, at the end, that it is not defined."""
    undefined = re.search(r"not defined: \[(%[\w$.-]+)", message)
    if undefined is None:
        return None
    use = re.search(re.escape(undefined[1]) + r"(?![\w$.-])", text)
    return use.span() if use else None


def _caret(position: int, past: int, text: str, name: str) -> str:
    line = text.count("\n", 0, position) + 1
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", start)
    source = text[start : end if end >= 0 else len(text)]
    column = position - start + 1
    width = max(1, min(past - position, len(source) - column + 1))
    number = f"{line} | "
    caret = " " * (len(number) + column - 1) + "^" * width
    return f"{name}:{line}:{column}\n{number}{source}\n{caret}"


def verify_module(module: ModuleOp, verifier: Verifier | None = None) -> None:
    """Check every op's rules, and that every value is defined before it is used.

    A `verifier` that has seen the module before looks at little more than what is new.

    Raises VerificationError that names the op and shows the IR around it.
    """
    try:
        (verifier or Verifier()).verify(module)
    except _VERIFICATION_ERRORS as error:
        culprit = _failing_op(module) or module
        raise _broken_rule(error, culprit.name, excerpt(culprit)) from error
    check_dominance(module)
    for op in module.body.ops:
        if isinstance(op, FuncOp):
            check_notes(op)


def _broken_rule(error: BaseException, op: str, where: str) -> VerificationError:
    """The error for IR that an op refuses, which tells its own code and remedy where it has them.

    An op says what it means with an error of picograd's, or with one of xDSL's that it causes.
    """
    own = error if isinstance(error, PicogradError) else error.__cause__
    if not isinstance(own, PicogradError):
        own = PicogradError(
            message_of(error),
            code="PG602",
            hint="compare the op with its description, in docs/levels",
        )
    return _about_ir(own, op, where)


def _about_ir(known: PicogradError, op: str, where: str) -> VerificationError:
    named = op in known.message or known.message.startswith(f"{op.rpartition('.')[2]}: ")
    return VerificationError(
        known.message if named else f"{op}: {known.message}",
        code=known.code or "PG602",
        expected=known.expected,
        found=known.found,
        hint=known.hint,
        where=where,
    )


_VERIFICATION_ERRORS = (VerifyException, DiagnosticException, PicogradError, ValueError)


def _failing_op(module: ModuleOp) -> Operation | None:
    """The innermost op that does not verify on its own."""
    for op in reversed(list(module.walk())):
        try:
            op.verify(verify_nested_ops=False)
        except _VERIFICATION_ERRORS:
            return op
    return None


def check_dominance(module: ModuleOp) -> None:
    """Check that every operand is defined before its use, in a place that the use can see.

    xDSL's own verifier leaves this out. Raises VerificationError.
    """
    for region in module.regions:
        _check_region(region, set())


def _check_region(region: Region, visible: set[SSAValue]) -> None:
    if len(region.blocks) == 1:
        _check_block(region.blocks[0], set(visible))
        return
    dominance = DominanceInfo(region)
    for block in region.blocks:
        seen = set(visible)
        for other in region.blocks:
            if dominance.strictly_dominates(other, block):
                seen.update(other.args, *(op.results for op in other.ops))
        _check_block(block, seen)


def _check_block(block: Block, visible: set[SSAValue]) -> None:
    visible.update(block.args)
    for op in block.ops:
        for number, operand in enumerate(op.operands):
            if operand not in visible:
                name = f"%{operand.name_hint}" if operand.name_hint else f"number {number}"
                raise VerificationError(
                    f"{op.name} uses operand {name} where it is not defined",
                    code="PG603",
                    expected="a value defined earlier in this region or in one around it",
                    found=_definition(operand),
                    hint="move the definition before the use, or out of a region that hides it",
                    where=excerpt(op),
                )
        inner: set[SSAValue] = set() if op.has_trait(IsolatedFromAbove) else visible
        for region in op.regions:
            _check_region(region, inner)
        visible.update(op.results)


def _definition(value: SSAValue) -> str:
    owner = value.owner
    if isinstance(owner, Operation):
        return f"a result of a later or unreachable {owner.name}"
    return "an argument of another region"


class _MarkingPrinter(Printer):
    """A printer that remembers on which lines of the output one op stands."""

    def __init__(self, stream: StringIO, marked: Operation) -> None:
        super().__init__(stream=stream)
        self.text = stream
        self.marked = marked
        self.first_line = 0

    def print_op(self, op: Operation) -> None:
        if op is self.marked:
            self.first_line = self.text.getvalue().count("\n")
        super().print_op(op)


def excerpt(op: Operation, lines: int = _EXCERPT_LINES) -> str:
    """The op and a few lines around it as the whole module prints them, the op marked by `>`."""
    top: Operation = op
    while (parent := top.parent_op()) is not None:
        top = parent
    printer = _MarkingPrinter(StringIO(), op)
    printer.print_op(top)
    printed = printer.text.getvalue().splitlines()
    first = printer.first_line
    start, end = max(0, first - lines), min(len(printed), first + lines + 1)
    shown = [("  > " if n == first else "    ") + _cut(printed[n]) for n in range(start, end)]
    cut = [*(["    …"] if start else []), *shown, *(["    …"] if end < len(printed) else [])]
    return "\n".join(["in the IR:", *cut])


def _cut(line: str) -> str:
    """A line that fits a screen: a function of a whole model lists hundreds of arguments."""
    return line if len(line) <= _EXCERPT_WIDTH else line[: _EXCERPT_WIDTH - 2] + " …"


def message_of(error: BaseException) -> str:
    """What an exception says, without the traces of IR that xDSL adds."""
    if isinstance(error, PicogradError):
        return str(error)
    if isinstance(error, VerifyException):
        # What our ops raise has lines for what was expected and found.
        return str(error).strip()
    return _first_line(str(error)) or type(error).__name__


def kind_and_message(error: BaseException) -> str:
    """The type of an exception and what it says; the type alone where it says nothing."""
    kind, message = type(error).__name__, message_of(error)
    return kind if message == kind else f"{kind}: {message}"


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    return lines[0] if lines else ""
