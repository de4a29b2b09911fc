"""Inverses of trigonometric and hyperbolic functions are right to a few units in the last place."""

from typing import Any

import numpy as np
import pytest

import picograd as torch

DOMAINS: dict[str, tuple[Any, float, float]] = {
    "atan": (np.arctan, -5, 5),
    "asin": (np.arcsin, -1, 1),
    "acos": (np.arccos, -1, 1),
    "asinh": (np.arcsinh, -8, 8),
    "acosh": (np.arccosh, 1, 9),
    "atanh": (np.arctanh, -0.9999, 0.9999),
}


def units_off(found: Any, true: Any) -> float:
    """The largest distance, in units of the last place of the result's dtype."""
    unit = np.spacing(np.abs(true).astype(found.dtype)).astype(np.float64)
    return float(np.max(np.abs(found.astype(np.float64) - true) / unit))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", DOMAINS)
def test_accuracy(name: str, dtype: str) -> None:
    numpy, low, high = DOMAINS[name]
    x = np.random.default_rng(5).uniform(low, high, 4001).astype(dtype)
    x = x[(x >= low) & (x <= high)]
    if name == "atanh":
        x = x[np.abs(x) < 1]
    found = getattr(torch, name)(torch.tensor(x)).numpy()
    assert units_off(found, numpy(x.astype(np.float64))) <= (0.51 if dtype == "float16" else 5)


def test_atan2_in_all_directions() -> None:
    turn = np.linspace(-3.14, 3.14, 997)
    y, x = np.sin(turn).astype(np.float32), np.cos(turn).astype(np.float32)
    found = torch.atan2(torch.tensor(y), torch.tensor(x)).numpy()
    assert units_off(found, np.arctan2(y.astype(np.float64), x.astype(np.float64))) <= 4


def test_odd_functions_have_a_slope_at_zero() -> None:
    for name in ("atan", "asin", "asinh", "atanh"):
        x = torch.tensor([0.0, -0.0], requires_grad=True)
        getattr(torch, name)(x).sum().backward()
        assert x.grad is not None and x.grad.tolist() == [1, 1], name


def test_second_derivatives() -> None:
    x = torch.tensor([-0.7, 0.1, 0.65, 0.9], dtype=torch.float64, requires_grad=True)
    for name in ("atan", "asin", "acos", "asinh", "atanh"):
        assert torch.autograd.gradgradcheck(getattr(torch, name), x), name
    assert torch.autograd.gradgradcheck(lambda x: torch.atan2(x, x * x - 0.3), x)
