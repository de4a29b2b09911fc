"""Rewrites that passes take step by step: each kind of step is met, alone, and keeps the meaning.

`tests/passes/rewriting/test_applications.py` runs prefixes of random length; here a pass takes the
steps of one kind up to the first of its kind, and a test fails when a kind in the sources is never
met.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd import passes
from picograd.check.generation.orders import Walk
from picograd.check.generation.programs import Sample, random_samples
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.inputs import fitted
from picograd.dialects import new_context
from picograd.dialects.dtypes import bfloat16, float16, float32
from picograd.passes import PASSES, Pass
from picograd.passes.rewriting.applications import Applications, counted
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import entry_of, evaluate
from tests.check.test_properties import (
    EVERYTHING,
    GPU,
    NO_DOUBLES,
    WORK,
    Work,
    fits_32_bits,
    machines_for,
    narrowed,
)
from tests.programs import softmax

FOLDER = Path(passes.__file__).parent
MOST_SAMPLES = 60

# Helpers that take a pass's steps live in folders; which pass a file there belongs to.
FILES = {
    **{name: (FOLDER / f"{name}.py",) for name in PASSES},
    "fuse": (FOLDER / "fuse.py", FOLDER / "fusion" / "decide.py"),
}


def steps_of(name: str) -> frozenset[str]:
    """The kinds of steps that a pass's sources ask for."""
    text = "\n".join(file.read_text() for file in FILES[name])
    found = re.findall(r"applies\((?:self\.)?_?(\w+),", text)
    # `expand_math` has a function for each formula.
    return frozenset(found) - {"formula"}


STEPWISE = [name for name in PASSES if steps_of(name)]


class Recording(Applications):
    """Applications that remember the kinds of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def applied(self) -> None:
        super().applied()
        assert self.last is not None
        self.names.append(self.last.name)


def test_no_other_file_asks_for_steps() -> None:
    known = {file for files in FILES.values() for file in files}
    asking = {f for f in FOLDER.rglob("*.py") if re.search(r"\bapplies\(\w", f.read_text())}
    assert asking - known == {FOLDER / "rewriting" / "applications.py"}


def places(name: str) -> Iterator[tuple[Sample, ModuleOp, Pass]]:
    """Random programs, as they are where a pass may run, and the pass with random options."""
    kind, work = PASSES[name], WORK.get(name, Work())
    machines = machines_for(kind)
    drawn = random_samples(
        MOST_SAMPLES,
        11,
        fewest_ops=4,
        makers=work.kinds,
        sizes=work.sizes,
        dtypes=NO_DOUBLES if GPU in machines else EVERYTHING,
    )
    for number, sample in enumerate(drawn):
        rng = Random(f"{name} {number}")
        machine = rng.choice(machines)
        if machine.startswith("gpu") and not fits_32_bits(sample):
            continue
        walk = Walk(sample.module.clone(), machine, rng)
        walk.lead_to(kind)
        before = walk.module.clone()
        walk.run(kind)
        yield sample, before, walk.passes[-1]


def halves() -> Iterator[tuple[Sample, ModuleOp, Pass]]:
    """Programs of half floats, on a machine that has no instructions for them."""
    steps = narrowed(pipeline("cpu"), "cpu:float16_conversions=false")
    end = next(n for n, step in enumerate(steps) if step.name == "expand_math")
    kinds = ("unary", "binary", "cast", "reduce")
    for sample in random_samples(10, 12, makers=kinds, dtypes=(float16, bfloat16, float32)):
        module = sample.module.clone()
        for step in steps[:end]:
            step.apply(new_context(), module)
        yield sample, module, steps[end]


SOFTMAX = softmax(24, 100)


DOUBLE = """
func.func @main(%a: tensor<2048xf32>) -> tensor<2048xf32> {
  %y = pico.binary add %a, %a : tensor<2048xf32>
  func.return %y : tensor<2048xf32>
}"""


ROW_SUMS = """
func.func @main(%a: tensor<40x300xf32>) -> tensor<40xf32> {
  %y = pico.reduce add %a axes [1] : tensor<40x300xf32> -> tensor<40xf32>
  func.return %y : tensor<40xf32>
}"""


RUNNING_TOTALS = """
func.func @main(%a: tensor<6x300xf32>) -> tensor<6x300xf32> {
  %y = pico.scan add %a axis 1 : tensor<6x300xf32>
  func.return %y : tensor<6x300xf32>
}"""


def large(name: str, text: str) -> Iterator[tuple[Sample, ModuleOp, Pass]]:
    """A module larger than the caches of a machine, into which some rows of a softmax fit."""
    machine = "cpu:vector_bits=128,fma=true,l1_bytes=1024,l2_bytes=4096,l3_bytes=4096"
    steps = narrowed(pipeline("cpu"), machine)
    end = next(n for n, step in enumerate(steps) if step.name == name)
    sample = Sample(parse_module(text), 13)
    module = sample.module.clone()
    for step in steps[:end]:
        step.apply(new_context(), module)
    yield sample, module, steps[end]


MORE = {
    "expand_math": lambda: chain(halves(), large("expand_math", SOFTMAX)),
    "lower_reduce": lambda: large("lower_reduce", ROW_SUMS),
    "prefetch_rows": lambda: large("prefetch_rows", SOFTMAX),
    "stream_stores": lambda: large("stream_stores", DOUBLE),
    "vectorize_loops": lambda: large("vectorize_loops", RUNNING_TOTALS),
}


@pytest.mark.parametrize("name", STEPWISE)
def test_each_kind_of_step_keeps_the_meaning(name: str) -> None:
    missing = set(steps_of(name))
    for sample, before, step in chain(MORE.get(name, tuple)(), places(name)):
        recording, whole = Recording(), before.clone()
        with counted(recording):
            step.apply(new_context(), whole)
        for kind in sorted(missing & set(recording.names)):
            missing.discard(kind)
            # So far, and no further.
            module = before.clone()
            with counted(Applications(recording.names.index(kind) + 1)):
                step.apply(new_context(), module)
            verify_module(module)
            with np.errstate(all="ignore"):
                outputs = evaluate(module, fitted(sample.inputs, entry_of(module)))
            report = compare(sample.module, sample.inputs, outputs)
            assert not report.excesses, f"{report}\n{step}\n{before}\n{module}"
        if not missing:
            return
    assert not missing, f"no random module makes {name} take the steps {missing}"
