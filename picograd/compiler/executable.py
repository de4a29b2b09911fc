"""Compiling a module for a device, and running what comes out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.runtime import Buffer, Device, KeepingDevice, Program, opened_devices
from picograd.backends.runtime import device as find_device
from picograd.backends.switches import is_on, is_on_or_folder
from picograd.compiler.asked import CHECK, Asked
from picograd.compiler.kept.programs import LOG, Kept, Place, place_of
from picograd.compiler.kept.recent import Recent
from picograd.compiler.kept.sources import EXTENSIONS
from picograd.compiler.kept.tuned import choices_for_device
from picograd.compiler.load_toolchain import toolchain
from picograd.compiler.report import Report
from picograd.compiler.steps import Steps
from picograd.dialects.dtypes import DType
from picograd.dialects.structure_digest import structure_digest
from picograd.errors import IndexOutOfRange, OptionError, ShapeError

if TYPE_CHECKING:
    from picograd.compiler.driver import Instrument
    from picograd.compiler.pass_list import Passes
    from picograd.compiler.profile import Profile
    from picograd.passes.base import Level

LEVELS = ("tensor", "kernel", "buffer", "loop", "target")

VARIABLE = "PICOGRAD_SANITIZE"

_OWN_BYTES = 1 << 16
"""About what an executable takes beside its code: the module that was compiled, and pages."""


class Road:
    """A module's way through the passes, which is walked again when its IR is asked for."""

    def __init__(self, module: ModuleOp, steps: Steps, structure: Hashable) -> None:
        """`structure` tells what the module meant when it was compiled."""
        self._module = module
        self._steps = steps
        self._structure = structure

    @cached_property
    def levels(self) -> dict[Level, ModuleOp]:
        """The module as it left each level. Raises OptionError if it has changed meanwhile."""
        if _structure_of(self._module) != self._structure:
            raise OptionError(
                "the IR of a program is asked for, and its module has changed",
                code="PG801",
                expected="the module as it was compiled: its way through the passes is made anew",
                found="one that means something else",
                hint="compile a clone(), or ask for the IR before changing the module",
            )
        return toolchain().levels_of(self._module, self._steps.passes)

    @property
    def last(self) -> ModuleOp:
        """The module as the backend gets it."""
        return list(self.levels.values())[-1]

    def lines_of(self, kernel: str) -> Sequence[str]:
        """The lines of the user's program that a kernel computes; none if the module has changed.

        A program does not keep them: the file that they are in may change, and it stays the same.
        """
        with suppress(OptionError):
            return toolchain().lines_by_kernel(self.last).get(kernel, ())
        return ()


class _Texts(Mapping[str, str]):
    """What the backend made of a program, by file suffix, which is made again when asked for."""

    def __init__(self, make: Callable[[], Mapping[str, str]]) -> None:
        self._make = make

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return self._make()

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


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
    ) -> None:
        """`road` makes the IR of the levels, if it is asked for."""
        self.device = device
        self.program = program
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.report = report
        self.donated: Mapping[int, int] = donated or {}
        """Results that are stored in an input's memory, by the number of the result."""
        self._road = road
        program.lines_of = road.lines_of
        if not program.texts:
            program.texts = _Texts(lambda: device.load(road.last).texts)
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

    def entry(
        self, numbers: Sequence[DType | None]
    ) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
        """As `run`, for those who know that what they give has the right types, and call often.

        Where `numbers` has a dtype, the input is given as Python's number. None where the program
        has no such entry: then `run` takes all of them as buffers.
        """
        count, donated = len(numbers), sorted(self.donated.items())
        launch = self.program.launch
        if donated or any(numbers):
            same = {count + result: place for result, place in donated}
            launch = self.program.launch_with([*numbers, *(None for _ in self.outputs)], same)
        if launch is None:
            return None
        found, allocate = launch, self._allocate
        if len(self.outputs) == 1 and not donated and not any(numbers):
            make = self.device.maker(self.outputs[0])

            def enter_for_one(inputs: Sequence[Any]) -> Sequence[Any]:
                output: Any = make()
                failure = found(*[given.address for given in inputs], output.address)
                if failure:
                    raise IndexOutOfRange.in_data(*cast("tuple[int, int]", failure))
                return (output,)

            return enter_for_one
        fresh = iter(range(count, count + len(self.outputs)))
        places = [
            self.donated[n] if n in self.donated else next(fresh) for n in range(len(self.outputs))
        ]
        chosen = itemgetter(*places) if len(places) > 1 else None
        words = _words if any(numbers) else _addresses

        def enter(inputs: Sequence[Any]) -> Sequence[Any]:
            own: list[Any] = allocate()
            failure = found(*words(inputs), *[output.address for output in own])
            if failure:
                raise IndexOutOfRange.in_data(*cast("tuple[int, int]", failure))
            if not donated:
                return own
            known = [*inputs, *own]
            return [known[places[0]]] if chosen is None else chosen(known)

        return enter

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
        stepped = self.device.step_through(self._road.last)
        own = [self.device.upload(self.device.download(given)) for given in inputs]
        stepped.run(own, self._outputs_for(own))
        end = time.perf_counter() + seconds
        times: list[Sequence[float]] = []
        while not times or (len(times) < runs and time.perf_counter() < end):
            times.append(stepped.run(own, self._outputs_for(own)))
        of = toolchain().profile_of
        return of(self.device.name, stepped.kernels, times, self.module("buffer"))

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes: machine code, constants, and what Python keeps of it."""
        return self.program.nbytes + _OWN_BYTES

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


def _addresses(inputs: Sequence[Any]) -> Sequence[int]:
    return [given.address for given in inputs]


def _words(inputs: Sequence[Any]) -> Sequence[Any]:
    """Where buffers lie, and numbers as they are."""
    return [getattr(given, "address", given) for given in inputs]


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
    structure = _structure_of(module)
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
    program, report = built.program, built.report
    if place is not None and built.image is not None:
        kept = _without(program.scratch_bytes, report)
        place.put(Kept(built.image, built.inputs, built.outputs, built.donated, kept))
    road = Road(module, steps, structure)
    return Executable(device, program, built.outputs, built.inputs, road, report, built.donated)


def _restored(
    module: ModuleOp, device: Device, steps: Steps, structure: Hashable, place: Place
) -> Executable | None:
    """The program that an earlier process kept; None if there is none."""
    start = time.perf_counter()
    kept = place.get()
    if kept is None or not isinstance(device, KeepingDevice):
        return None
    program = device.restore(kept.image)
    seconds = time.perf_counter() - start
    LOG.info("the program for %s was on disk: loaded in %.1f ms", device.name, 1e3 * seconds)
    report = replace(_without(-program.scratch_bytes, kept.report), load_seconds=seconds)
    road = Road(module, steps, structure)
    return Executable(device, program, kept.outputs, kept.inputs, road, report, kept.donated)


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


def _structure_of(module: ModuleOp) -> Hashable:
    """What a module means, and the names of its arguments, which dumps and reports show."""
    try:
        return structure_digest(module)
    except TypeError:  # an attribute that only this process can compare
        return toolchain().structural_key(module)
