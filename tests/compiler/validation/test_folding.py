"""What is a constant only for who looks twice may be folded, rounded to its own type."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.check.oracle import Case, examine
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.validation.inputs import other_inputs
from picograd.dialects.dtypes import dtype_of, type_of
from picograd.dialects.literals import Array, literal
from picograd.dialects.tensor import ConstantOp
from picograd.passes import Level, Pass
from picograd.semantics.evaluate import entry_of, evaluate

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


ONE_PLACE = """
func.func @main(%x: tensor<2xi32>, %g: tensor<1x3xi32>) -> (tensor<1xf32>, tensor<1x3xf32>) {
  %one = pico.constant dense<1.0> : tensor<1xf32>
  %share = pico.constant dense<0.85714287> : tensor<2xf32>
  %s = pico.scatter add %one at %x from %share axis 0
    : tensor<1xf32>, tensor<2xi32>, tensor<2xf32>
  %c = pico.constant dense<[[0.1, 0.2, 0.3]]> : tensor<1x3xf32>
  %d = pico.gather %c at %g axis 0 : tensor<1x3xf32>, tensor<1x3xi32> -> tensor<1x3xf32>
  %t = pico.unary tanh %d : tensor<1x3xf32>
  return %s, %t : tensor<1xf32>, tensor<1x3xf32>
}
"""
FEW_PLACES = """
func.func @main(%x: tensor<1xi32>) -> (tensor<1xf32>, tensor<1xf32>) {
  %table = pico.constant dense<[0.1, 0.2, 0.3]> : tensor<3xf32>
  %two = pico.constant dense<2> : tensor<1xi32>
  %last = pico.binary add %x, %two : tensor<1xi32>
  %entry = pico.gather %table at %last axis 0 : tensor<3xf32>, tensor<1xi32> -> tensor<1xf32>
  %hangs = pico.unary tanh %entry : tensor<1xf32>
  %same = pico.compare eq %last, %last : tensor<1xi32> -> tensor<1xi1>
  %one = pico.cast %same to f32 : tensor<1xi1> -> tensor<1xf32>
  %fixed = pico.unary tanh %one : tensor<1xf32>
  return %hangs, %fixed : tensor<1xf32>, tensor<1xf32>
}
"""


SUMS = """
func.func @main(%x: tensor<1xi32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %one = pico.constant dense<1.0> : tensor<2xf32>
  %share = pico.constant dense<0.85714287> : tensor<1xf32>
  %s = pico.scatter add %one at %x from %share axis 0
    : tensor<2xf32>, tensor<1xi32>, tensor<1xf32>
  %t = pico.unary tanh %s : tensor<2xf32>
  return %s, %t : tensor<2xf32>, tensor<2xf32>
}
"""


@dataclass(frozen=True)
class FoldForZeros(Pass):
    """A result becomes the constant that it is in native precision where all arguments are 0."""

    name: ClassVar[str] = "fold_for_zeros"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    result: int = 0

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        block = entry_of(op).body.block
        returned = block.last_op
        assert returned is not None
        constant = ConstantOp(literal(evaluate(op, zeros(op))[self.result]))
        block.insert_op_before(constant, returned)
        returned.operands[self.result] = constant.result


def zeros(module: ModuleOp) -> tuple[Array, ...]:
    types = [type_of(argument) for argument in entry_of(module).args]
    return tuple(np.zeros(type.get_shape(), dtype_of(type).numpy) for type in types)


@pytest.mark.parametrize(
    ("text", "result", "constant"),
    [(ONE_PLACE, 0, True), (ONE_PLACE, 1, True), (FEW_PLACES, 0, False), (FEW_PLACES, 1, True)],
    ids=["scatter to one place", "gather from one place", "gather", "beside a gather"],
)
def test_an_index_into_one_place_is_a_constant(text: str, result: int, constant: bool) -> None:
    module = parse_module(text)
    failure = examine(Case(module, zeros(module), Pipeline([FoldForZeros(result)])))
    assert (failure is None) == constant, failure


@pytest.mark.parametrize(("result", "foldable"), [(0, True), (1, False)], ids=["sum", "tanh"])
def test_sums_of_constants_may_be_folded_wherever_they_go(result: int, foldable: bool) -> None:
    """canonicalize selects by the index between 1.0 and 1.0 + 0.85714287, which it folds.

    What is computed of the sums hangs on the index: rounding that as well is a fault.
    """
    module = parse_module(SUMS)
    assert examine(Case(module, zeros(module), as_passes("canonicalize"))) is None
    failure = examine(Case(module, zeros(module), Pipeline([FoldForZeros(result)])))
    assert (failure is None) == foldable, failure


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
