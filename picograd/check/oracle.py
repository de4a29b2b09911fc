"""The oracle: does anything go wrong when these passes run on this module, and what runs then?

    failure = examine(Case(module, inputs, passes, "cpu"))
    assert failure is None, failure

A case is all that a failure needs to happen again. Every pass is validated (crash, IR that does not
verify, another signature, an argument overwritten, wrong values); what the passes leave is then run
on the device, if one is named, and judged in the same way. Blame, reduction, fuzzing and mutants
ask nobody else.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from xdsl.dialects.builtin import ContainerType, MemRefType, ModuleOp, TensorType
from xdsl.ir import Attribute

from picograd.backends.runtime import device as find_device
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.executable import Executable, compile_module
from picograd.compiler.hoist_constants import Hoisted
from picograd.compiler.in_parts import Rest, run_in_parts
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.error import ValidationError, in_one_line
from picograd.compiler.validation.expectation import expect
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import as_declared, fitted
from picograd.compiler.validation.signature import signature_of
from picograd.compiler.validation.validator import PassCheck, Validator
from picograd.compiler.validation.wide_integers import leaves_32_bits
from picograd.dialects.dtypes import from_ir
from picograd.dialects.literals import Array
from picograd.errors import (
    CompileError,
    DeviceError,
    DTypeError,
    IndexOutOfRange,
    LimitError,
    PassError,
    PicogradError,
    PipelineError,
    RuleError,
    SanitizerError,
    VerificationError,
)
from picograd.passes.base import Level, Pass, level_of
from picograd.passes.legalization.narrow import held_dtype
from picograd.passes.legalize_types import LegalizeTypes
from picograd.quick_dataclasses import dataclass
from picograd.semantics.accuracy import ACCURACY
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import Excess, judge
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.targets import lookup

REFUSALS = (DTypeError, LimitError, DeviceError)
"""What a pass or a device says of a program that it cannot take: no fault of anybody's."""

NEEDED = (
    "legalize_types",
    "map_to_grid",
    "insert_barriers",
    "vectorize_loops",
    "lower_reduce",
    "expand_math",
    "unroll_tiles",
)
"""Passes without which a back end cannot take what the others leave; it says so."""

_UNPREPARED = frozenset({"PG606", "PG609"})
"""What a back end says of code that is not in its form: that of the passes that were left out."""

_UNTYPED = "PG717"
"""What lowering says of types that `legalize_types` spells in others."""


@dataclass(frozen=True)
class Case:
    """A module of any level, inputs for its entry, passes, and the device that runs the outcome.

    On "reference" nothing runs but the evaluators. `sanitize` runs the device's code with checks of
    its memory.
    """

    module: ModuleOp
    inputs: tuple[Array, ...]
    passes: Pipeline
    device: str = "reference"
    sanitize: bool = False


@dataclass(frozen=True)
class Failure:
    """What went wrong, and where: `culprit` is a pass as it is spelled, or the device.

    `stage` is the pass's place among the case's passes; their number stands for the device. Of
    `hoist_constants`, which is none, it is the place of the pass after it.
    """

    fault: Fault
    culprit: str
    stage: int
    detail: str
    excess: Excess | None = None
    error: BaseException | None = None
    of_constants: bool = False
    """Whether the pass did it to what was taken out of the module, to be computed once."""

    def alike(self, other: Failure) -> bool:
        """Whether both are the same failure: fault, pass or device, and kind of exception.

        Of picograd's own errors that kind is what they complain of: a back end raises CompileError
        for many reasons.
        """
        same = self.fault == other.fault and _name(self.culprit) == _name(other.culprit)
        if self.fault == Fault.CRASH:
            return same and complaint(self.error) == complaint(other.error)
        return same

    def __str__(self) -> str:
        return f"{self.fault} ({self.culprit}): {self.detail}"


@dataclass(frozen=True)
class Examination:
    """What `examine` found out: the failure, if there is one, and how each pass was validated.

    `refused` is what a pass or a device said of a program that it cannot take, which is no failure;
    `kernels` are those that the device ran.
    """

    failure: Failure | None
    checks: tuple[PassCheck, ...] = ()
    refused: str = ""
    kernels: int = 0


def examine(case: Case) -> Failure | None:
    """What goes wrong in a case; None when nothing does.

    A program that a pass or the device refuses (float64 on a GPU, say) is no failure, nor is one
    that passes which the device needs were left out for (`missing`). Raises PipelineError for
    passes in an order that their declarations forbid, and RuleError where an op of the user's own
    cannot be evaluated.
    """
    return examination(case).failure


