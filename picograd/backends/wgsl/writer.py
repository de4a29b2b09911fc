"""The text of one shader while it is being written: lines, names, index expressions, helpers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from xdsl.ir import SSAValue

from picograd.backends.wgsl.indices import IndexWriter
from picograd.backends.wgsl.text import Helpers, identifier, value_type
from picograd.dialects.loop import Dim
from picograd.errors import CompileError
from picograd.passes.loops.facts import LoopFacts


class Writer:
    """Collects the body of a shader's `main`, and what has to be declared around it."""

    def __init__(self, kernel_name: str, facts: LoopFacts) -> None:
        self.kernel_name = kernel_name
        self.facts = facts
        self.helpers = Helpers()
        self.names: dict[SSAValue, str] = {}
        self.indices = IndexWriter(self.names, facts, self.helpers)
        self.lines: list[str] = []
        self._depth = 1
        self._counter = 0

    def line(self, text: str) -> None:
        """Add one line at the current depth."""
        self.lines.append("  " * self._depth + text)

    @contextmanager
    def braces(self, head: str) -> Generator[None]:
        """What is written inside stands in braces after `head`; in none if that is empty."""
        if not head:
            yield
            return
        self.line(head)
        with self.indented():
            yield
        self.line("}")

    @contextmanager
    def indented(self) -> Generator[None]:
        self._depth += 1
        yield
        self._depth -= 1

    def guarded(self, conditions: Sequence[str]) -> str:
        """The head of an `if` for conditions that must all hold; empty when there are none."""
        return f"if ({' && '.join(conditions)}) {{" if conditions else ""

    def fresh(self, prefix: str, hint: str | None = None) -> str:
        """A name that nothing else in the shader has."""
        name = identifier(prefix, self._counter, hint)
        self._counter += 1
        return name

    def name(self, prefix: str, value: SSAValue, hint: str = "") -> str:
        """Give an SSA value a fresh name, which shows its hint."""
        self.names[value] = self.fresh(prefix, hint or value.name_hint)
        return self.names[value]

    def variable(self, prefix: str, value: SSAValue, start: str = "") -> str:
        """Declare a variable that will hold an SSA value."""
        type = value_type(value.type)
        name = self.name(prefix, value)
        self.line(f"var {name} = {start};" if start else f"var {name}: {type};")
        return name

    def assign(self, targets: Sequence[str], values: Sequence[SSAValue]) -> None:
        """Assign all values at the same time: one that is itself a target is copied first."""
        texts: list[str] = []
        for target, value in zip(targets, values, strict=True):
            text = self.names[value]
            if text in targets and text != target:
                copy = self.fresh("t")
                self.line(f"let {copy} = {text};")
                text = copy
            texts.append(text)
        for target, text in zip(targets, texts, strict=True):
            if target != text:
                self.line(f"{target} = {text};")

    def upper(self, dim: Dim) -> str:
        """The upper bound of a loop dimension."""
        text = self.indices.text(dim.uppers[0])
        for upper in dim.uppers[1:]:
            text = f"min({text}, {self.indices.text(upper)})"
        return text

    def error(self, message: str, hint: str, found: object = "") -> CompileError:
        """A CompileError that names the kernel."""
        return CompileError(
            message,
            code="PG609",
            expected="loops and memory that the threads of a workgroup can share",
            found=found or "none",
            hint=hint,
            where=f"kernel @{self.kernel_name}",
        )
