"""Running a pipeline: every pass is checked before it starts and after it has run.

Before a pass: is the module at the level the pass works on, and are the facts it requires
established? After it: does the module verify, are values defined before their uses, and is it at
the level the pass promises? A failure becomes one error that names pass and op and shows the IR.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import ClassVar, Protocol

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass, PassPipeline

from picograd.compiler import alone
from picograd.compiler.diagnostics import excerpt, kind_and_message, verify_module
from picograd.compiler.garbage import collect_much, without_garbage_collection
from picograd.compiler.records import PassRecord
from picograd.compiler.verifier import Verifier
from picograd.dialects import new_context
from picograd.errors import (
    DeviceError,
    DTypeError,
    LimitError,
    PassError,
    PicogradError,
    PipelineError,
    VerificationError,
    origin_of,
)
from picograd.passes import PASSES, Level, Pass, level_of
from picograd.passes.base import stands_at
from picograd.quick_dataclasses import dataclass


class Instrument(Protocol):
    """Something that watches a pipeline: dumps, validation, provenance."""

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Called when the pass is about to run."""
        ...

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Called when the pass has run and the module has been verified."""
        ...


def run_pipeline(
    module: ModuleOp,
    passes: Sequence[Pass],
    *,
    context: Context | None = None,
    instruments: Sequence[Instrument] = (),
    verify: bool = True,
    facts: frozenset[str] | None = frozenset(),
) -> tuple[PassRecord, ...]:
    """Run the passes on the module, in place, and tell what each did.

    `facts` holds what is known to be established already; None means that the module's history
    is unknown (a text file): then only facts that a later pass would establish count as missing.
    Without `verify` ops are taken to be right before and after every pass; levels are checked.

    Raises PipelineError when a pass stands in the wrong place, PassError when one fails or leaves
    a module that does not verify, and VerificationError when the module is broken to begin with.
    """
    run = _Run(tuple(passes), facts, tuple(instruments), verify)
    if verify:
        verify_module(module, run.verifier)
    with without_garbage_collection():
        PassPipeline(tuple(_Guarded(step, run) for step in passes)).apply(
            context or new_context(), module
        )
    return tuple(run.records)


class _Run:
    """The state of one run: facts so far, records so far."""

    def __init__(
        self,
        passes: tuple[Pass, ...],
        facts: frozenset[str] | None,
        instruments: tuple[Instrument, ...],
        verify: bool,
    ) -> None:
        self.passes = passes
        self.history_known = facts is not None
        self.facts = set(facts or ())
        self.instruments = instruments
        self.verify = verify
        self.records: list[PassRecord] = []
        self.ops: int | None = None
        """How many ops the last pass left."""
        self.verifier = Verifier()

    def check_place(self, step: Pass, module: ModuleOp) -> None:
        """Raise PipelineError unless `step` may run now."""
        level = level_of(module)
        if level != step.level_in and not stands_at(module, step.level_in):
            raise PipelineError(
                f"pass {step.name} is out of order",
                code="PG705",
                expected=f"a module at {step.level_in} level",
                found=f"one at {level} level, after: {self._so_far()}",
                hint=_how_to_reach(level, step.level_in),
            )
        missing = step.requires - self.facts
        if not self.history_known:
            later = self.passes[len(self.records) :]
            missing &= {fact for other in later for fact in other.establishes}
        if missing:
            establishing = [
                name for name, known in PASSES.items() if known.establishes & missing
            ] or [other.name for other in self.passes if other.establishes & missing]
            raise PipelineError(
                f"pass {step.name} is out of order",
                code="PG705",
                expected="a module that is " + " and ".join(sorted(missing)),
                found=f"no pass established that; run so far: {self._so_far()}",
                hint=f"run {' and '.join(establishing) or 'a pass that establishes it'} before it",
            )

    def _so_far(self) -> str:
        return ", ".join(record.name for record in self.records) or "no pass"


def _how_to_reach(found: Level, wanted: Level) -> str:
    levels = list(Level)
    if levels.index(found) > levels.index(wanted):
        return f"move the pass before the lowering from {wanted} level"
    lowerings = [
        name
        for name, step in PASSES.items()
        if step.is_lowering()
        and found in levels[: levels.index(step.level_out)]
        and levels.index(step.level_out) <= levels.index(wanted)
        and levels.index(step.level_in) >= levels.index(found)
    ]
    return "run before it: " + ", ".join(lowerings)


@dataclass(frozen=True)
class _Guarded(ModulePass):
    """A pass as xDSL's pipeline runs it: with the checks around it."""

    name: ClassVar[str] = "guarded"
    step: Pass
    run: _Run

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        step, run = self.step, self.run
        run.check_place(step, op)
        for instrument in run.instruments:
            instrument.before(step, op)
        before = count_ops(op) if run.ops is None else run.ops
        start = time.perf_counter()
        with _NamedFailure(step, op):
            alone.apply(step, ctx, op)
        applied = time.perf_counter()
        _verify_after(step, op, run.verifier if run.verify else None)
        seconds, verifying = applied - start, time.perf_counter() - applied
        run.facts |= step.establishes
        run.ops = count_ops(op)
        record = PassRecord(step.name, str(step), seconds, verifying, before, run.ops)
        run.records.append(record)
        collect_much()
        for instrument in run.instruments:
            instrument.after(step, op, record)


