"""Random tensors: reproducible, of the right distribution, the same on every device."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, OptionError


def test_seeds_repeat() -> None:
    torch.manual_seed(3)
    first, second = torch.rand(5), torch.rand(5)
    torch.manual_seed(3)
    again = torch.rand(5)
    assert first.tolist() == again.tolist() != second.tolist()
    torch.manual_seed(4)
    assert torch.rand(5).tolist() != first.tolist()


def test_a_generator_is_independent() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3).tolist()
    torch.manual_seed(0)
    mine = torch.Generator(9)
    torch.rand(100, generator=mine)
    assert torch.rand(3).tolist() == expected


def test_draws_follow_each_other_without_overlap() -> None:
    torch.manual_seed(1)
    whole = torch.rand(12).tolist()
    torch.manual_seed(1)
    parts = torch.rand(8).tolist() + torch.rand(4).tolist()
    assert parts == whole


def test_uniform() -> None:
    torch.manual_seed(0)
    x = torch.rand(20000).numpy()
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01 and abs(x.var() - 1 / 12) < 0.005
    assert len(np.unique(x)) > 19000
    np.testing.assert_array_equal(x * 2**24, np.round(x * 2**24))


def test_normal() -> None:
    torch.manual_seed(0)
    x = torch.randn(20000).numpy()
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 0.03 and abs(x.var() - 1) < 0.04
    assert abs((x**3).mean()) < 0.1 and abs((x**4).mean() - 3) < 0.3
    assert abs(np.mean(np.abs(x) < 1) - 0.6827) < 0.01


def test_integers() -> None:
    x = torch.randint(-2, 3, (4000,)).numpy()
    assert x.dtype == np.int64 and set(x) == {-2, -1, 0, 1, 2}
    assert np.all(np.abs(np.bincount(x + 2) - 800) < 150)


def test_shapes_and_dtypes() -> None:
    assert torch.rand(()).shape == ()
    assert torch.randn(0, 3).shape == (0, 3)
    like = torch.zeros(2, 3, dtype=torch.float64)
    assert torch.rand_like(like).dtype is torch.float64
    assert torch.randn_like(like).shape == (2, 3)
    assert torch.rand(2, requires_grad=True).requires_grad


def test_every_device_draws_the_same(device: str) -> None:
    torch.manual_seed(11)
    uniform, normal = torch.rand(3, 5).numpy(), torch.randn(7).numpy()
    torch.manual_seed(11)
    expected = torch.rand(3, 5, device="reference").numpy()
    np.testing.assert_array_equal(uniform, expected)
    expected = torch.randn(7, device="reference").numpy()
    np.testing.assert_allclose(normal, expected, rtol=1e-4, atol=1e-5)


def test_errors() -> None:
    with pytest.raises(OptionError, match="no numbers to draw"):
        torch.randint(3, 3, (2,))
    with pytest.raises(DTypeError, match="float dtype"):
        torch.rand(2, dtype=torch.int64)
