"""The killers: each runs one of picograd's own checking tools over seeded cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from random import Random

import picograd
from picograd.check.differential import run_on
from picograd.check.functions import FUNCTIONS
from picograd.check.functions.expected import expect, samples_of
from picograd.check.functions.judging import differences
from picograd.check.functions.running import run_compiled, run_eagerly
from picograd.check.functions.table import Function
from picograd.check.generation.makers import MAKERS
from picograd.check.generation.orders import Walk
from picograd.check.generation.programs import Sample, random_samples
from picograd.check.generation.sketch import DTYPES, SIZES
from picograd.check.mutants.killer import Verdict, fault_of, first_line
from picograd.check.oracle import Case, examine
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import draw_inputs
from picograd.dialects.dtypes import DType, bool_, float32, int32
from picograd.passes import PASSES, Pass
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup, names

SMALL_CPU = (
    "cpu:vector_bits=128,vector_registers=16,cores=3,l1_bytes=512,l2_bytes=1024,l3_bytes=4096"
)
"""A machine so small that modules of a few hundred elements have reason to be tiled and split."""

NO_DOUBLES: tuple[DType, ...] = (float32, int32, bool_)
"""What GPUs have; indices are 64 bits wide in a program and 32 in what becomes of it."""


@dataclass(frozen=True)
class Modules:
    """Random modules: how many, of which kinds of ops, dtypes and sizes."""

    count: int = 60
    kinds: tuple[str, ...] = tuple(MAKERS)
    dtypes: tuple[DType, ...] = DTYPES
    sizes: tuple[int, ...] = SIZES
    fewest_ops: int = 3
    most_ops: int = 12
    seed: int = 0

    def drawn(self) -> Iterator[Sample]:
        return random_samples(
            self.count,
            self.seed,
            fewest_ops=self.fewest_ops,
            most_ops=self.most_ops,
            makers=self.kinds,
            dtypes=self.dtypes,
            sizes=self.sizes,
        )

    def __str__(self) -> str:
        what = "ops of all kinds" if len(self.kinds) > 8 else ", ".join(dict.fromkeys(self.kinds))
        return f"{self.count} modules of {what}, seed {self.seed}"


@dataclass(frozen=True)
class Validation:
    """Validation after every pass: `passes` spells them, or names a device whose pipeline runs.

    `machine` is the target that the passes are told; `device` also runs what the passes leave.
    """

    passes: str
    modules: Modules = Modules()
    machine: str = ""
    device: str = "reference"
    sanitize: bool = False

    @property
    def kind(self) -> str:
        return "checked execution" if self.sanitize else "validation"

    def hunt(self) -> Verdict:
        number = 0
        for number, sample in enumerate(self.modules.drawn(), 1):
            steps = self.pipeline(sample, number)
            # Ordinary numbers, and the same with NaN, infinities and zeros among them.
            for inputs in (sample.inputs, *draw_inputs(sample.module, number)[1:]):
                case = Case(sample.module, tuple(inputs), steps, self.device, self.sanitize)
                failure = examine(case)
                if failure is not None:
                    culprit = failure.culprit.partition("{")[0]
                    return Verdict(number, failure.fault, culprit, in_one_line(failure.detail))
        return Verdict(number)

    def pipeline(self, sample: Sample, number: int) -> Pipeline:
        """The passes that run."""
        if self.passes not in names():
            return as_passes(self.passes)
        steps = pipeline(self.passes)
        if not self.machine:
            return steps
        lookup(self.machine)
        return Pipeline(
            replace(step, target=self.machine)
            if any(field.name == "target" for field in fields(step))
            else step
            for step in steps
        )

    def __str__(self) -> str:
        where = "" if self.device == "reference" else f", run on {self.device}"
        machine = f" for `{self.machine}`" if self.machine else ""
        passes = f"the pipeline of {self.passes}" if self.passes in names() else f"`{self.passes}`"
        return f"{passes}{machine}{where}; {self.modules}"


@dataclass(frozen=True)
class Orders(Validation):
    """Validation of random legal orders that lead to one pass, `passes`, and of what it does."""

    def pipeline(self, sample: Sample, number: int) -> Pipeline:
        tried: list[Pass] = []

        def note(passes: Sequence[Pass]) -> None:
            tried[:] = passes

        rng = Random(f"{self.modules.seed} {number}")
        walk = Walk(sample.module.clone(), self.machine, rng, watch=note)
        step = PASSES[self.passes]
        with suppress(Exception):  # the examination of what was tried will show it
            walk.lead_to(step)
            walk.run(step)
            if self.device != "reference":
                walk.follow(pipeline(self.device)[_place_behind(step, self.device) :])
        return Pipeline(tried)

    def __str__(self) -> str:
        where = "" if self.device == "reference" else f", run on {self.device}"
        return f"random orders that lead to `{self.passes}`{where}; {self.modules}"


def _place_behind(step: type[Pass], device: str) -> int:
    places = [number for number, one in enumerate(pipeline(device), 1) if isinstance(one, step)]
    return places[-1] if places else 0


@dataclass(frozen=True)
class Differential:
    """Differential runs: the modules on a device, every kernel judged."""

    device: str
    modules: Modules = Modules()
    mode: str = "compiled"

    @property
    def kind(self) -> str:
        return "differential run"

    def hunt(self) -> Verdict:
        number = 0
        for number, sample in enumerate(self.modules.drawn(), 1):
            try:
                outcome = run_on(self.device, sample.module, sample.inputs, mode=self.mode)
            except Exception as error:  # noqa: BLE001 - a mutant may raise anything
                return Verdict(number, fault_of(error), self.device, first_line(error))
            if not outcome.ok:
                culprit = outcome.suspect.partition("{")[0] or self.device
                return Verdict(number, Fault.VALUES, culprit, in_one_line(outcome.explain()))
        return Verdict(number)

    def __str__(self) -> str:
        return f"{self.device}, {self.mode}; {self.modules}"


ROWS = {row.name: row for row in FUNCTIONS}


@dataclass(frozen=True)
class Samples:
    """Rows of the table of functions, values and gradients, against NumPy."""

    rows: tuple[str, ...]
    device: str = "reference"
    mode: str = "eager"

    @property
    def kind(self) -> str:
        return "table of functions"

    def hunt(self) -> Verdict:
        picograd.set_default_device(self.device)
        try:
            for number, name in enumerate(self.rows, 1):
                try:
                    wrong = self._wrong(ROWS[name])
                except Exception as error:  # noqa: BLE001 - a mutant may raise anything
                    return Verdict(number, fault_of(error), name, first_line(error))
                if wrong:
                    return Verdict(number, Fault.VALUES, name, in_one_line(wrong[0]))
        finally:
            picograd.set_default_device(None)
        return Verdict(len(self.rows))

    def _wrong(self, row: Function) -> Sequence[str]:
        expected = [expect(sample) for sample in samples_of(row)]
        run = run_eagerly if self.mode == "eager" else run_compiled
        found = run([one.sample for one in expected])
        accuracy = "gpu" if self.device == "gpu" else "cpu"
        return [
            message
            for one, got in zip(expected, found, strict=True)
            for message in differences(one, got, accuracy, finite_only=self.device == "gpu")
        ]

    def __str__(self) -> str:
        return f"`{'`, `'.join(self.rows)}` on {self.device}, {self.mode}"


def in_one_line(text: str) -> str:
    """The first line of a message."""
    return text.strip().partition("\n")[0]
