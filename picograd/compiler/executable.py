"""Compiling a module for a device, and running what comes out."""

import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from xdsl.dialects.builtin import MemRefType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp

from picograd.backends.runtime import Buffer, Device, Program, opened_devices
from picograd.backends.runtime import device as find_device
from picograd.backends.switches import is_on
from picograd.compiler.driver import (
    Instrument,
    PassRecord,
    run_pipeline,
    without_garbage_collection,
)
from picograd.compiler.dump import Dump
from picograd.compiler.pass_list import Passes, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.profile import Profile, profile_of
from picograd.compiler.validation.validation import (
    Validation,
    ValidationRun,
    asked_for,
    folder_for_failures,
)
from picograd.compiler.validation.validator import PassCheck
from picograd.compiler.verification import are_trusted, look_again
from picograd.dialects import buffer
from picograd.dialects.buffer import stored_in
from picograd.dialects.dtypes import nbytes_of, tensor_type
from picograd.errors import OptionError, ShapeError
from picograd.passes.base import Level, Pass, level_of
from picograd.passes.plan_buffers import PlanBuffers, plan
from picograd.passes.reuse_in_place import ReuseInPlace
from picograd.passes.rewriting.structure import structural_key
from picograd.semantics.evaluate import entry_of
from picograd.targets import lookup, names

LEVELS = (*Level, "target")

VARIABLE = "PICOGRAD_SANITIZE"


@dataclass(frozen=True)
class Report:
    """What a compilation did, in numbers."""

    device: str
    kernels_unfused: int
    """Kernel launches a call when each op is a kernel of its own."""
    kernels: int
    """Kernel launches a call."""
    bytes_unplanned: int
    """Bytes of intermediates, each in an aligned buffer of its own, and of kernel scratch."""
    bytes_planned: int
    """Bytes of the arena that intermediates share, and of kernel scratch."""
    compile_seconds: float
    passes: tuple[PassRecord, ...]
    validation: Validation | None = None
    """How the passes were validated, where that was asked for."""

    @property
    def checks(self) -> tuple[PassCheck, ...]:
        """One for each pass that was validated."""
        return self.validation.checks if self.validation is not None else ()

    def __str__(self) -> str:
        summary = (
            f"{self.device}: {self.kernels} kernels (unfused {self.kernels_unfused}), "
            f"{self.bytes_planned} bytes of intermediates (unplanned {self.bytes_unplanned}), "
            f"compiled in {self.compile_seconds * 1e3:.0f} ms"
        )
        lines = [summary]
        for number, step in enumerate(self.passes):
            verify = f"verify {step.verify_seconds * 1e3:7.1f} ms"
            ops = f"{step.ops_before:6d} -> {step.ops_after:6d} ops"
            line = f"  {step.name:26s}{step.seconds * 1e3:8.1f} ms  {verify}  {ops}"
            lines.append(line + (f"  {self.checks[number].share}" if self.checks else ""))
        if self.validation is not None:
            lines += self.validation.remarks
        return "\n".join(lines)


@dataclass
class _Snapshots:
    """Keeps the module as it was when it left each level, and counts kernels and bytes."""

    machine: str
    levels: dict[Level, ModuleOp] = field(default_factory=dict[Level, ModuleOp])
    kernels_unfused: int = 0
    bytes_unplanned: int = 0

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Keep the module that a lowering is about to take from its level."""
        if step.is_lowering():
            self.keep(step.level_in, module)
        if isinstance(step, ReuseInPlace | PlanBuffers) and not self.bytes_unplanned:
            self.bytes_unplanned = plan(module, self.machine).bytes_unplanned

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Count kernels when they have just been outlined."""
        if step.level_in == Level.TENSOR and step.level_out == Level.KERNEL:
            self.kernels_unfused = count_kernels(module)

    def keep(self, level: Level, module: ModuleOp) -> None:
        """Remember a copy of the module under a level."""
        self.levels[level] = module.clone()


def count_kernels(module: ModuleOp) -> int:
    """Kernel launches in the entry, at any level below tensors."""
    kernels = ("kernel.fused", "buffer.kernel", "loop.launch")
    return sum(op.name in kernels for op in entry_of(module).walk())


def intermediate_bytes(module: ModuleOp) -> int:
    """Bytes of intermediates in a module at buffer or loop level: the arena's if there is one."""
    total = 0
    for op in module.walk():
        if isinstance(op, buffer.AllocOp):
            total += nbytes_of(op.result.type)
        elif isinstance(op, buffer.ArenaOp):
            total += op.nbytes
    return total


