"""The search for better schedules: kernel by kernel, step by step, for as long as it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import Device
from picograd.errors import PicogradError
from picograd.passes import Pass
from picograd.passes.schedule.choices import NONE, Choices
from picograd.quick_dataclasses import dataclass
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
    before: float = 0.0
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
    def share(self) -> float:
        """Seconds of all launches in one run of the program."""
        return self.before * self.launches

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
    done. First all are timed with the cost model's schedules; then what time there is goes to them
    by their share in the program's. Raises PipelineError where steps do not pass by buffers.
    """
    target, rest = lookup(device.name), split(steps)[2]
    kernels = {kernel.digest: kernel for kernel in cut_kernels(module, steps)}
    every = [
        _as_it_is(kernel, Bench(kernel, device, rest, limits.clock, limits.seed), target)
        for kernel in kernels.values()
    ]
    every.sort(key=lambda found: -found.share)
    left = total = sum(found.share for found in every)
    end = time.perf_counter() + limits.seconds
    for found in every:
        now = time.perf_counter()
        if found.share > LEAST_SHARE * total and now < end:
            # Operands of one kernel at a time are in memory.
            bench = Bench(kernels[found.digest], device, rest, limits.clock, limits.seed)
            search = _Search(found, bench, target, limits.threads)
            search.run(now + (end - now) * found.share / left, (known or {}).get(found.digest))
        left -= found.share
        report(found)
    return every


def _as_it_is(kernel: CutKernel, bench: Bench, target: Target) -> Found:
    """A kernel with the cost model's schedule; one that fails on random inputs takes no time."""
    found = Found(kernel.name, kernel.digest, kernel.launches, own_choices(kernel.loops, target))
    try:
        found.before = bench.seconds(bench.load(bench.lower(NONE)))
    except PicogradError as error:
        found.refused.append(f"the cost model's schedule: {error.message}")
    return found


class _Search:
    """The search for one kernel's schedule: steps to one side, each from the best so far."""

    def __init__(self, found: Found, bench: Bench, target: Target, threads: int) -> None:
        """What is found is written to `found`."""
        self.found, self._bench, self._target, self._threads = found, bench, target, threads
        lowered = bench.lower(NONE)
        self._base = self._best = bench.load(lowered)
        self._seen = {lowered.digest}
        self._asked = {NONE}

    def run(self, end: float, known: Choices | None) -> None:
        """Look for a better schedule until that time."""
        self.found.searched = True
        if known is not None:
            self._try(known)
        loops, several = self._bench.kernel.loops, self._threads > 1
        improved = True
        while improved:
            improved = False
            for move in moves(loops, self.found.own, self._target, several_threads=several):
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
        if choices in self._asked:
            return None
        self._asked.add(choices)
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
