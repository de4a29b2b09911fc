"""Whether a pass keeps the meaning of a program, and if not, a small program that shows it.

    found = counterexample(MyPass(), program)
    assert found is None, str(found)

A program is a module of tensor level with inputs. It is lowered to the level of the pass, the pass
runs under the driver, and the result is evaluated: floats must agree within the error budget of the
program (`semantics.bounds`), all else exactly. A failing program is cut down while it fails alike.
"""

import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.programs import random_samples
from picograd.check.reduce.reducer import smaller
from picograd.check.reduce.search import REFUSALS
from picograd.check.reduce.search import Program as Candidate
from picograd.compiler.diagnostics import verify_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.validation.error import in_one_line, inputs_in_lines
from picograd.compiler.validation.fault import Fault
from picograd.dialects.buffer import outputs_of
from picograd.dialects.literals import Array
from picograd.errors import PassError, PicogradError, VerificationError
from picograd.passes import PASSES, Level, Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import entry_of, evaluate

WAY_TO: dict[Level, str] = {
    Level.TENSOR: "",
    Level.KERNEL: "outline_kernels",
    Level.BUFFER: "outline_kernels,lower_kernels_to_buffers",
    Level.LOOP: "outline_kernels,fuse,lower_kernels_to_buffers,plan_buffers,lower_buffers_to_loops",
}
"""The passes that bring a module from tensor level to each level."""


_CANNOT_RUN = (PicogradError, ArithmeticError, LookupError, TypeError, ValueError)
"""What the evaluator raises on IR that verifies and still makes no sense."""


_SECONDS = 20.0
"""How long a counterexample is made smaller."""


Rule: TypeAlias = Callable[[ModuleOp, ModuleOp], str]
"""What a task demands beside the meaning: the complaint about a module before and after, or ""."""


@dataclass(frozen=True)
class Program:
    """A module of tensor level and inputs for it; `way` are the passes to the level in question."""

    module: ModuleOp
    inputs: Sequence[Array]
    way: str = ""

    def lowered(self) -> ModuleOp:
        """A copy of the module at the level in question."""
        module = self.module.clone()
        run_pipeline(module, _passes_of(self.way), verify=False)
        return module


@lru_cache(maxsize=64)
def _passes_of(way: str) -> Pipeline:
    """The passes of a way, which many programs share."""
    return as_passes(way, PASSES)


@dataclass(frozen=True)
class Counterexample:
    """A program that a pass spoils; `detail` says how, in a line or a few."""

    fault: Fault
    detail: str
    program: Program
    before: ModuleOp
    after: ModuleOp | None
    error: BaseException | None = None

    def __str__(self) -> str:
        parts = [f"{self.fault}: {self.detail}", "Before:\n" + str(self.before)]
        if self.after is not None:
            parts.append("After:\n" + str(self.after))
        parts += inputs_in_lines(entry_of(self.program.module), self.program.inputs)
        return "\n".join(parts)


def keep_any(before: ModuleOp, after: ModuleOp) -> str:
    """The rule of a task that demands nothing."""
    return ""


def counterexample(step: Pass, program: Program, rule: Rule = keep_any) -> Counterexample | None:
    """How the pass spoils the program, cut down to a small one; None where it does not."""
    found = _judge(step, program, rule)
    if found is None:
        return None

    def still_fails(module: ModuleOp, inputs: Sequence[Array]) -> bool:
        try:
            verify_module(module)
            again = _judge(step, Program(module, inputs, program.way), rule)
        except REFUSALS:
            return False  # the candidate makes no sense, whatever the pass does with it
        return again is not None and again.fault == found.fault

    small = smaller(Candidate(program.module, program.inputs), still_fails, seconds=_SECONDS)
    return _judge(step, Program(small.module, small.inputs, program.way), rule) or found


def assert_keeps_meaning(step: Pass, *, samples: int = 50, seed: int = 0, way: str = "") -> int:
    """Run a pass on random programs; how many of them it changed.

    `way` names the passes that run first; by default the shortest way to the level of the pass.
    Raises AssertionError with a counterexample where the pass does anything wrong.
    """
    changed = 0
    for sample in random_samples(samples, seed, fewest_ops=4, all_read=True):
        program = Program(sample.module, sample.inputs, way or WAY_TO[step.level_in])
        found = counterexample(step, program)
        if found is not None:
            raise AssertionError(str(found))
        before = program.lowered()
        after = before.clone()
        run_pipeline(after, [step], facts=None)
        changed += str(before) != str(after)
    return changed


def _judge(step: Pass, program: Program, rule: Rule) -> Counterexample | None:
    before = program.lowered()
    after = before.clone()

    def found(fault: Fault, detail: str, error: BaseException | None = None) -> Counterexample:
        left = None if fault == Fault.CRASH else after
        return Counterexample(fault, detail, program, before, left, error)

    try:
        run_pipeline(after, [step], facts=None)
    except PassError as error:
        broken = isinstance(error.__cause__, VerificationError)
        fault = Fault.INVALID if broken or error.__cause__ is None else Fault.CRASH
        return found(fault, _first_lines(error), error)
    except PicogradError as error:
        return found(Fault.CRASH, _first_lines(error), error)
    if _signature(before) != _signature(after):
        return found(Fault.SIGNATURE, f"it was {_shown(before)}, it is {_shown(after)}")
    complaint = rule(before, after)
    if complaint:
        return found(Fault.RULE, complaint)
    given = [array.copy() for array in program.inputs]
    try:
        outputs = evaluate(after, given)
    except _CANNOT_RUN as error:
        return found(Fault.INVALID, f"the result cannot be run: {_first_lines(error)}", error)
    for argument, array, original in zip(
        entry_of(program.module).args, given, program.inputs, strict=True
    ):
        if array.tobytes() != original.tobytes():
            was, now = in_one_line(original), in_one_line(array)
            return found(Fault.ARGUMENT, f"%{argument.name_hint} was {was}, it is {now}")
    expected = evaluate(before, [array.copy() for array in program.inputs])
    if _equal(expected, outputs):
        return None
    report = compare(program.module, program.inputs, outputs)
    if report.worst is None:
        return None
    place = report.worst
    return found(
        Fault.VALUES,
        f"result {place.output} at {list(place.index)} is {place.found!r} and should be "
        f"{place.expected!r} ± {place.budget:.2g}",
    )


def _equal(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def _first_lines(error: BaseException) -> str:
    """What an error says, without the IR that it shows."""
    if isinstance(error, PicogradError):
        lines = [("expected", error.expected), ("found", error.found)]
        return "\n".join([error.message, *(f"  {name}: {text}" for name, text in lines if text)])
    return "".join(traceback.format_exception_only(error)).strip()


def _signature(module: ModuleOp) -> tuple[object, ...]:
    """What a caller of the entry function relies on."""
    function = entry_of(module)
    return function.sym_name.data, function.function_type, len(outputs_of(function))


def _shown(module: ModuleOp) -> str:
    return f"{entry_of(module).function_type}"
