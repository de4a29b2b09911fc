"""The text of one LLVM function while it grows, and what is known at each point of it.

Loops are levels. An address is a sum of parts, each of which belongs to the level whose induction
variable it needs, and is computed once at the head of that level: so no optimization pipeline is
needed to hoist and share address arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any, TypeVar

from xdsl.ir import Attribute, Operation, SSAValue

from picograd.backends.llvm import types
from picograd.backends.llvm.emitted import (
    CONTEXT_FIELDS,
    CONTEXT_NUMBERS,
)
from picograd.backends.llvm.ranges import Ranges
from picograd.dialects.affine import Atom, Linear
from picograd.quick_dataclasses import dataclass
from picograd.semantics.access import Site

# What an address is computed from: the buffer and the parts of the levels so far.
AddressKey = tuple[object, ...]

FoundT = TypeVar("FoundT")


_NAME = re.compile(r"%[-\w$.]+")
_LABEL = re.compile(r"^([-\w$.]+):$", re.MULTILINE)
_DEFINED = re.compile(r"^(?:  (%[-\w$.]+) = .*|([-\w$.]+):)$", re.MULTILINE)


@dataclass
class Scratch:
    """Where local buffers of one function go: a stack of bytes, whose high-water mark counts."""

    used: int = 0
    high: int = 0

    def take(self, nbytes: int) -> int:
        """The offset of a new buffer. A line is left free, so that panels do not alias in L1."""
        offset = self.used
        self.used += -(-nbytes // 64) * 64 + 64
        self.high = max(self.high, self.used)
        return offset


@dataclass
class Level:
    """An open loop: the lines at the head of its body, and the pointers computed there."""

    head: list[str] = field(default_factory=list[str])
    pointers: dict[AddressKey, str] = field(default_factory=dict[AddressKey, str])
    starts: dict[AddressKey, tuple[str, dict[Atom, int], Linear]] = field(
        default_factory=dict[AddressKey, tuple[str, dict[Atom, int], Linear]]
    )
    """By buffers and where terms are, which the expressions keep there: what addresses asked for
    inside begin with, and what of their sums is left to add."""


class Function:
    """An LLVM function under construction."""

    def __init__(
        self, declarations: set[str], comment: str, sites: list[Site] | None = None
    ) -> None:
        """`sites` lists the module's accesses so far that are checked; None: none shall be."""
        self.declarations = declarations
        self.sites = sites
        self.comment_sign = comment
        self.lines: list[str] = []
        self.label = "entry"
        self.names: dict[SSAValue, str] = {}
        self.bases: dict[SSAValue, str] = {}
        self.level_of: dict[SSAValue, int] = {}
        self.levels: list[Level] = [Level()]
        self.ranges = Ranges()
        self.scratch = Scratch()
        self.context = "%context"
        self.worker: str | None = None
        self.chains: dict[Operation, bool] = {}
        """For shuffles of shuffles, whether all of their chain take whole vectors."""
        self.streams = False
        """Whether there are stores that other threads see only after a fence."""
        self._context_fields: dict[int, str] = {}
        self._count = 0
        self._of_terms: dict[tuple[object, ...], tuple[object, Any]] = {}

    def found_once(
        self, what: object, expressions: Sequence[Linear], find: Callable[[], FoundT]
    ) -> FoundT:
        """What `find` gives, which depends on the terms of expressions, and on no constant.

        The pieces of a tile share their terms, so these are told apart by where they are.
        """
        key = (what, *[id(each.terms) for each in expressions])
        known = self._of_terms.get(key)
        if known is None:
            # What is kept keeps the terms, whose places stay taken.
            known = self._of_terms[key] = ([each.terms for each in expressions], find())
        return known[1]

    # Text

    def fresh(self, hint: str | None) -> str:
        """A new name, `%hint.7`."""
        self._count += 1
        return f"%{hint or 'v'}.{self._count}"

    def fresh_label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}.{self._count}"

    def emit(self, line: str) -> None:
        self.lines.append("  " + line)

    def assign(self, hint: str | None, expression: str) -> str:
        """Emit `%hint.7 = expression` and return the name."""
        name = self.fresh(hint)
        self.lines.append(f"  {name} = {expression}")
        return name

    def assign_at(self, level: int, hint: str | None, expression: str) -> str:
        """The same at the head of an open loop (0: of the function)."""
        name = self.fresh(hint)
        self.levels[level].head.append(f"  {name} = {expression}")
        return name

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def copy(self, text: str, renamed: dict[str, str]) -> dict[str, str]:
        """Emit lines once more, with new names for all that they define, and others as given.

        What each name has become is returned, labels among them.
        """
        for name, label in _DEFINED.findall(text):
            hint = (name or f"%{label}").rpartition(".")[0]
            renamed[name or f"%{label}"] = self.fresh(hint[1:])

        def new(match: re.Match[str]) -> str:
            return renamed.get(match[0], match[0])

        def new_label(match: re.Match[str]) -> str:
            return renamed[f"%{match[1]}"][1:] + ":"

        self.lines += _LABEL.sub(new_label, _NAME.sub(new, text)).split("\n")
        return renamed

    def comment(self, text: str) -> None:
        """A comment that reaches the assembly: an empty inline assembly statement.

        Without a sign that begins comments there is none: LLVM reads them only with a parser for
        the processor's assembly, of which llvmlite has the host's.
        """
        if not self.comment_sign:
            return
        safe = text.replace("\\", "/").replace('"', "'").replace("$", "$$").replace("\n", " ")
        self.emit(f'call void asm sideeffect "{self.comment_sign} {safe}", ""()')

    def call(self, name: str, result: str, arguments: Sequence[tuple[str, str]]) -> str:
        """The text of a call of an external function or intrinsic, which is declared."""
        signature = ", ".join(type for type, _ in arguments)
        self.declarations.add(f"declare {result} @{name}({signature})")
        given = ", ".join(f"{type} {text}" for type, text in arguments)
        return f"call {result} @{name}({given})"

    # Values

    def typed(self, value: SSAValue) -> str:
        """`<16 x float> %v.3`"""
        return f"{types.value(value.type)} {self.names[value]}"

    def set(self, result: SSAValue, expression: str) -> None:
        """Emit the value of a result."""
        self.names[result] = self.assign(result.name_hint, expression)

    def splat(self, text: str, scalar: str, lanes: int, hint: str | None = None) -> str:
        """An element in every lane of a vector; the element itself when there are no lanes."""
        if not lanes:
            return text
        if not text.startswith("%"):
            return types.splat(text, scalar, lanes)
        vector = types.vector(scalar, lanes)
        first = self.assign(hint, f"insertelement {vector} poison, {scalar} {text}, i64 0")
        zeros = f"<{types.width(lanes)} x i32> zeroinitializer"
        return self.assign(hint, f"shufflevector {vector} {first}, {vector} poison, {zeros}")

    def constant(self, number: float, type: Attribute) -> str:
        """A number in every lane of a value of a type."""
        scalar = types.scalar(type)
        return types.splat(types.number_text(number, scalar), scalar, types.lanes(type))

    # What a function is told about the call

    def context_field(self, position: int) -> str:
        """A pointer or number of the context, loaded once at the head of the function."""
        if position not in self._context_fields:
            place = self.assign_at(
                0, "context", f"getelementptr i64, ptr {self.context}, i64 {position}"
            )
            kind = "i64" if position in CONTEXT_NUMBERS else "ptr"
            self._context_fields[position] = self.assign_at(
                0, CONTEXT_FIELDS[position], f"load {kind}, ptr {place}, align 8"
            )
        return self._context_fields[position]

    def finish(self, header: str) -> list[str]:
        """All lines of the function."""
        if self.streams:
            self.emit("fence seq_cst")
        self.emit("ret void")
        return [header, "entry:", *self.levels[0].head, *self.lines, "}", ""]


# The context of a call: eight-byte slots that hold pointers and numbers.


def joined(items: Iterable[str]) -> str:
    return ", ".join(items)
