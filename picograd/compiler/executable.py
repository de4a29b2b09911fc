"""Compiling a module for a device, and running what comes out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.runtime import Buffer, Device, KeepingDevice, Program, opened_devices
from picograd.backends.runtime import device as find_device
from picograd.backends.switches import is_on, is_on_or_folder
from picograd.compiler.asked import CHECK, Asked
from picograd.compiler.fast_entry import Entry, fast_entry
from picograd.compiler.kept.programs import LOG, Kept, Place, place_of
from picograd.compiler.kept.recent import Recent
from picograd.compiler.kept.sources import EXTENSIONS
from picograd.compiler.kept.tuned import choices_for_device
from picograd.compiler.late import profiles
from picograd.compiler.load_toolchain import toolchain
from picograd.compiler.report import Report
from picograd.compiler.road import Road, Texts, structure_of
from picograd.compiler.steps import Steps
from picograd.dialects.dtypes import DType
from picograd.errors import OptionError, ShapeError
from picograd.quick_dataclasses import dataclass

if TYPE_CHECKING:
    from picograd.compiler.build import Built
    from picograd.compiler.driver import Instrument
    from picograd.compiler.pass_list import Passes
    from picograd.compiler.profile import Profile
    from picograd.passes.base import Level

LEVELS = ("tensor", "kernel", "buffer", "loop", "target")

VARIABLE = "PICOGRAD_SANITIZE"

_OWN_BYTES = 1 << 16
"""About what an executable takes beside its code: the module that was compiled, and pages."""


class Executable:
    """A compiled module: `run` may be called over and over, from any thread."""

    def __init__(
        self,
        device: Device,
        program: Program,
        outputs: Sequence[TensorType[Any]],
        inputs: Sequence[TensorType[Any]],
        road: Road,
        report: Report,
        donated: Mapping[int, int] | None = None,
        constants: Constants | None = None,
    ) -> None:
        """`road` makes the IR of the levels, if it is asked for."""
        self.device = device
        self.program = program
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.report = report
        self.donated: Mapping[int, int] = donated or {}
        """Results that are stored in an input's memory, by the number of the result."""
        self.constants = constants
        """What computes the values that the program takes after the inputs, if it takes any."""
        self._road = road
        program.lines_of = road.lines_of
        if not program.texts:
            program.texts = Texts(lambda: device.load(road.last).texts)
        self._input_types = list(inputs)
        own = [type for number, type in enumerate(outputs) if number not in self.donated]
        self._allocate = device.allocator(own)
        self._in_place = sorted(self.donated.items())

    def run(self, inputs: Sequence[Buffer], kept: Sequence[Buffer] = ()) -> list[Buffer]:
        """The results for these inputs, in the order of `@main`'s results.

        They are in fresh buffers, but for those that `donated` lists: these are the inputs
        themselves, overwritten. No input is changed unless the module donates it. `kept` are the
        constants of these inputs; without them they are computed anew.

        Raises ShapeError for inputs of other types than the module's, and what the program
        raises: IndexOutOfRange (on an asynchronous device at the next download).
        """
        self._check(inputs)
        outputs = self._outputs_for(inputs)
        self.program.run([*inputs, *kept] if kept else self.with_constants(inputs), outputs)
        return outputs

    def with_constants(self, inputs: Sequence[Buffer]) -> Sequence[Buffer]:
        """What the program takes beside its results: the inputs, and the constants of these."""
        return inputs if self.constants is None else [*inputs, *self.constants.of(inputs)]

    def entry(self, numbers: Sequence[DType | None]) -> Entry | None:
        """As `run`, for those who know that what they give has the right types, and call often.

        Where `numbers` has a dtype, the input is given as Python's number. The constants are given
        after the inputs. None where the program has no such entry: then `run` takes all inputs as
        buffers.
        """
        if self.constants is not None:
            numbers = [*numbers, *(None for _ in self.constants.types)]
        of = (self.device, self.program, self.outputs, self.donated, self._allocate)
        return fast_entry(*of, numbers)

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
        often as `seconds` allow, but once at least. Constants are computed before that.

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
        stepped = self.device.step_through(self._road.last)
        own = [self.device.upload(self.device.download(given)) for given in inputs]
        given = self.with_constants(own)
        stepped.run(given, self._outputs_for(own))
        end = time.perf_counter() + seconds
        times: list[Sequence[float]] = []
        while not times or (len(times) < runs and time.perf_counter() < end):
            times.append(stepped.run(given, self._outputs_for(own)))
        of = profiles().profile_of
        launched = self._road.last
        return of(self.device.name, stepped.kernels, times, self.module("buffer"), launched)

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes: machine code, constants, and what Python keeps of it."""
        own = self.program.nbytes + _OWN_BYTES
        return own if self.constants is None else own + self.constants.executable.nbytes

    def module(self, level: str) -> ModuleOp | None:
        """The module as it left a level, not to be changed; None if it did not pass through it."""
        return self._road.levels.get(cast("Level", level))

    def ir(self, level: str) -> str:
        """The module's text as it left a level: tensor, kernel, buffer, loop; or target.

        "target" is what the backend made: LLVM IR and assembly, or WGSL. A program does not keep
        the IR that it was made of: the passes run once more when somebody first asks. Raises
        OptionError for another word, and for a level that the module did not pass through.
        """
        if level == "target":
            return "\n".join(self.program.texts.values())
        module = self.module(level) if level in LEVELS else None
        if module is not None:
            return str(module)
        known = [*self._road.levels, "target"]
        raise OptionError(
            f"there is no IR of level {level!r}",
            code="PG801",
            expected="one of " + ", ".join(known),
            found=repr(level),
            hint=f"on {self.device.name!r} the module passed through these levels only"
            if level in LEVELS
            else "name a level",
        )


@dataclass(frozen=True)
class Constants:
    """What computes values that stay the same as long as some inputs of a program do."""

    executable: Executable
    reads: tuple[int, ...]
    """The numbers of these inputs."""

    @property
    def types(self) -> tuple[TensorType[Any], ...]:
        """The types of the values."""
        return self.executable.outputs

    def of(self, inputs: Sequence[Buffer]) -> list[Buffer]:
        """The values for the program's inputs, in fresh buffers."""
        return self.executable.run([inputs[number] for number in self.reads])


