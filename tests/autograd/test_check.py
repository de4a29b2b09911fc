"""gradcheck tells right gradients from wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import GradientError


def wrong(x: torch.Tensor) -> torch.Tensor:
    """Twice the value, with the gradient of the value."""
    return x + x.detach()


def test_right_gradients_pass(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    w = torch.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    n = torch.tensor([1, 0])
    assert torch.autograd.gradcheck(lambda x, w, n: ((x @ w).tanh(), x.exp(), n), (x, w, n))
    assert torch.autograd.gradgradcheck(lambda x, w: (x @ w).tanh(), [x, w])
    empty = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: x.sum() * 2, empty)


def test_wrong_gradients_are_found(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal(3), requires_grad=True)
    with pytest.raises(GradientError, match="gradient of output 0 for input 0 is not its slope"):
        torch.autograd.gradcheck(wrong, x)
    assert not torch.autograd.gradcheck(wrong, x, raise_exception=False)
    assert not torch.autograd.gradgradcheck(lambda x: x * x.detach() * x, x, raise_exception=False)
