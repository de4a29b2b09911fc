"""Inputs are drawn so that results say something: finite where they can be, indices inside."""

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.validation.expectation import expect
from picograd.compiler.validation.inputs import draw_inputs
from picograd.semantics.accuracy import CPU
from picograd.semantics.evaluate import entry_of, evaluate

ROOT = """
func.func @main(%x: tensor<4x50xf32>, %v: tensor<4x50xf32>) -> tensor<4x50xf32> {
  %r = pico.unary sqrt %v : tensor<4x50xf32>
  %y = pico.binary mul %x, %r : tensor<4x50xf32>
  func.return %y : tensor<4x50xf32>
}
"""

INDEXED = """
func.func @main(%x: tensor<3x2xf32>, %i: tensor<7x2xi64>) -> tensor<7x2xf32> {
  %y = pico.gather %x at %i axis 0 : tensor<3x2xf32>, tensor<7x2xi64> -> tensor<7x2xf32>
  func.return %y : tensor<7x2xf32>
}
"""


def test_the_same_seed_draws_the_same() -> None:
    module = parse_module(ROOT)
    first, second, other = (draw_inputs(module, seed) for seed in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first[0], second[0], strict=True))
    assert first[0][0].tobytes() != other[0][0].tobytes()


def test_only_what_must_be_positive_is() -> None:
    module = parse_module(ROOT)
    ordinary, special = draw_inputs(module, 3)
    x, v = ordinary
    assert (x < 0).any()
    assert (v >= 0).all()
    assert np.isfinite(evaluate(module, ordinary)[0]).all()
    assert not np.isfinite(special[0]).all()


def test_indices_are_inside() -> None:
    module = parse_module(INDEXED)
    for inputs in draw_inputs(module, 0):
        evaluate(module, inputs)
        assert len(np.unique(inputs[1])) > 1


def test_special_values_that_flood_the_results_are_finite() -> None:
    module = parse_module("""
    func.func @main(%x: tensor<40xf32>) -> tensor<f32> {
      %y = pico.reduce add %x axes [0] : tensor<40xf32> -> tensor<f32>
      func.return %y : tensor<f32>
    }
    """)
    _, (special,), (flooding,) = draw_inputs(module, 0)
    assert np.isfinite(special).all()
    assert (special == 0).any() or (abs(special) == 1).any()
    assert np.isnan(flooding).any() and np.isinf(flooding).any()


def test_a_large_module_is_not_flooded() -> None:
    squares = "\n".join(f"%{n + 1} = pico.binary mul %{n}, %{n} : tensor<f32>" for n in range(40))
    module = parse_module(f"""
    func.func @main(%0: tensor<f32>) -> tensor<f32> {{
      {squares}
      func.return %40 : tensor<f32>
    }}
    """)
    assert all(np.isfinite(inputs[0]) for inputs in draw_inputs(module, 0))


@pytest.mark.parametrize("seed", range(5))
def test_nan_is_among_the_special_values_however_few_there_are(seed: int) -> None:
    module = parse_module("""
    func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
      %d = pico.binary sub %x, %w : tensor<4xf32>
      func.return %d : tensor<4xf32>
    }
    """)
    special = np.concatenate(draw_inputs(module, seed)[-1])
    assert np.isnan(special).any() and np.isinf(special).any()


def test_no_special_set_without_floats() -> None:
    module = parse_module("""
    func.func @main(%x: tensor<3xi32>, %b: tensor<2xi1>) -> tensor<3xi32> {
      func.return %x : tensor<3xi32>
    }
    """)
    assert len(draw_inputs(module, 0)) == 1


def test_long_rows_are_drawn_small() -> None:
    module = parse_module("""
    func.func @main(%x: tensor<64x1024xf32>) -> tensor<64x1024xf32> {
      func.return %x : tensor<64x1024xf32>
    }
    """)
    ordinary = draw_inputs(module, 0)[0]
    assert 0.1 < ordinary[0].std() < 0.15


def test_floats_are_small_where_bounds_would_explode() -> None:
    """Squares of products, layer upon layer: of numbers so large the whole part is not known."""
    layers = "\n".join(
        f"""
        %p{n} = pico.matmul %{f"s{n - 1}" if n else "x"}, %w : tensor<6x6xf32>, tensor<6x6xf32> -> tensor<6x6xf32>
        %s{n} = pico.binary mul %p{n}, %p{n} : tensor<6x6xf32>"""  # noqa: E501
        for n in range(5)
    )
    module = parse_module(f"""
        func.func @main(%x: tensor<6x6xf32>, %w: tensor<6x6xf32>) -> tensor<6x6xf32> {{
          {layers}
          %half = pico.constant dense<0.5> : tensor<6x6xf32>
          %sum = pico.binary add %s4, %half : tensor<6x6xf32>
          %y = pico.unary floor %sum : tensor<6x6xf32>
          func.return %y : tensor<6x6xf32>
        }}""")
    for seed in range(3):
        (result,) = expect(entry_of(module), draw_inputs(module, seed)[0], CPU)
        assert result.doubtful.mean() <= 0.1
        assert np.isfinite(result.error).mean() >= 0.9


@pytest.mark.parametrize("op", ["sqrt", "exp"])
def test_inputs_of_rank_0_are_arrays_and_have_special_values_too(op: str) -> None:
    text = f"""func.func @main(%x: tensor<f32>, %y: tensor<f32>) -> (tensor<f32>, tensor<f32>) {{
      %a = pico.unary {op} %x : tensor<f32>
      %b = pico.unary {op} %y : tensor<f32>
      func.return %a, %b : tensor<f32>, tensor<f32>
    }}"""
    for seed in range(8):
        sets = draw_inputs(parse_module(text), seed)
        assert all(isinstance(array, np.ndarray) for arrays in sets for array in arrays)
        ordinary, special = sets[0], sets[1]
        assert [a.tobytes() for a in ordinary] != [a.tobytes() for a in special]
