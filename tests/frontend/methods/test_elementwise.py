"""Functions of one tensor, choices and activations against NumPy in float64."""

from __future__ import annotations

from math import erf
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, OptionError

_erf = np.vectorize(erf, otypes=[np.float64])

UNARY: dict[str, Any] = {
    "exp": np.exp,
    "log": lambda x: np.log(np.abs(x)),
    "sqrt": lambda x: np.sqrt(np.abs(x)),
    "rsqrt": lambda x: 1 / np.sqrt(np.abs(x)),
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": _erf,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "isnan": np.isnan,
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(), (5,), (2, 1, 3), (0, 2)])
def test_unary(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> None:
    x = np.asarray(rng.uniform(-3, 3, shape))
    given = np.abs(x) if name in ("log", "sqrt", "rsqrt") else x
    for result in (getattr(torch, name)(torch.tensor(given)), getattr(torch.tensor(given), name)()):
        np.testing.assert_allclose(result.numpy(), UNARY[name](x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "sqrt"])
def test_integers_become_floats(name: str) -> None:
    x = np.array([0, 1, 4])
    result = getattr(torch.tensor(x), name)()
    assert result.dtype is torch.float32
    np.testing.assert_allclose(result.numpy(), UNARY[name](x.astype(float)), rtol=1e-6)


def test_rounding_leaves_integers() -> None:
    assert torch.tensor([1, 2]).floor().dtype is torch.int64


def test_gelu(rng: np.random.Generator) -> None:
    x = rng.uniform(-4, 4, 30)
    exact = 0.5 * x * (1 + _erf(x / np.sqrt(2)))
    np.testing.assert_allclose(torch.tensor(x).gelu().numpy(), exact, rtol=1e-12, atol=1e-14)
    near = torch.tensor(x).gelu(approximate="tanh").numpy()
    np.testing.assert_allclose(near, exact, atol=2e-3)
    assert not np.array_equal(near, exact)


def test_extremes_of_activations() -> None:
    x = torch.tensor([-1e4, -1000.0, 100.0, 1e4, float("nan")])
    np.testing.assert_array_equal(x.sigmoid().numpy(), [0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(x.relu().numpy(), [0, 0, 100, 1e4, np.nan])
    small = torch.tensor([-80.0, -20.0], dtype=torch.float64).sigmoid().numpy()
    np.testing.assert_allclose(small, np.exp([-80.0, -20.0]), rtol=1e-8)  # and not 0


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (None, 0.5), (0, None), (1, -1)])
def test_clamp(rng: np.random.Generator, low: float | None, high: float | None) -> None:
    x = rng.standard_normal((3, 4)).astype(np.float32)
    x[0, 0] = np.nan
    expected = x
    if low is not None:
        expected = np.where(expected < low, low, expected)
    if high is not None:
        expected = np.where(expected > high, high, expected)
    np.testing.assert_array_equal(torch.clamp(torch.tensor(x), low, high).numpy(), expected)


def test_clamp_by_tensors(rng: np.random.Generator) -> None:
    x, low = rng.standard_normal((3, 4)), rng.standard_normal(4)
    result = torch.tensor(x).clamp(min=torch.tensor(low))
    np.testing.assert_array_equal(result.numpy(), np.maximum(x, low))


def test_where_promotes_and_broadcasts(rng: np.random.Generator) -> None:
    c, x = rng.random((3, 1)) < 0.5, rng.standard_normal(4)
    result = torch.where(torch.tensor(c), torch.tensor(x), 0)
    np.testing.assert_array_equal(result.numpy(), np.where(c, x, 0))
    assert torch.where(torch.tensor(True), 1, 2.5).dtype is torch.float32
    assert torch.where(torch.tensor(True), 1, 2).dtype is torch.int64


def test_errors() -> None:
    x = torch.ones(2)
    with pytest.raises(OptionError, match="clamp without bounds"):
        x.clamp()
    with pytest.raises(OptionError, match="gelu knows two ways"):
        x.gelu("sigmoid")
    with pytest.raises(DTypeError, match="gelu is defined for floats"):
        x.long().gelu()
    with pytest.raises(DTypeError, match="bool tensor"):
        torch.where(x, x, x)
    with pytest.raises(DTypeError, match="exp takes a tensor"):
        torch.exp(1.0)  # type: ignore[arg-type]
