"""What is a constant only for who looks twice may be folded, rounded to its own type."""

import numpy as np

from picograd.check.oracle import Case, examine
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.inputs import other_inputs

HIDDEN = """
func.func @main(%x: tensor<i32>, %y: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %never = pico.compare ne %x, %x : tensor<i32> -> tensor<i1>
  %always = pico.unary not %never : tensor<i1>
  %one = pico.cast %always to f32 : tensor<i1> -> tensor<f32>
  %t = pico.unary tanh %one : tensor<f32>
  %s = pico.binary add %y, %t : tensor<f32>
  return %t, %s : tensor<f32>, tensor<f32>
}
"""


def test_a_constant_that_is_no_literal_may_be_folded() -> None:
    inputs = (np.array(2, np.int32), np.array(0.3, np.float32))
    case = Case(parse_module(HIDDEN), inputs, as_passes("canonicalize"))
    assert examine(case) is None


def test_other_inputs_differ_in_every_element(rng: np.random.Generator) -> None:
    inputs = [
        np.append(rng.normal(size=9), [0.0, np.nan, np.inf]).astype(np.float32),
        rng.integers(0, 3, (4, 2)),
        rng.random(5) < 0.5,
        np.array(7, np.uint8),
    ]
    for array, other in zip(inputs, other_inputs(inputs), strict=True):
        assert (other.dtype, other.shape) == (array.dtype, array.shape)
        assert (other != array).all()