class Executable:
    """A compiled module: `run` may be called over and over, from any thread."""

    def __init__(
        self,
        device: Device,
        program: Program,
        outputs: Sequence[TensorType[Any]],
        inputs: Sequence[TensorType[Any]],
        levels: dict[Level, ModuleOp],
        report: Report,
        donated: Mapping[int, int] | None = None,
    ) -> None:
        self.device = device
        self.program = program
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.report = report
        self.donated: Mapping[int, int] = donated or {}
        """Results that are stored in an input's memory, by the number of the result."""
        self._levels = levels
        self._input_types = list(inputs)
        own = [type for number, type in enumerate(outputs) if number not in self.donated]
        self._allocate = device.allocator(own)
        self._in_place = sorted(self.donated.items())

    def run(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """The results for these inputs, in the order of `@main`'s results.

        They are in fresh buffers, but for those that `donated` lists: these are the inputs
        themselves, overwritten. No input is changed unless the module donates it.

        Raises ShapeError for inputs of other types than the module's, and what the program
        raises: IndexOutOfRange (on an asynchronous device at the next download).
        """
        self._check(inputs)
        outputs = self._outputs_for(inputs)
        self.program.run(inputs, outputs)
        return outputs

    def _check(self, inputs: Sequence[Buffer]) -> None:
        """Raise ShapeError for inputs of other types than the module's."""
        given = [given.type for given in inputs]
        if given != self._input_types:
            raise ShapeError(
                "the inputs are not those that the program was compiled for",
                code="PG507",
                expected=", ".join(map(str, self.inputs)) or "no inputs",
                found=", ".join(map(str, given)) or "none",
                hint="compile again for these shapes and dtypes",
            )

    def _outputs_for(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """Fresh memory for the results, and the inputs that hold the others."""
        outputs = self._allocate()
        for result, place in self._in_place:  # in rising order, so each ends where it belongs
            outputs.insert(result, inputs[place])
        return outputs

    def profile(
        self, inputs: Sequence[Buffer], *, runs: int = 20, seconds: float = 10.0
    ) -> Profile:
        """Run the launches one by one, and time each: once to warm up, then `runs` times, or as
        often as `seconds` allow, but once at least.

        The inputs are as for `run`, and none is changed: copies go in. Raises ShapeError for inputs
        of other types, OptionError for no runs, DeviceError on a device that does not time
        launches, and what the program raises.
        """
        if runs < 1:
            raise OptionError(
                f"a profile of {runs} runs",
                code="PG801",
                expected="one run at least",
                found=runs,
                hint="leave `runs` out for 20",
            )
        self._check(inputs)
        stepped = self.device.step_through(list(self._levels.values())[-1])
        own = [self.device.upload(self.device.download(given)) for given in inputs]
        stepped.run(own, self._outputs_for(own))
        end = time.perf_counter() + seconds
        times: list[Sequence[float]] = []
        while not times or (len(times) < runs and time.perf_counter() < end):
            times.append(stepped.run(own, self._outputs_for(own)))
        return profile_of(self.device.name, stepped.kernels, times, self._levels.get(Level.BUFFER))

    def module(self, level: Level) -> ModuleOp | None:
        """The module as it left a level, not to be changed; None if it did not pass through it."""
        return self._levels.get(level)

    def ir(self, level: str) -> str:
        """The module's text as it left a level: tensor, kernel, buffer, loop; or target.

        "target" is what the backend made: LLVM IR and assembly, or WGSL. Raises OptionError for
        another word, and for a level that the module did not pass through.
        """
        if level == "target":
            return "\n".join(self.program.texts.values())
        if level in list(Level) and Level(level) in self._levels:
            return str(self._levels[Level(level)])
        known = [*self._levels, "target"]
        raise OptionError(
            f"there is no IR of level {level!r}",
            code="PG801",
            expected="one of " + ", ".join(known),
            found=repr(level),
            hint=f"on {self.device.name!r} the module passed through these levels only"
            if level in LEVELS
            else "name a level",
        )


def compile_module(
    module: ModuleOp,
    device: str,
    *,
    passes: Passes | None = None,
    dump: str | Path | None = None,
    instruments: Sequence[Instrument] = (),
    cached: bool = True,
    sanitize: bool | None = None,
    check: bool | None = None,
) -> Executable:
    """Compile a module for the device "reference", "cpu" or "gpu". The module is left as it is.

    `passes` replaces the device's pipeline. `dump` is a folder for the IR after every pass. A
    module that has been compiled before, with the same passes and device, is not compiled again,
    unless its IR is to be dumped or watched. Without `cached` it is compiled in any case, down to
    the backend's own caches, and forgotten. With `sanitize` its calls are checked, as
    docs/guide/checked-execution.md tells; None asks the environment variable PICOGRAD_SANITIZE.
    With `check` every pass is validated (docs/guide/validation.md), once for each module and
    pipeline; None asks PICOGRAD_CHECK.

    Raises what the driver raises (PipelineError, PassError, of which ValidationError is one),
    LimitError and CompileError of the backend, and DeviceError where there is no such device.
    """
    found = find_device(device)
    steps = pipeline(device) if passes is None else as_passes(passes)
    written = Dump(Path(dump), _machine(device)) if dump is not None else None
    watched = bool(instruments) or written is not None
    machine = lookup(device) if device in names() else None
    checked = sanitized() if sanitize is None else sanitize
    validate = asked_for() if check is None else check
    key = (device, machine, _spelled(steps), _named_key(module), checked)
    if cached and not watched:
        with _lock:
            known = _cache.get(key)
        if known is not None and (not validate or known.report.validation is not None):
            return known
    given, module = module, module.clone()
    trusted = not (watched or validate) and are_trusted(steps)
    validation: ValidationRun | None = None
    if validate:
        folder, facts = folder_for_failures(), _history(module)
        validation = ValidationRun(module, steps, folder=folder, facts=facts)
        validation.start()
        instruments = [*instruments, *validation.instruments]
    try:
        with without_garbage_collection():
            executable = _compile(
                module, found, steps, written, instruments, cached, checked, validation, trusted
            )
    except Exception as error:
        if trusted:
            look_again(given, steps, _history(given), error)
        raise
    if watched or not cached:
        return executable
    with _lock:
        if validate:
            _cache[key] = executable  # one that was validated also serves who does not ask for it
        return _cache.setdefault(key, executable)


def _machine(device: str) -> str:
    """The target whose alignment plans of memory are told for."""
    return device if device in names() else "cpu"


def sanitized() -> bool:
    """Whether PICOGRAD_SANITIZE asks for every program's calls to be checked.

    Raises OptionError where it says neither yes nor no.
    """
    return is_on(VARIABLE)


_cache: dict[Hashable, Executable] = {}
_lock = threading.Lock()


def clear_cache() -> None:
    """Forget all compiled modules, and what devices keep of them."""
    with _lock:
        _cache.clear()
    for opened in opened_devices():
        opened.forget()


def _spelled(steps: Sequence[Pass]) -> Hashable:
    """Which passes run. Two classes of one name differ: a file of the user's may be loaded anew."""
    return tuple((type(step), str(step)) for step in steps)


def _named_key(module: ModuleOp) -> Hashable:
    """What a module means, and the user's names in it, which the dumps and reports show."""
    arguments = [op.arg_attrs for op in module.ops if isinstance(op, FuncOp)]
    return structural_key(module), tuple(arguments)


def _compile(
    module: ModuleOp,
    device: Device,
    steps: tuple[Pass, ...],
    dump: Dump | None,
    instruments: Sequence[Instrument],
    cached: bool,
    sanitize: bool,
    validation: ValidationRun | None,
    trusted: bool,
) -> Executable:
    start = time.perf_counter()
    inputs, outputs = _signature(module)
    snapshots = _Snapshots(_machine(device.name))
    watching: list[Instrument] = [snapshots, *([dump] if dump else []), *instruments]
    if dump is not None:
        dump.start(module)
    records = run_pipeline(
        module, steps, instruments=watching, facts=_history(module), verify=not trusted
    )
    # The module is this compilation's own, and nothing changes it from here on: no copy.
    snapshots.levels[level_of(module)] = module
    program = device.load(module, cached=cached, sanitize=sanitize)
    outcome = validation.outcome() if validation is not None else None
    if dump is not None:
        dump.finish(program.texts, "" if outcome is None else str(outcome))
    planned = intermediate_bytes(module)
    seconds = time.perf_counter() - start
    if validation is not None:
        seconds -= validation.seconds_within
    report = Report(
        device=device.name,
        kernels_unfused=snapshots.kernels_unfused or program.launches,
        kernels=program.launches,
        bytes_unplanned=(snapshots.bytes_unplanned or planned) + program.scratch_bytes,
        bytes_planned=planned + program.scratch_bytes,
        compile_seconds=seconds,
        passes=records,
        validation=outcome,
    )
    donated = {result - len(inputs): place for result, place in stored_in(entry_of(module)).items()}
    return Executable(device, program, outputs, inputs, snapshots.levels, report, donated)


def _history(module: ModuleOp) -> frozenset[str] | None:
    """The facts established for a module: none at tensor level, else unknown."""
    return frozenset() if level_of(module) == Level.TENSOR else None


def _signature(module: ModuleOp) -> tuple[list[TensorType[Any]], list[TensorType[Any]]]:
    """The types of the entry's inputs and results, at whatever level it stands."""
    function = entry_of(module)
    marked = buffer.outputs_of(function)
    inputs = [_tensor(arg.type) for arg in function.args if arg not in marked]
    results = [_tensor(type) for type in function.function_type.outputs]
    return inputs, [*results, *(_tensor(arg.type) for arg in marked)]


def _tensor(type: Any) -> TensorType[Any]:
    """The tensor type with the shape and elements of a tensor or memref type."""
    type = cast(MemRefType[Any] | TensorType[Any], type)
    return tensor_type(type.get_shape(), type.element_type)
