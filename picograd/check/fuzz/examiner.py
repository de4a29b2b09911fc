"""One case: a program drawn, sent through passes on a device, examined, counted."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from random import Random
from shlex import quote
from typing import TypeAlias

from xdsl.ir import Operation

from picograd.check.fuzz.choosing import Chooser
from picograd.check.fuzz.counts import Counts
from picograd.check.fuzz.front_end import FRONT_END, draw_front_end
from picograd.check.fuzz.programs import (
    THEMES,
    Program,
    fits_32_bits,
    rng_of,
)
from picograd.check.fuzz.routes import Scope, Watch, kinds_of_machines
from picograd.check.fuzz.shorten import FrontEndFailure, fail
from picograd.check.oracle import Case, Examination, Failure, examination, reason_of
from picograd.check.replay import Expected, Replay
from picograd.compiler.executable import clear_cache
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import dtype_of, float64, type_of
from picograd.errors import PicogradError, PipelineError
from picograd.passes import Pass
from picograd.passes.rewriting.applications import Applications, RewriteRule, counted
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import CAP
from picograd.semantics.evaluate import entry_of

ALL_THEMES = (*THEMES, FRONT_END)
"""What programs may be about, in turn."""


def themes_for(wanted: Pipeline) -> tuple[str, ...]:
    """What they are about by default: those of the front end say nothing about passes by name."""
    return tuple(THEMES) if wanted else ALL_THEMES


SHARE_CHECKED = 0.25
"""Of the cases on devices, so many run with checks of their memory."""


@dataclass(frozen=True)
class Plan:
    """What all cases of a run have in common."""

    seed: int
    scope: Scope
    themes: tuple[str, ...] = ALL_THEMES
    loads: tuple[str, ...] = ()
    share_checked: float = SHARE_CHECKED

    def name_of(self, number: int, device: str) -> str:
        """How to repeat a case: options of `picograd fuzz`."""
        words = [f"--seed {self.seed} --only {number} --devices {device}"]
        if self.scope.wanted:
            words.append(f"--passes {quote(str(self.scope.wanted))}")
        if self.themes != themes_for(self.scope.wanted):
            words.append(f"--themes {quote(','.join(self.themes))}")
        return " ".join(words)


@dataclass
class _Rules(Applications):
    """Counts the applications of each rule."""

    names: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        super().__init__()

    def attempt(self, rule: RewriteRule, op: Operation) -> None:
        super().attempt(rule, op)

    def applied(self) -> None:
        super().applied()
        if self.last is not None:
            self.names[self.last.name] += 1


Failed: TypeAlias = "tuple[Replay, Failure] | FrontEndFailure"
"""A case that failed, or a program of the front end."""


class Examiner:
    """Examines the cases of a run. `running` is a file that tells which one is running."""

    def __init__(self, plan: Plan, running: Path | None = None) -> None:
        self.plan = plan
        self.running = running
        self._chooser = Chooser(plan.seed, plan.themes, plan.scope, self._probing)

    def examine(self, number: int) -> tuple[Counts, list[Failed]]:
        """Run one program on all devices: what was seen, and the cases that failed."""
        counts, failures = Counts(), list[Failed]()
        if self.plan.themes[number % len(self.plan.themes)] == FRONT_END:
            return self._front_end(number)
        plan = self.plan
        program = self._chooser.program(number)
        _count_program(counts, program)
        small = fits_32_bits(program)
        kinds = kinds_of_machines(wide_integers=not small, doubles=float64 in program.dtypes)
        changed = set[str]()
        for device in plan.scope.devices:
            counts.count("cases", device)
            if device not in ("reference", *kinds):
                counts.count("refused", f"{device}: int64 beyond 32 bits, or float64")
                continue
            found = self._on(device, program, kinds, counts, changed)
            if found is not None:
                failures.append(found)
        for name in dict.fromkeys(step.name for step in plan.scope.wanted):
            counts.count("named", name, int(name in changed))
        clear_cache()
        return counts, failures

    def _probing(self, program: Program) -> Watch:
        """Writes down which pass is tried on a program, in search of one that it changes."""
        case = Case(program.module, program.inputs, Pipeline())
        return self._note(program.number, case).passes

    def _note(self, number: int, case: Case) -> _Note:
        name = self.plan.name_of(number, case.device)
        return _Note(Replay(case, seed=name, loads=self.plan.loads), self.running)

    def _on(
        self,
        device: str,
        program: Program,
        kinds: Sequence[str],
        counts: Counts,
        changed: set[str],
    ) -> tuple[Replay, Failure] | None:
        """Run one program on a device; the passes that changed it go into `changed`."""
        plan = self.plan
        name = plan.name_of(program.number, device)
        checked = self._checked(device, rng_of(plan.seed, program.number, device, "checked"))
        case = Case(program.module, program.inputs, Pipeline(), device, checked)
        note = self._note(program.number, case)
        route = self._chooser.route(program, device, kinds, note.passes)
        case = replace(case, passes=route.passes)
        note.device(route.passes)
        rules = _Rules()
        with counted(rules):
            examined = _examination(case)
        counts.tables["rules"].update(rules.names)
        _count_examination(counts, case, examined)
        changed |= route.effective
        if examined.failure is None:
            return None
        changed.add(examined.failure.culprit.partition("{")[0])
        expected = Expected.of(examined.failure)
        return Replay(case, expected, name, self.plan.loads), examined.failure

    def _front_end(self, number: int) -> tuple[Counts, list[Failed]]:
        """Run one program of the front end on all devices."""
        counts, failures = Counts(), list[Failed]()
        counts.count("themes", FRONT_END)
        if self.running is not None:
            name = self.plan.name_of(number, ",".join(self.plan.scope.devices))
            self.running.write_text(f"# seed: {name}\n", encoding="utf-8")
        program = draw_front_end(self.plan.seed, number)
        for device in self.plan.scope.devices:
            counts.count("cases", device)
            name = self.plan.name_of(number, device)
            if self.running is not None:
                note = (
                    f"# seed: {name}\n{program.script(device, 'What ran when the process died.')}"
                )
                self.running.write_text(note, encoding="utf-8")
            try:
                failure = fail(program, device, name)
            except PicogradError as error:
                counts.count("refused", f"{device}: {reason_of(error.message)}")
                continue
            if failure is not None:
                failures.append(failure)
        clear_cache()
        return counts, failures

    def _checked(self, device: str, rng: Random) -> bool:
        return rng.random() < self.plan.share_checked and device != "reference"


def _examination(case: Case) -> Examination:
    """As the oracle's; what it raises itself is a failure too, and an impossible order none."""
    try:
        return examination(case)
    except PipelineError as error:
        return Examination(None, refused=f"{error.message}")
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to see it
        last = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        failure = Failure(Fault.CRASH, case.device, len(case.passes), detail, error=error)
        return Examination(failure)