def examination(case: Case) -> Examination:
    """What goes wrong in a case, and how it was found out. Raises as `examine` does."""
    module = case.module.clone()
    place = _Place()
    watches = [Validator(module, [case.inputs], sanitize=case.sanitize)]
    checks: list[PassCheck] = []
    try:
        way = run_in_parts(module, case.passes, instruments=[place, *watches], facts=None)
        if way.rest is not None:
            place.turn_to_constants(case.passes, way.rest)
            read = [case.inputs[number] for number in way.rest.hoisted.reads]
            constants, steps = way.rest.hoisted.module, way.rest.steps
            watches.append(Validator(constants, [read], sanitize=case.sanitize))
            run_pipeline(constants, steps, instruments=[place, watches[-1]], facts=way.rest.facts)
    except (PipelineError, RuleError):
        raise
    except PicogradError as error:
        checks += (check for watch in watches for check in watch.checks)
        if not isinstance(error, ValidationError) and _is_refusal(case, error):
            return Examination(None, tuple(checks), error.message)
        return Examination(place.failure(case, error), tuple(checks))
    checks += (check for watch in watches for check in watch.checks)
    if case.device == "reference":
        return Examination(None, tuple(checks))
    return _on_device(case, module, way.rest, tuple(checks))


class _Place:
    """An instrument that knows which pass is running, and on what."""

    def __init__(self) -> None:
        self.stage = -1
        self.of_constants = False
        self._between = False

    def before(self, step: Pass, module: ModuleOp) -> None:
        """One pass further."""
        self.stage += not self._between
        self._between = False

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Nothing: what the pass did is the validator's concern."""

    def hoisted(self, before: ModuleOp, out: Hoisted, module: ModuleOp, record: PassRecord) -> None:
        """In front of the next pass, at the place where constants are taken out."""
        self.stage += 1
        self._between = True

    def turn_to_constants(self, passes: Sequence[Pass], rest: Rest) -> None:
        """Begin anew, with what was taken out, behind the place where it was."""
        self.stage = len(passes) - len(rest.steps) - 1
        self.of_constants = True

    def failure(self, case: Case, error: PicogradError) -> Failure:
        """What an error that escaped there says of the pass."""
        if isinstance(error, ValidationError):
            fault, culprit, excess = error.fault, error.step, error.excess
        else:
            refused = isinstance(error, REFUSALS)
            fault = Fault.CRASH if refused else _fault_of(error)
            culprit, excess = str(case.passes[self.stage]), None
        return Failure(fault, culprit, self.stage, _words(error), excess, error, self.of_constants)


def _fault_of(error: BaseException) -> Fault:
    """Whether an error of the driver's is about what a pass raised, or about what it left."""
    if isinstance(error, PassError) and (
        error.__cause__ is None or isinstance(error.__cause__, VerificationError)
    ):
        return Fault.INVALID
    return Fault.CRASH


def _on_device(
    case: Case, module: ModuleOp, parts: Rest | None, checks: tuple[PassCheck, ...]
) -> Examination:
    stage = len(case.passes)

    def found(fault: Fault, detail: str, excess: Excess | None = None,
              error: BaseException | None = None) -> Examination:  # fmt: skip
        return Examination(Failure(fault, case.device, stage, detail, excess, error), checks)

    root = entry_of(case.module)
    given = fitted(case.inputs, root)
    if (
        case.device == "gpu"
        and level_of(case.module) == Level.TENSOR
        and leaves_32_bits(root, given)
    ):
        return Examination(None, checks, "64-bit integers leave the 32 bits that the GPU has")
    expected: list[Bounded] | None = None
    with suppress(IndexOutOfRange):
        expected = expect(root, given, ACCURACY[case.device])
    device = find_device(case.device)
    try:
        kept: list[Array] = []
        if parts is not None:
            constants = _compiled(parts.hoisted.module, case)
            read = [case.inputs[number] for number in parts.hoisted.reads]
            read = fitted(read, entry_of(parts.hoisted.module))
            results = constants.run([device.upload(array) for array in read])
            kept = [device.download(result) for result in results]
        executable = _compiled(module, case)
        given = fitted([*case.inputs, *kept], entry_of(module))
        buffers = [device.upload(array) for array in given]
        outputs = [device.download(result) for result in executable.run(buffers)]
    except IndexOutOfRange as error:
        if expected is None:
            return Examination(None, checks)
        return found(Fault.VALUES, f"no index is out of range, and it says: {error.message}")
    except SanitizerError as error:
        return found(Fault.MEMORY, _words(error), error=error)
    except (Exception, SystemExit) as error:  # noqa: BLE001, whatever a back end raises
        if isinstance(error, PicogradError) and _is_refusal(case, error):
            return Examination(None, checks, error.message)
        return found(_fault_of(error), _words(error), error=error)
    donated = set(executable.donated.values())
    for number, (buffer, array) in enumerate(zip(buffers, given, strict=True)):
        after = device.download(buffer)
        if number not in donated and after.tobytes() != array.tobytes():
            detail = f"input {number} was {in_one_line(array)}, it is {in_one_line(after)}"
            return found(Fault.ARGUMENT, detail)
    if expected is None:
        # A pass may have removed what would have been out of range: nobody needed it.
        if _is_out_of_range(module, given):
            return found(Fault.VALUES, "an index is out of range, and the device does not say so")
        return Examination(None, checks)
    types = list(signature_of(root).results)
    report = judge(expected, types, as_declared(outputs[: len(types)], types))
    if report.first is None:
        return Examination(None, checks, kernels=executable.report.kernels)
    return found(Fault.VALUES, str(report.first), report.first)


