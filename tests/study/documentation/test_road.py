"""One program at every level, as the documentation shows it."""

import numpy as np

from picograd.compiler.diagnostics import parse_module
from picograd.passes import Level, level_of
from picograd.semantics.evaluate import evaluate
from picograd.study.documentation.road import levels_of

PROGRAM = """
func.func @main(%x: tensor<4x3xf32> {pico.name = "x"}, %w: tensor<3x2xf32> {pico.name = "w"})
    -> tensor<4x2xf32> {
  %hidden = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %y = pico.unary exp %hidden : tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
"""


def test_every_level_is_shown_and_means_the_same(rng: np.random.Generator) -> None:
    levels = levels_of(PROGRAM)
    assert list(levels) == list(Level)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (3, 2))]
    expected = np.exp(inputs[0].astype(np.float64) @ inputs[1])
    for level, text in levels.items():
        module = parse_module(text)
        assert level_of(module) == level
        (found,) = evaluate(module, inputs)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_loops_shown_do_not_depend_on_the_machine() -> None:
    shown = levels_of(PROGRAM)[Level.LOOP]
    assert "loop.reduce" in shown
    assert "vector<" not in shown
