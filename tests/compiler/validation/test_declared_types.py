"""Integers that a machine holds in other types are judged by what the function declared."""

import numpy as np
import pytest

from picograd.check.oracle import Case, examine
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pipelines import pipeline

NEGATED = """
func.func @main(%x: tensor<3xui8>) -> tensor<3xui8> {
  %y = pico.unary neg %x : tensor<3xui8>
  return %y : tensor<3xui8>
}
"""


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_byte_above_127_is_right(device: str) -> None:
    x = np.array([1, 127, 0], np.uint8)
    case = Case(parse_module(NEGATED), (x,), pipeline(device), device)
    assert examine(case) is None
