"""Affine expressions as WGSL text, in i32 arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from picograd.backends.wgsl.text import Helpers, integer
from picograd.dialects.affine import Counter, FloorDiv, Lane, Linear, Mod, ordered_terms
from picograd.errors import CompileError
from picograd.passes.loops.facts import LoopFacts


class IndexWriter:
    """Writes the index expressions of one kernel.

    `names` maps SSA values to their names in the text; the emitter fills it as it goes.
    """

    def __init__(self, names: dict[SSAValue, str], facts: LoopFacts, helpers: Helpers) -> None:
        self.names = names
        self.facts = facts
        self.helpers = helpers

    def text(self, expression: Linear) -> str:
        """An affine expression; a sum of several terms is not in parentheses.

        WGSL's division truncates, so quotients whose dividend may be negative call a helper.
        """
        text = ""
        for atom, coefficient in ordered_terms(expression):
            if isinstance(atom, Lane | Counter):
                raise CompileError(
                    "a register tile has no WGSL spelling",
                    expected="an index of one element",
                    code="PG606",
                    found=f"{atom} in an index",
                    hint="run unroll_tiles{width=1} before emitting",
                )
            quotient = isinstance(atom, FloorDiv | Mod)
            factor = self._quotient(atom) if quotient else self.names[atom]
            size = abs(coefficient)
            term = factor if size == 1 else f"{factor} * {integer(size)}"
            if not text:
                text = term if coefficient > 0 else f"-({term})"
            else:
                text += f" {'+' if coefficient > 0 else '-'} {term}"
        constant = expression.constant
        if not text:
            return integer(constant)
        if constant:
            text += f" {'+' if constant > 0 else '-'} {integer(abs(constant))}"
        return text

    def _quotient(self, atom: FloorDiv | Mod) -> str:
        inner = self.text(atom.expression)
        dividend = f"({inner})" if " " in inner else inner
        least, _ = self.facts.bounds(atom.expression)
        if least is not None and least >= 0:
            operator = "/" if isinstance(atom, FloorDiv) else "%"
            return f"({dividend} {operator} {integer(atom.by)})"
        name = self.helpers.use("floordiv" if isinstance(atom, FloorDiv) else "floormod")
        return f"{name}({inner}, {integer(atom.by)})"

    def inside(self, shape: Sequence[int], indices: Sequence[Linear]) -> str:
        """The condition that indices are within bounds; only what is not known is tested.

        Empty when nothing needs testing.
        """
        conditions: list[str] = []
        for size, index in zip(shape, indices, strict=True):
            if self.facts.within(index, size):
                continue
            least, _ = self.facts.bounds(index)
            greatest = self.facts.greatest(index)
            text = self.text(index)
            if least is None or least < 0:
                conditions.append(f"{text} >= 0i")
            if greatest is None or greatest >= size:
                conditions.append(f"{text} < {integer(size)}")
        return " && ".join(conditions)