class _Note:
    """Writes down which case is running, before it does: it may end the process."""

    def __init__(self, replay: Replay, file: Path | None) -> None:
        self._replay = replay
        self._file = file
        self._text = str(replay) if file is not None else ""

    def passes(self, passes: Sequence[Pass]) -> None:
        """The last of these is about to run."""
        self._write(passes, str(passes[-1]))

    def device(self, passes: Sequence[Pass]) -> None:
        """All passes have been drawn: now they are examined, and the device runs."""
        self._write(passes, self._replay.case.device)

    def _write(self, passes: Sequence[Pass], culprit: str) -> None:
        if self._file is None:
            return
        head, key, tail = self._text.partition("// passes:")
        rest = tail.partition("\n")[2]
        failure = f"// failure: CRASH in {culprit}"
        self._file.write_text(
            f"{head}{key} {Pipeline(passes)}\n{failure}\n{rest}", encoding="utf-8"
        )


def _count_program(counts: Counts, program: Program) -> None:
    counts.count("themes", program.theme)
    counts.count("flavours", program.flavour)
    for op in entry_of(program.module).body.block.ops:
        if op.results:
            kind = getattr(op.properties.get("kind"), "data", "")
            words = [
                op.name.removeprefix("pico."),
                str(kind),
                dtype_of(type_of(op.results[0])).name,
            ]
            counts.count("ops", " ".join(filter(None, words)))


def _count_examination(counts: Counts, case: Case, examined: Examination) -> None:
    for step, check in zip(case.passes, examined.checks, strict=False):
        counts.count("passes", step.name)
        counts.count("changed", step.name, int(check.changed))
    elements = sum(check.elements for check in examined.checks)
    undetermined = sum(check.undetermined for check in examined.checks)
    counts.count("elements", "compared", elements)
    counts.count("elements", "undetermined", undetermined)
    counts.count("undecided", case.device, int(undetermined > CAP * elements))
    if examined.refused:
        counts.count("refused", f"{case.device}: {reason_of(examined.refused)}")
    elif case.device != "reference" and examined.failure is None:
        counts.count("kernels", case.device, examined.kernels)
        counts.count("checked", case.device, int(case.sanitize))
