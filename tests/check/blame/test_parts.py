"""Modules cut into parts: each op, or kernel, alone with what it was given."""

from random import Random

import numpy as np
import pytest

from picograd.check.blame.parts import parts_of
from picograd.check.generation.orders import Walk
from picograd.check.generation.programs import random_samples
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.inputs import fitted
from picograd.passes import Level, level_of
from picograd.semantics.evaluate import entry_of, evaluate

LEVELS = (Level.TENSOR, Level.KERNEL, Level.BUFFER, Level.LOOP)


@pytest.mark.parametrize("level", LEVELS)
def test_parts_compute_what_the_whole_does(level: Level) -> None:
    """Each part stands at the same level, verifies, and together they make every result."""
    parts_seen = 0
    for number, sample in enumerate(random_samples(12, 5, fewest_ops=6)):
        walk = Walk(sample.module.clone(), "cpu", Random(number))
        walk.descend(level)
        inputs = fitted(sample.inputs, entry_of(walk.module))
        made: list[bytes] = [array.tobytes() for array in inputs]
        for part in parts_of(walk.module, inputs):
            verify_module(part.module)
            assert level_of(part.module) == level
            made += [array.tobytes() for array in evaluate(part.module, part.inputs)]
            parts_seen += 1
        for result in evaluate(walk.module, inputs):
            assert result.size == 0 or result.tobytes() in made
    assert parts_seen > 20


UPDATE = """builtin.module {
  func.func @main(%x: tensor<4xf32> {pico.donated = 0 : i64}) -> tensor<4xf32> {
    %y = pico.unary neg %x : tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}"""
DOWN = "outline_kernels,lower_kernels_to_buffers,reuse_in_place,lower_buffers_to_loops"


@pytest.mark.parametrize("count", [3, 4])
def test_what_a_kernel_updates_is_given_to_it(count: int, rng: np.random.Generator) -> None:
    module = parse_module(UPDATE)
    run_pipeline(module, as_passes(DOWN)[:count])
    x = rng.normal(size=4).astype(np.float32)
    (part,) = parts_of(module, [x])
    assert part.label == ('kernel "neg"' if count == 3 else "kernel @neg")
    assert "buffer.stored_in = 0" in str(part.module) and "pico.donated = 0" in str(part.module)
    np.testing.assert_array_equal(evaluate(part.module, part.inputs)[0], -x)


def test_labels_of_parts() -> None:
    sample = next(iter(random_samples(1, 9, fewest_ops=6)))
    labels = [part.label for part in parts_of(sample.module, sample.inputs)]
    assert labels and all(label.startswith(("%", "pico.")) for label in labels)


GATHER = """builtin.module {
  func.func @main(%x: tensor<4xf32>, %i: tensor<2xi32>) -> tensor<2xf32> {
    %a = pico.unary neg %x : tensor<4xf32>
    %g = pico.gather %a at %i axis 0 : tensor<4xf32>, tensor<2xi32> -> tensor<2xf32>
    %y = pico.unary exp %g : tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}"""


@pytest.mark.parametrize(("index", "labels"), [(3, ["%a", "%g", "%y"]), (4, ["%a", "%g"])])
def test_parts_end_where_an_index_is_out_of_range(index: int, labels: list[str]) -> None:
    x, i = np.ones(4, np.float32), np.array([0, index], np.int32)
    assert [part.label for part in parts_of(parse_module(GATHER), [x, i])] == labels