def compile_module(
    module: ModuleOp,
    device: str,
    *,
    passes: Passes | None = None,
    dump: str | Path | None = None,
    instruments: Sequence[Instrument] = (),
    cached: bool = True,
    on_disk: bool = True,
    sanitize: bool | None = None,
    check: bool | None = None,
    tuned: bool = True,
) -> Executable:
    """Compile a module for the device "reference", "cpu" or "gpu". The module is left as it is.

    `passes` replaces the device's pipeline. `dump` is a folder for the IR after every pass. A
    module that has been compiled before, with the same passes and device, is not compiled again,
    in this process or another one, unless its IR is to be dumped or watched. Without `cached` it is
    compiled in any case, down to the backend's own caches, and forgotten; without `on_disk` other
    processes have no part in it. With `sanitize` its calls are checked, as
    docs/guide/checked-execution.md tells; None asks the environment variable PICOGRAD_SANITIZE.
    With `check` every pass is validated (docs/guide/validation.md), once for each module and
    pipeline; None asks PICOGRAD_CHECK. The device's own pipeline follows what `picograd tune` has
    found for the kernels at hand, but not without `tuned`, or `on_disk`, or with PICOGRAD_TUNED=0.

    Raises what the driver raises (PipelineError, PassError, of which ValidationError is one),
    LimitError and CompileError of the backend, and DeviceError where there is no such device.
    """
    found = find_device(device)
    choices = choices_for_device(found) if tuned and on_disk else ""
    steps = Steps(device, passes, choices)
    asked = Asked(
        dump=None if dump is None else Path(dump),
        instruments=tuple(instruments),
        cached=cached,
        sanitize=sanitized() if sanitize is None else sanitize,
        validate=is_on_or_folder(CHECK) if check is None else check,
    )
    structure = structure_of(module)
    targets, passes_key = steps.targets, steps.key
    key = (device, targets, passes_key, structure, asked.sanitize)
    if not cached or asked.watched:
        return _compiled(module, found, steps, asked, structure, None)
    known = _recent.get(key)
    if known is not None and (not asked.validate or known.report.validation is not None):
        return known
    place: Place | None = None
    keep = on_disk and not asked.validate and not asked.sanitize
    if keep and isinstance(found, KeepingDevice) and isinstance(structure, bytes):
        settings = {"passes": steps.spelled, "targets": str(targets)}
        place = place_of(structure, found, settings, steps.modules, EXTENSIONS)
    kept = None if place is None else _restored(module, found, steps, structure, place)
    executable = kept or _compiled(module, found, steps, asked, structure, place)
    # One that was validated also serves who does not ask for it.
    return _recent.add(key, executable, executable.nbytes, replace=asked.validate)