def count_ops(module: ModuleOp) -> int:
    """How many ops the module holds, at any depth, itself left out."""
    count, regions = 0, list(module.regions)
    while regions:  # `walk` hands each op through a generator for each level that it lies deep
        for block in regions.pop().blocks:
            for op in block.ops:
                count += 1
                regions.extend(op.regions)
    return count


def _verify_after(step: Pass, module: ModuleOp, verifier: Verifier | None) -> None:
    try:
        if verifier is not None:
            verify_module(module, verifier)
    except VerificationError as error:
        raise PassError(
            f"pass {step} left IR that does not verify: {error.message}",
            code="PG707",
            expected=error.expected,
            found=error.found,
            hint="the pass is wrong; print the module before it with --print-after-all",
            where=error.where,
        ) from error
    level = level_of(module)
    if level != step.level_out and not stands_at(module, step.level_out):
        raise PassError(
            f"pass {step} left the module at {level} level",
            code="PG707",
            expected=f"{step.level_out} level, as the pass declares",
            found=f"{level} level",
            hint="the pass is wrong: it misses some ops, or its level_out is not what it does",
        )


ABOUT_THE_PROGRAM = (DTypeError, LimitError, DeviceError)
"""What a pass finds in the user's program that the device cannot do: no failure of the pass."""


class _NamedFailure(AbstractContextManager[None]):
    """Turns whatever escapes from a pass into a PassError that names the pass and the op.

    Errors about the user's program keep their type. The original exception stays the cause, so that
    Python shows where in the pass it arose.
    """

    def __init__(self, step: Pass, module: ModuleOp) -> None:
        self.step = step
        self.module = module

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A pass that ends the process would end whatever was compiling, and look like a success.
        if not isinstance(error, (Exception, SystemExit)):
            return
        op = _op_in_hand(trace, self.module)
        code, expected, found, hint = "PG706", "", "", ""
        if isinstance(error, ABOUT_THE_PROGRAM):
            where = error.where or (excerpt(op) if op else "")
            raise type(error)(
                error.message,
                code=error.code,
                expected=error.expected,
                found=error.found,
                hint=error.hint,
                where=f"pass {self.step}" + (f"; {where}" if where else ""),
            ) from error
        if isinstance(error, PicogradError):
            message, expected, found, hint = error.message, error.expected, error.found, error.hint
            code = error.code or code
        else:
            message = kind_and_message(error)
            expected, found = "a pass that comes to its end", f"an exception at {origin_of(trace)}"
            hint = "mend the pass at that line; the exception is the cause of this error"
        raise PassError(
            f"pass {self.step} failed" + (f" on {op.name}" if op else "") + f": {message}",
            code=code,
            expected=expected,
            found=found,
            hint=hint,
            where=excerpt(op) if op else getattr(error, "where", ""),
        ) from error


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _op_in_hand(trace: TracebackType | None, module: ModuleOp) -> Operation | None:
    """The op that the innermost frame of the failing pass was working on, if it can be told."""
    for frame in reversed(list(_frames(trace))):
        for value in frame.tb_frame.f_locals.values():
            if isinstance(value, Operation) and value is not module and _within(value, module):
                return value
    return None


def _within(op: Operation, module: ModuleOp) -> bool:
    parent: Operation | None = op
    while parent is not None and parent is not module:
        parent = parent.parent_op()
    return parent is module
