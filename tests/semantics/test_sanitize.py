"""Races between parallel iterations, and inputs that are overwritten: what is one, what is none."""

import numpy as np
import pytest

from picograd.check.generation.programs import random_samples
from picograd.check.loop_samples import the_kernel
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.dtypes import float32, int32
from picograd.errors import IndexOutOfRange, SanitizerError
from picograd.passes import Level, Pass
from picograd.passes.base import level_of
from picograd.semantics import loop as loop_semantics
from picograd.semantics.evaluate import evaluate
from picograd.semantics.loop import run_kernel

M = "memref<8xf32>"


def run(body: str) -> None:
    kernel = the_kernel(parse_module(f"loop.kernel @k(%x: {M}, %y: {M}) {{\n{body}\n}}"))
    run_kernel(kernel, [np.ones(8, "f4"), np.ones(8, "f4")], sanitize=True)
    run_kernel(kernel, [np.ones(8, "f4"), np.ones(8, "f4")])  # nobody looks: nothing is said


def each(bound: int, load: str, store: str, source: str = "%x") -> str:
    return f"""loop.parallel %i = 0 to {bound} {{
      %v = loop.load {source}[{load}] : {M}
      loop.store %v, %y[{store}] : f32, {M}
    }}"""


@pytest.mark.parametrize(
    "body",
    [
        each(8, "%i", "%i"),
        each(8, "0", "%i"),  # all load one element
        each(8, "%i", "-%i + 7"),
        each(4, "%i * 2 + 1", "%i * 2", "%y"),
        each(8, "%i", "%i", "%y"),  # its own
        # One after the other: loops in a row, and the steps of a loop.for.
        each(4, "%i", "%i") + "\n" + each(4, "%i", "%i + 4", "%y"),
        f"""loop.for %k = 0 to 3 {{
          loop.parallel %i = 0 to 4 {{
            %v = loop.load %y[%i + %k] : {M}
            loop.store %v, %x[%i] : f32, {M}
          }}
          loop.parallel %i = 0 to 4 {{
            %v = loop.load %x[%i] : {M}
            loop.store %v, %y[%i + %k] : f32, {M}
          }}
        }}""",
        # A buffer of each iteration's own.
        f"""loop.parallel %i = 0 to 8 {{
          %m = loop.alloc : memref<1xf32, "stack">
          %v = loop.load %x[%i] : {M}
          loop.store %v, %m[0] : f32, memref<1xf32, "stack">
          %w = loop.load %m[0] : memref<1xf32, "stack">
          loop.store %w, %y[%i] : f32, {M}
        }}""",
        # Clipped stores do not take place.
        f"""loop.parallel %i = 0 to 10 {{
          %v = loop.load %x[%i] pad : {M}
          loop.store %v, %y[%i] clip : f32, {M}
        }}""",
        # The lanes of one iteration.
        f"""loop.parallel %i = 0 to 8 step 4 {{
          %v = loop.load %x[%i + t0] : {M} to vector<4xf32>
          loop.store %v, %y[%i + t0] : vector<4xf32>, {M}
        }}""",
        # Inside of one iteration of the outer loop, another loop may come back to its elements.
        f"""loop.parallel %i = 0 to 8 step 4 {{
          loop.parallel %j = 0 to 4 {{
            %v = loop.load %x[%i + %j] : {M}
            loop.store %v, %y[%i + %j] : f32, {M}
          }}
          loop.parallel %j = 0 to 4 {{
            %v = loop.load %y[%i - %j + 3] : {M}
            loop.store %v, %x[%i + %j] : f32, {M}
          }}
        }}""",
    ],
)
def test_what_is_no_race(body: str) -> None:
    run(body)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (each(8, "%i", "%i floordiv 2"), "stores to %y[0]"),
        (each(8, "%i", "0"), "stores to %y[0]"),
        (each(4, "%i + 1", "%i", "%y"), "%y["),
        (each(4, "%i", "%i + 1", "%y"), "%y["),
        (each(4, "0", "%i", "%y"), "%y[0]"),
        # A sliding window: tiles that overlap.
        (
            f"""loop.parallel %i = 0 to 5 step 2 {{
              %v = loop.load %x[%i + t0] : {M} to vector<4xf32>
              loop.store %v, %y[%i + t0] : vector<4xf32>, {M}
            }}""",
            "%y[2]",
        ),
        # The inner loops do not race, but the iterations around them do.
        (
            f"""loop.parallel %i = 0 to 2 {{
              loop.parallel %j = 0 to 4 {{
                %v = loop.load %x[%j] : {M}
                loop.store %v, %y[%j + %i] : f32, {M}
              }}
            }}""",
            "%y[",
        ),
        # In different steps of a sequential loop inside.
        (
            f"""loop.parallel %i = 0 to 4 {{
              loop.for %k = 0 to 2 {{
                %v = loop.load %x[%i] : {M}
                loop.store %v, %y[%i + %k] : f32, {M}
              }}
            }}""",
            "%y[",
        ),
    ],
)
def test_a_race_is_named(body: str, what: str) -> None:
    with pytest.raises(SanitizerError, match="parallel loop 'i' race for an element of") as caught:
        run(body)
    assert what in caught.value.found
    assert "kernel @k" in caught.value.where


def test_a_race_between_chunks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long loop runs in pieces; iterations of different pieces race like others."""
    monkeypatch.setattr(loop_semantics, "PARALLEL_CHUNK", 3)
    run(each(8, "%i", "%i"))
    with pytest.raises(SanitizerError, match="race") as caught:
        run(each(8, "%i", "%i mod 3"))
    assert caught.value.found.startswith("iteration 3 does loop.store, iteration 0 stores to")


class Evaluated:
    """Evaluates a module after each pass at loop level, looking for races."""

    def __init__(self, inputs: list[np.ndarray]) -> None:
        self.inputs = inputs
        self.count = 0

    def before(self, step: Pass, module: object) -> None:
        """Nothing yet."""

    def after(self, step: Pass, module, record: PassRecord) -> None:
        if level_of(module) == Level.LOOP:
            evaluate(module, self.inputs, sanitize=True)
            self.count += 1


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_pipelines_leave_no_race(device: str) -> None:
    counts = 0
    for sample in random_samples(12, seed=90, dtypes=(float32, int32), most_ops=8):
        watcher = Evaluated(sample.inputs)
        try:
            run_pipeline(sample.module.clone(), pipeline(device), instruments=[watcher])
        except IndexOutOfRange:
            continue
        counts += watcher.count
    assert counts > 50


def test_an_input_that_is_not_donated_stays() -> None:
    text = f"""
loop.kernel @k(%x: {M}, %y: {M}) {{
  {each(8, "%i", "%i")}
  loop.parallel %i = 0 to 8 {{
    %v = loop.load %y[%i] : {M}
    %w = arith.addf %v, %v : f32
    loop.store %w, %x[%i] : f32, {M}
  }}
}}
func.func @main(%x: {M}, %y: {M} {{buffer.output}}) {{
  loop.launch @k(%x, %y) : {M}, {M}
  func.return
}}"""
    x = np.arange(8, dtype="f4")
    x[0] = np.nan
    with pytest.raises(SanitizerError, match="the input %x was overwritten") as caught:
        evaluate(parse_module(text), [x], sanitize=True)
    assert caught.value.found == "7 elements changed, the first at [1]", "NaN stays NaN"
    np.testing.assert_array_equal(x[1:], np.arange(1, 8), "the caller's array is left alone")
    evaluate(parse_module(text.replace("store %w, %x", "store %w, %y")), [x], sanitize=True)
