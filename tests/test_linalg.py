"""torch.linalg: what its norms refuse; their values stand in the table of functions."""

import numpy as np
import pytest

import picograd as torch
from picograd.errors import OptionError, ShapeError


def test_orders_that_take_singular_values_are_refused() -> None:
    for order in (2, -2, "nuc"):
        with pytest.raises(OptionError, match="singular values"):
            torch.linalg.matrix_norm(torch.ones(2, 2), order)
    with pytest.raises(OptionError, match="singular values"):
        torch.norm(torch.ones(2, 2), "nuc")
    with pytest.raises(ShapeError, match="takes matrices"):
        torch.linalg.matrix_norm(torch.ones(2))


def test_a_norm_has_slope_0_at_0() -> None:
    for order in (2, 3, 1.5):
        x = torch.zeros(3, requires_grad=True)
        torch.linalg.vector_norm(x, order).backward()
        assert x.grad is not None and x.grad.tolist() == [0, 0, 0]


def test_norms_of_batches(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4))
    for order in ("fro", 1, -1, np.inf, -np.inf):
        found = torch.linalg.matrix_norm(torch.tensor(x), order, dim=(0, 2))
        np.testing.assert_allclose(found.numpy(), np.linalg.norm(x, order, (0, 2)), rtol=1e-12)
