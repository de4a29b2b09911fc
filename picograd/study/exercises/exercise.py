"""What an exercise is: a pass to write, programs to try it on, and what it must gain.

Each has a folder of its own beside this file: `stub.py`, which a learner starts from, `hints.md`,
one section a hint, `reference.py`, and `task.py` with the programs.
"""

import ast
from collections.abc import Callable, Sequence
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.check.meaning import Program, Rule, keep_any
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.passes import PASSES, Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.counters import Counters, count
from picograd.study.pass_docs import PassDocs, parse_pass_docs

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Exercise:
    """A pass that a learner is to write.

    `way` are the passes that run before it. It is tried on the modules that `programs` makes, which
    it must leave meaning the same and, if it is to pass, cheaper: of what the reference saves of
    each of `measures` (names of `Counters`) on the modules of `measured`, at least `least`.
    `tidy` are passes that run before costs are counted, so that nobody needs to clean up.
    """

    number: int
    name: str
    title: str
    reference: Pass
    programs: Callable[[], Sequence[Program]]
    measured: Callable[[], Sequence[Program]]
    measures: tuple[str, ...]
    least: float = 0.9
    tidy: str = ""
    rule: Rule = keep_any

    @property
    def folder(self) -> Path:
        """Where its stub, its hints and its reference are."""
        return FOLDER / self.name

    @property
    def stub(self) -> str:
        """The file that a learner starts from."""
        return (self.folder / "stub.py").read_text(encoding="utf-8")

    @property
    def solution(self) -> str:
        """The reference, as text."""
        return (self.folder / "reference.py").read_text(encoding="utf-8")

    @property
    def hints(self) -> tuple[str, ...]:
        """Hints, from a nudge to nearly the solution."""
        text = (self.folder / "hints.md").read_text(encoding="utf-8")
        return tuple(part.strip() for part in text.split("\n## ")[1:])

    @property
    def docs(self) -> PassDocs:
        """The specification in the stub: prose, and IR before and after."""
        return parse_pass_docs(self.name, ast.get_docstring(ast.parse(self.stub)) or "")

    def cost(self, step: Pass | None) -> Counters:
        """What the measured programs cost after a pass, or with none."""
        total = Counters()
        for program in self.measured():
            total += count(self._after(step, program))
        return total

    def _after(self, step: Pass | None, program: Program) -> ModuleOp:
        module = program.lowered()
        steps = [*([step] if step is not None else []), *as_passes(self.tidy, PASSES)]
        run_pipeline(module, steps, facts=None)
        return module