def _compiled(module: ModuleOp, case: Case) -> Executable:
    """What is left of a module, for the case's device."""
    passes, sanitize = rest(module, case.device), case.sanitize or None
    return compile_module(module, case.device, passes=passes, sanitize=sanitize, on_disk=False)


def _is_out_of_range(module: ModuleOp, inputs: Sequence[Array]) -> bool:
    """Whether what is left of a module finds an index out of range."""
    try:
        evaluate(module, [array.copy() for array in inputs])
    except IndexOutOfRange:
        return True
    return False


def rest(module: ModuleOp, device: str) -> Sequence[Pass]:
    """The passes that still have to run before the device can take a module: none at loop level."""
    return rest_from(level_of(module), device)


def rest_from(level: Level, device: str) -> Sequence[Pass]:
    """As `rest`, of a module of that level."""
    if level == Level.LOOP:
        return ()
    depths = {level: depth for depth, level in enumerate(Level)}
    return [step for step in pipeline(device) if depths[step.level_in] >= depths[level]]


def missing(case: Case) -> tuple[str, ...]:
    """The passes that the case's device needs, and that neither ran nor will.

    `legalize_types` is missing only where there are types that the device does not have. What ran
    before a case starts is not known: of one that starts at loop level nothing is said to be
    missing, and none is for the evaluators, who take all levels.
    """
    level = level_of(case.module)
    if case.device == "reference" or level == Level.LOOP:
        return ()
    there = names_for(_all_passes(case), case.device)
    wanted = names_for(pipeline(case.device), case.device)
    return tuple(
        name
        for name in NEEDED
        if name in wanted - there and (name != LegalizeTypes.name or _has_foreign_types(case))
    )


def names_for(passes: Sequence[Pass], device: str) -> frozenset[str]:
    """The names of passes, without those that prepare code for another kind of machine."""
    kind = lookup(device).kind
    machines = ((step.name, getattr(step, "target", device)) for step in passes)
    return frozenset(name for name, machine in machines if lookup(machine).kind == kind)


def _all_passes(case: Case) -> Sequence[Pass]:
    """The passes of a case, and those that the device runs after them."""
    end = case.passes[-1].level_out if case.passes else level_of(case.module)
    return (
        case.passes if case.device == "reference" else (*case.passes, *rest_from(end, case.device))
    )


def _has_foreign_types(case: Case) -> bool:
    """Whether a module holds values of a type that the device has to spell in others."""
    machine = lookup(case.device)
    for op in case.module.walk():
        blocks = [block for region in op.regions for block in region.blocks]
        for value in (*op.results, *(argument for block in blocks for argument in block.args)):
            type = cast("ContainerType[Attribute]", value.type)
            if isinstance(type, TensorType | MemRefType):
                dtype = from_ir(type.get_element_type())
                if held_dtype(dtype, machine) is not dtype:
                    return True
    return False


def _is_refusal(case: Case, error: PicogradError) -> bool:
    """Whether an error is about a program that cannot be taken, or taken by these passes.

    A back end that refuses what its whole pipeline left is wrong, or the pipeline is.
    """
    cause = cause_of(error)
    code = cause.code if isinstance(cause, PicogradError) else ""
    if code == _UNTYPED:
        return all(step.name != LegalizeTypes.name for step in _all_passes(case))
    if isinstance(cause, CompileError) and code in _UNPREPARED:
        return bool(missing(case))
    return isinstance(error, REFUSALS)


def complaint(error: BaseException | None) -> tuple[type[BaseException] | None, str, str]:
    """The kind of an error: its type and, of picograd's own, its code and what it says."""
    cause = cause_of(error)
    if not isinstance(cause, PicogradError):
        return None if cause is None else type(cause), "", ""
    return type(cause), cause.code, reason_of(cause.message)


def reason_of(message: str) -> str:
    """What an error says, without what is particular to one program."""
    words = message.splitlines()[0].split() if message else []
    return " ".join("…" if any(c.isdigit() or c in "@%{'" for c in w) else w for w in words)


def _name(culprit: str) -> str:
    return culprit.partition("{")[0]


def cause_of(error: BaseException | None) -> BaseException | None:
    """What a pass raised, which the driver's error is raised from."""
    return error.__cause__ if isinstance(error, PassError) and error.__cause__ else error


def _words(error: BaseException) -> str:
    """What an error says, without the IR that it shows."""
    if isinstance(error, PicogradError):
        lines = [("expected", error.expected), ("found", error.found)]
        return "\n".join([error.message, *(f"  {name}: {text}" for name, text in lines if text)])
    return "".join(traceback.format_exception_only(cast(Exception, error))).strip()
