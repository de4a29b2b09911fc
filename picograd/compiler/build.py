"""Compiling in full: passes, back end, and what is told of both.

`executable` comes here when neither memory nor disk holds the program, and when somebody asks for
the IR on the way to a program.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, cast

from xdsl.dialects.builtin import MemRefType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp

from picograd.backends.runtime import Device, Image, KeepingDevice, Program
from picograd.compiler.asked import Asked
from picograd.compiler.driver import Instrument, run_pipeline
from picograd.compiler.garbage import collect_meanwhile, without_garbage_collection
from picograd.compiler.in_parts import Outcome, Rest, run_in_parts
from picograd.compiler.kernel_by_kernel import run_kernel_by_kernel, split
from picograd.compiler.late import dumps, validations
from picograd.compiler.records import PassRecord
from picograd.compiler.report import Report
from picograd.compiler.verification import are_trusted, look_again
from picograd.dialects import buffer
from picograd.dialects.buffer import stored_in
from picograd.dialects.dtypes import nbytes_of, tensor_type
from picograd.dialects.quick import clone
from picograd.passes.base import Level, Pass, level_of
from picograd.passes.plan_buffers import PlanBuffers, plan
from picograd.passes.reuse_in_place import ReuseInPlace
from picograd.quick_dataclasses import dataclass
from picograd.semantics.entry import entry_of
from picograd.targets import names

if TYPE_CHECKING:
    from picograd.compiler.validation.validation import ValidationRun


@dataclass(frozen=True)
class Built:
    """What compiling gave."""

    program: Program
    image: Image | None
    """The program as it may be kept on disk."""
    inputs: list[TensorType[Any]]
    outputs: list[TensorType[Any]]
    donated: Mapping[int, int]
    """Results that are stored in an input's memory, by the number of the result."""
    report: Report
    constants: Constants | None = None
    """What computes those inputs of the program that the module's kept arguments decide."""


@dataclass(frozen=True)
class Constants:
    """What compiling gave for what was taken out of a module."""

    built: Built
    reads: tuple[int, ...]
    """Which inputs of the module it takes."""
    module: ModuleOp
    """As it was taken out."""


def build(module: ModuleOp, device: Device, steps: Sequence[Pass], asked: Asked) -> Built:
    """Compile a module, which is left as it is."""
    given, module = module, clone(module)
    trusted = not (asked.watched or asked.validate) and are_trusted(steps)
    facts = _history(module)
    validation = _validation(module, steps, asked, facts)
    try:
        with without_garbage_collection():
            return _build(module, device, steps, asked, facts, validation, trusted)
    except Exception as error:
        if trusted:
            look_again(given, steps, _history(given), error)
        raise


def levels_of(
    module: ModuleOp, steps: Sequence[Pass], *, constants: bool = False
) -> dict[Level, ModuleOp]:
    """The module as it leaves each level on its way through the passes, which run once more.

    With `constants` it is what is taken out of the module on the way: no levels where nothing is.
    """
    module, snapshots = module.clone(), _Snapshots()
    with without_garbage_collection():
        facts = _history(module)
        watching = [] if constants else [snapshots]
        way = run_in_parts(module, steps, instruments=watching, facts=facts, verify=False)
        if constants:
            if way.rest is None:
                return {}
            module, facts = way.rest.hoisted.module, way.rest.facts
            run_pipeline(module, way.rest.steps, instruments=[snapshots], facts=facts, verify=False)
    snapshots.levels[level_of(module)] = module
    return snapshots.levels


def _machine(device: str) -> str:
    """The target whose alignment plans of memory are told for."""
    return device if device in names() else "cpu"


@dataclass
class _Counts:
    """Counts kernels and bytes on the way."""

    machine: str
    kernels_unfused: int = 0
    bytes_unplanned: int = 0

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Plan memory as it would be without reuse, when it is about to be reused."""
        if isinstance(step, ReuseInPlace | PlanBuffers) and not self.bytes_unplanned:
            self.bytes_unplanned = plan(module, self.machine).bytes_unplanned

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Count kernels when they have just been outlined."""
        if step.level_in == Level.TENSOR and step.level_out == Level.KERNEL:
            self.kernels_unfused = count_kernels(module)


@dataclass
class _Snapshots:
    """Keeps the module as it was when it left each level."""

    levels: dict[Level, ModuleOp] = field(default_factory=dict[Level, ModuleOp])

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Keep the module that a lowering is about to take from its level."""
        if step.is_lowering():
            self.levels[step.level_in] = module.clone()

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Nothing is to be kept of what follows."""


def count_kernels(module: ModuleOp) -> int:
    """Kernel launches in the entry, at any level below tensors."""
    kernels = ("kernel.fused", "buffer.kernel", "loop.launch")
    return sum(op.name in kernels for op in entry_of(module).walk())


