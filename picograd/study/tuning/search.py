"""The search for better schedules: kernel by kernel, step by step, for as long as it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import Device
from picograd.errors import PicogradError
from picograd.passes import Pass
from picograd.passes.schedule.choices import NONE, Choices
from picograd.study.tuning.alternatives import moves, own_choices
from picograd.study.tuning.cut_kernels import CutKernel, cut_kernels, split
from picograd.study.tuning.trials import Bench, Clock, Lowered, Trial
from picograd.targets import Target, lookup

LEAST_GAIN = 1.03
"""What is not faster by so much than the cost model's own schedule is not worth remembering."""

LEAST_STEP = 1.015
"""What is not faster by so much than the best so far is not a step: it may be noise."""

QUICK_ROUNDS = 5
SURE_ROUNDS = 15

LEAST_SHARE = 0.005
"""Kernels that take less of a program's time than this are left alone."""


@dataclass
class Found:
    """What the search has found for a kernel."""

    kernel: str
    digest: str
    launches: int
    own: Choices
    """What the cost model chooses, as far as it can be said."""
    before: float
    """Seconds of a launch with the cost model's schedule."""
    best: Choices = NONE
    """What is chosen otherwise; nothing where the cost model was right."""
    gain: float = 1.0
    """How many times as fast that is."""
    searched: bool = False
    """Whether there was time to look for another schedule."""
    tried: int = 0
    """Schedules that were measured."""
    wrong: list[str] = field(default_factory=list[str])
    """Choices with which the result was outside of its error budget: faults of the compiler."""
    refused: list[str] = field(default_factory=list[str])
    """Choices with which a pass or the device failed, and how."""

    @property
    def after(self) -> float:
        """Seconds of a launch with the best schedule."""
        return self.before / self.gain

    def as_data(self) -> dict[str, Any]:
        """Everything in it as JSON has it; choices as they are spelled."""
        texts = {"own": str(self.own), "best": str(self.best)}
        return asdict(self) | texts | {"after": self.after}


@dataclass(frozen=True)
class Limits:
    """How long to search, by which clock, and with which random inputs."""

    seconds: float
    clock: Clock = time.perf_counter
    threads: int = 1
    seed: int = 0


def tune(
    module: ModuleOp,
    device: Device,
    steps: Sequence[Pass],
    limits: Limits,
    *,
    known: Mapping[str, Choices] | None = None,
    report: Callable[[Found], None] = lambda found: None,
) -> list[Found]:
    """Search schedules for the kernels of a program, those that take longest first.

    `known` are choices by kernel that are tried first. `report` hears of each kernel when it is
    done. What time there is goes to the kernels by their share in the program's; each is compiled
    and timed as it is, at least. Raises PipelineError where steps do not pass by buffers.
    """
    end = time.perf_counter() + limits.seconds
    target = lookup(device.name)
    rest = split(steps)[2]
    searches = [
        _Search(kernel, device, rest, limits, target) for kernel in cut_kernels(module, steps)
    ]
    searches.sort(key=lambda search: -search.share)
    total = sum(search.share for search in searches)
    left = total
    for search in searches:
        now = time.perf_counter()
        if search.share >= LEAST_SHARE * total and now < end:
            search.run(now + (end - now) * search.share / left, (known or {}).get(search.digest))
        left -= search.share
        report(search.found)
    return [search.found for search in searches]


class _Search:
    """The search for one kernel's schedule: steps to one side, each from the best so far."""

    def __init__(
        self,
        kernel: CutKernel,
        device: Device,
        steps: Sequence[Pass],
        limits: Limits,
        target: Target,
    ) -> None:
        self.digest = kernel.digest
        self._kernel, self._target, self._limits = kernel, target, limits
        self._bench = Bench(kernel, device, steps, limits.clock, limits.seed)
        lowered = self._bench.lower(NONE)
        self._base = self._best = self._bench.load(lowered)
        self._seen = {lowered.digest}
        before = self._bench.seconds(self._base)
        own = own_choices(kernel.loops, target)
        self.found = Found(kernel.name, kernel.digest, kernel.launches, own, before)

    @property
    def share(self) -> float:
        """The seconds of all launches in one run of the program."""
        return self.found.before * self.found.launches

    def run(self, end: float, known: Choices | None) -> None:
        """Look for a better schedule until that time."""
        self.found.searched = True
        if known is not None:
            self._try(known)
        improved = True
        while improved:
            improved = False
            for move in moves(
                self._kernel.loops,
                self.found.own,
                self._target,
                several_threads=self._limits.threads > 1,
            ):
                if time.perf_counter() >= end:
                    improved = False
                    break
                improved |= self._try(self._best.choices.but(move))
        self._settle()

    def _try(self, choices: Choices) -> bool:
        """Whether a schedule is right, and better than the best so far, which it then is."""
        trial = self._right(choices)
        if trial is None:
            return False
        self.found.tried += 1
        if self._bench.ratio(self._best, trial, QUICK_ROUNDS) < LEAST_STEP:
            return False
        if self._bench.ratio(self._best, trial, SURE_ROUNDS) < LEAST_STEP:
            return False
        self._best = trial
        return True

    def _right(self, choices: Choices) -> Trial | None:
        """The kernel with a schedule, if that makes a difference in code and none in results."""
        try:
            lowered: Lowered = self._bench.lower(choices)
            if lowered.digest in self._seen:
                return None
            self._seen.add(lowered.digest)
            trial = self._bench.load(lowered)
        except PicogradError as error:
            self.found.refused.append(f"{choices}: {error.message}")
            return None
        comparison = self._bench.judge(trial)
        if comparison.excesses:
            self.found.wrong.append(f"{choices}: {comparison}")
            return None
        return trial

    def _settle(self) -> None:
        """Whether the best schedule is better for sure than the cost model's."""
        if self._best is self._base:
            return
        gain = self._bench.ratio(self._base, self._best, SURE_ROUNDS)
        if gain >= LEAST_GAIN:
            self.found.best, self.found.gain = self._best.choices, gain