def _compiled(
    module: ModuleOp,
    device: Device,
    steps: Steps,
    asked: Asked,
    structure: Hashable,
    place: Place | None,
) -> Executable:
    """Compile, and keep the program on disk where there is a place for it."""
    if place is not None and LOG.isEnabledFor(logging.INFO):
        LOG.info("compiling for %s: %s", device.name, place.why_missing())
    built = toolchain().build(module, device, steps.passes, asked)
    kept = None if place is None else _kept(built)
    if place is not None and kept is not None:
        place.put(kept)
    return _executable(device, built, Road(module, steps, structure))


def _kept(built: Built) -> Kept | None:
    """What compiling gave, as it may be kept; None where the device gave no image."""
    if built.image is None:
        return None
    constants, reads = None, ()
    if built.constants is not None:
        constants, reads = _kept(built.constants.built), built.constants.reads
        if constants is None:
            return None
    report = _without(built.program.scratch_bytes, built.report)
    return Kept(built.image, built.inputs, built.outputs, built.donated, report, constants, reads)


def _executable(device: Device, built: Built, road: Road) -> Executable:
    """What compiling gave, as it runs."""
    constants: Constants | None = None
    if built.constants is not None:
        own = _executable(device, built.constants.built, road.of_constants)
        constants = Constants(own, built.constants.reads)
    outputs, inputs, report, donated = built.outputs, built.inputs, built.report, built.donated
    return Executable(device, built.program, outputs, inputs, road, report, donated, constants)


def _restored(
    module: ModuleOp, device: Device, steps: Steps, structure: Hashable, place: Place
) -> Executable | None:
    """The program that an earlier process kept; None if there is none."""
    start = time.perf_counter()
    kept = place.get()
    if kept is None or not isinstance(device, KeepingDevice):
        return None
    restored = _from_image(device, kept, Road(module, steps, structure), start)
    seconds = 1e3 * (time.perf_counter() - start)
    LOG.info("the program for %s was on disk: loaded in %.1f ms", device.name, seconds)
    return restored


def _from_image(device: KeepingDevice, kept: Kept, road: Road, start: float) -> Executable:
    """A program that was kept; loading began at `start`."""
    constants: Constants | None = None
    if kept.constants is not None:
        own = _from_image(device, kept.constants, road.of_constants, time.perf_counter())
        constants = Constants(own, kept.reads)
    program = device.restore(kept.image)
    seconds = time.perf_counter() - start
    report = replace(_without(-program.scratch_bytes, kept.report), load_seconds=seconds)
    outputs, inputs, donated = kept.outputs, kept.inputs, kept.donated
    return Executable(device, program, outputs, inputs, road, report, donated, constants)


def _without(scratch: int, report: Report) -> Report:
    """The report with fewer bytes: scratch depends on how many threads there are now."""
    return replace(
        report,
        bytes_planned=report.bytes_planned - scratch,
        bytes_unplanned=report.bytes_unplanned - scratch,
    )


def sanitized() -> bool:
    """Whether PICOGRAD_SANITIZE asks for every program's calls to be checked.

    Raises OptionError where it says neither yes nor no.
    """
    return is_on(VARIABLE)


_recent: Recent[Executable] = Recent()


_forgetful: list[Callable[[], None]] = []


def when_cleared(forget: Callable[[], None]) -> None:
    """Let `clear_cache` call `forget` as well, of a layer above that keeps compiled modules."""
    _forgetful.append(forget)


def clear_cache() -> None:
    """Forget all compiled modules, those of eager operations too, and what devices keep of them.

    What is on disk stays there, and compiled functions keep their versions.
    """
    for forget in _forgetful:
        forget()
    _recent.clear()
    for opened in opened_devices():
        opened.forget()