def intermediate_bytes(module: ModuleOp) -> int:
    """Bytes of intermediates in a module at buffer or loop level: the arena's if there is one."""
    total = 0
    for function in module.ops:
        for op in function.walk() if isinstance(function, FuncOp) else ():
            if isinstance(op, buffer.AllocOp):
                total += nbytes_of(op.result.type)
            elif isinstance(op, buffer.ArenaOp):
                total += op.nbytes
    return total


def _build(
    module: ModuleOp,
    device: Device,
    steps: Sequence[Pass],
    asked: Asked,
    facts: frozenset[str] | None,
    validation: ValidationRun | None,
    trusted: bool,
) -> Built:
    """Compile a module, in place; `facts` are established for it."""
    start = time.perf_counter()
    inputs, outputs = _signature(module)
    counts = _Counts(_machine(device.name))
    dump = None if asked.dump is None else dumps().Dump(asked.dump, counts.machine)
    watching: list[Instrument] = [counts, *([dump] if dump else []), *asked.instruments]
    if validation is not None:
        watching += validation.instruments
    if dump is not None:
        dump.start(module)
    keeping = device if isinstance(device, KeepingDevice) and not asked.sanitize else None
    image: Image | None = None
    if keeping is not None and validation is None and not asked.watched:
        way, image = _in_parts(module, keeping, steps, counts, facts, trusted)
    else:
        way = run_in_parts(module, steps, instruments=watching, facts=facts, verify=not trusted)
    if keeping is not None and dump is None:
        image = image or keeping.compile(module)
        made = time.perf_counter()
        program = keeping.restore(image, cached=asked.cached)
    else:
        made = time.perf_counter()
        program = device.load(module, cached=asked.cached, sanitize=asked.sanitize)
    back_end = {**(image.seconds if image else {}), "loading": time.perf_counter() - made}
    outcome = validation.outcome() if validation is not None else None
    if dump is not None:
        dump.finish(program.texts, "" if outcome is None else str(outcome))
    planned = intermediate_bytes(module)
    seconds = time.perf_counter() - start
    if validation is not None:
        seconds -= validation.seconds_within
    constants = _constants(way.rest, device, asked, trusted)
    kept = constants.built if constants is not None else None
    if kept is not None:
        seconds += kept.report.compile_seconds
    report = Report(
        device=device.name,
        kernels_unfused=counts.kernels_unfused or program.launches,
        kernels=program.launches,
        bytes_unplanned=(counts.bytes_unplanned or planned) + program.scratch_bytes,
        bytes_planned=planned + program.scratch_bytes,
        bytes_kept=sum(map(nbytes_of, kept.outputs)) if kept is not None else 0,
        compile_seconds=seconds,
        passes=way.records,
        back_end=back_end,
        validation=outcome,
    )
    entry = entry_of(module)
    taken = len(buffer.inputs_of(entry))  # with constants there are more of them than `inputs`
    donated = {result - taken: place for result, place in stored_in(entry).items()}
    return Built(program, image, inputs, outputs, donated, report, constants)


def _in_parts(
    module: ModuleOp,
    device: KeepingDevice,
    steps: Sequence[Pass],
    counts: _Counts,
    facts: frozenset[str] | None,
    trusted: bool,
) -> tuple[Outcome, Image | None]:
    """Run the passes, and the device beside the last of them where it takes kernels one by one."""
    head, tail = split(steps)
    compiling = device.in_parts() if tail else None
    if compiling is None:
        return run_in_parts(
            module, steps, instruments=[counts], facts=facts, verify=not trusted
        ), None
    with compiling:
        way = run_in_parts(module, head, instruments=[counts], facts=facts, verify=not trusted)
        if facts is not None:
            facts = facts.union(*(step.establishes for step in head))
        records = run_kernel_by_kernel(module, tail, compiling, facts=facts, verify=not trusted)
        rest = None if way.rest is None else replace(way.rest, steps=(*way.rest.steps, *tail))
        return Outcome((*way.records, *records), rest), compiling.finish(module, collect_meanwhile)


def _constants(rest: Rest | None, device: Device, asked: Asked, trusted: bool) -> Constants | None:
    """Compile what was taken out of a module, if anything was."""
    if rest is None:
        return None
    folder = None if asked.dump is None else asked.dump / dumps().CONSTANTS
    asked = replace(asked, dump=folder, instruments=())
    module = clone(rest.hoisted.module)
    validation = _validation(module, rest.steps, asked, rest.facts)
    built = _build(module, device, rest.steps, asked, rest.facts, validation, trusted)
    return Constants(built, rest.hoisted.reads, rest.hoisted.module)


def _validation(
    module: ModuleOp, steps: Sequence[Pass], asked: Asked, facts: frozenset[str] | None
) -> ValidationRun | None:
    """What validates the passes, if that is asked for; of a large module it has done so already."""
    if not asked.validate:
        return None
    of = validations()
    folder = of.folder_for_failures()
    validation = of.ValidationRun(module, steps, folder=folder, facts=facts)
    validation.start()
    return validation


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
