"""One schedule of a kernel, compiled, judged and timed against another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from math import ceil
from statistics import median
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import Array, Buffer, Device
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import Executable, compile_module
from picograd.dialects.dtypes import AnyTensor, from_ir
from picograd.dialects.structure_digest import structure_digest
from picograd.errors import IndexOutOfRange
from picograd.passes import Pass
from picograd.passes.choose_schedules import ALL, ChooseSchedules, spelled
from picograd.passes.schedule.choices import Choices
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import ACCURACY, Comparison, analyse, judge
from picograd.semantics.evaluate import entry_of
from picograd.study.tuning.cut_kernels import CutKernel

Clock = Callable[[], float]

TURN = 0.002
"""Seconds of calls that are timed together: much longer than it takes to read a clock."""

SMALL_INTEGERS = 4
"""Integers are random below this: those that enter a kernel are mostly labels and indices."""


@dataclass
class Trial:
    """A kernel with a schedule, ready to run."""

    choices: Choices
    executable: Executable
    outputs: list[Buffer]


@dataclass
class Lowered:
    """A kernel with a schedule, as the passes leave it."""

    choices: Choices
    module: ModuleOp

    @cached_property
    def digest(self) -> bytes:
        """Equal for schedules that make no difference."""
        return structure_digest(self.module)


class Bench:
    """Where schedules of one kernel are compiled, judged and timed, on the same random inputs.

    Numbers are positive and near to 1, so that nothing becomes infinite or NaN in a kernel that
    takes a logarithm or a square root, or updates its inputs over and over.
    """

    def __init__(
        self, kernel: CutKernel, device: Device, steps: Sequence[Pass], clock: Clock, seed: int = 0
    ) -> None:
        """`steps` are the passes for schedules and what follows them."""
        self.kernel = kernel
        self._device = device
        self._steps = steps
        self._clock = clock
        self._types = [cast(AnyTensor, arg.type) for arg in entry_of(kernel.tensors).args]
        self._rng = np.random.default_rng(seed)
        self._arrays = [self._random(type) for type in self._types]
        self._expected: list[Bounded] | None = None
        self._inputs: list[Buffer] = []

    def lower(self, choices: Choices) -> Lowered:
        """The kernel with a schedule. Raises what the passes raise."""
        step = ChooseSchedules(spelled({ALL: choices} if choices.made else {}))
        module = self.kernel.loops.clone()
        run_pipeline(module, (step, *self._steps), facts=None, verify=False)
        return Lowered(choices, module)

    def load(self, lowered: Lowered) -> Trial:
        """The kernel as a program. Raises what the device raises."""
        executable = compile_module(
            lowered.module, self._device.name, passes=(), cached=False, on_disk=False
        )
        if not self._inputs:
            self._settle_inputs(executable)
        return Trial(lowered.choices, executable, executable.run(self._inputs))

    def _settle_inputs(self, executable: Executable) -> None:
        """Put the inputs on the device; where an index is out of range, all integers are 0."""
        for arrays in (self._arrays, [_zero_if_integer(array) for array in self._arrays]):
            self._arrays = arrays
            self._inputs = self._uploaded()
            try:
                executable.run(self._uploaded())
            except IndexOutOfRange:
                continue
            return

    def judge(self, trial: Trial) -> Comparison:
        """What the trial computes, held against float64 within the error budget of the kernel."""
        if self._expected is None:
            self._expected = analyse(self.kernel.tensors, self._arrays, ACCURACY["cpu"])
        results = trial.executable.run(self._uploaded())
        arrays = [self._device.download(result) for result in results]
        types = [cast(AnyTensor, t) for t in entry_of(self.kernel.tensors).function_type.outputs]
        return judge(self._expected, types, arrays)

    def seconds(self, trial: Trial) -> float:
        """About what a call takes: the least of three."""
        return min(self._turn(trial, 1) for _ in range(3))

    def ratio(self, best: Trial, other: Trial, rounds: int, hopeless: float = 2.0) -> float:
        """How many times as fast `other` is as `best`, by the medians of turns that alternate.

        After two rounds it is known of what is `hopeless`, so many times slower.
        """
        calls = max(1, ceil(TURN / max(1e-9, self.seconds(best))))
        times: tuple[list[float], list[float]] = ([], [])
        order = [(best, times[0]), (other, times[1])]
        for number in range(rounds):
            for trial, taken in order:
                taken.append(self._turn(trial, calls))
            order.reverse()
            if number == 1 and min(times[1]) > hopeless * min(times[0]):
                break
        return median(times[0]) / median(times[1])

    def _turn(self, trial: Trial, calls: int) -> float:
        run, inputs, outputs = trial.executable.program.run, self._inputs, trial.outputs
        start = self._clock()
        for _ in range(calls):
            run(inputs, outputs)
        return (self._clock() - start) / calls

    def _uploaded(self) -> list[Buffer]:
        return [self._device.upload(array) for array in self._arrays]

    def _random(self, type: AnyTensor) -> Array:
        dtype, shape = from_ir(type.element_type), type.get_shape()
        if dtype.is_float:
            return self._rng.uniform(0.5, 1.5, shape).astype(dtype.numpy)
        return self._rng.integers(0, 2 if dtype.is_bool else SMALL_INTEGERS, shape).astype(
            dtype.numpy
        )


def _zero_if_integer(array: Array) -> Array:
    return array if array.dtype.kind == "f" else np.zeros_like(array)


CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}
