"""Random tensors: reproducible, of the right distribution, the same on every device."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, GradientError, OptionError, ShapeError


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


def test_integers_from_zero() -> None:
    torch.manual_seed(5)
    first = torch.randint(10, (4,)).tolist()
    torch.manual_seed(5)
    assert torch.randint(0, 10, size=(4,)).tolist() == first
    assert torch.randint(high=3, size=[2, 0]).shape == (2, 0)
    with pytest.raises(OptionError, match="what to draw"):
        torch.randint(10)
    with pytest.raises(OptionError, match="what to draw"):
        torch.randint(1, 10)


def test_permutations() -> None:
    torch.manual_seed(0)
    orders = [torch.randperm(4).tolist() for _ in range(600)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    begins = np.bincount([order[0] for order in orders])
    np.testing.assert_allclose(begins / 600, 0.25, atol=0.06)
    assert torch.randperm(0).shape == (0,) and torch.randperm(1).tolist() == [0]
    with pytest.raises(ShapeError, match="number of integers"):
        torch.randperm(-1)


def test_permutations_are_the_same_everywhere(device: str) -> None:
    torch.manual_seed(2)
    here = torch.randperm(33).tolist()
    torch.manual_seed(2)
    assert here == torch.randperm(33, device="reference").tolist()


def test_bernoulli() -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.0, 0.3, 1.0]).repeat(4000, 1)
    means = torch.bernoulli(chances).numpy().mean(0)
    assert means[0] == 0 and means[2] == 1 and abs(means[1] - 0.3) < 0.03
    assert torch.bernoulli(torch.ones(3), 0.0).tolist() == [0, 0, 0]
    with pytest.raises(DTypeError, match="probabilities"):
        torch.bernoulli(torch.ones(3, dtype=torch.int64))


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_multinomial(replacement: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weights = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]], dtype=dtype).repeat(2000, 1)
    drawn = torch.multinomial(weights, 1, replacement).numpy()
    assert drawn.dtype == np.int64 and drawn.shape == (4000, 1)
    assert set(drawn[::2, 0]) == {0, 2} and abs((drawn[::2, 0] == 2).mean() - 0.75) < 0.04
    assert set(drawn[1::2, 0]) == {1}


def test_multinomial_with_and_without_replacement() -> None:
    torch.manual_seed(0)
    weights = torch.tensor([0.2, 0.5, 0.3])
    assert sorted(torch.multinomial(weights, 3).tolist()) == [0, 1, 2]
    many = torch.multinomial(weights, 5000, replacement=True).numpy()
    np.testing.assert_allclose(np.bincount(many) / 5000, [0.2, 0.5, 0.3], atol=0.03)
    with pytest.raises(OptionError, match="cannot draw so many"):
        torch.multinomial(weights, 4)
    with pytest.raises(ShapeError, match="a row of weights"):
        torch.multinomial(torch.ones(1, 2, 2), 1)


def test_multinomial_compiled_draws_the_same() -> None:
    weights = torch.tensor([[0.2, 0.5, 0.3]])
    torch.manual_seed(1)
    expected = [torch.multinomial(weights, 2).tolist() for _ in range(3)]
    torch.manual_seed(1)
    compiled = torch.compile(lambda w: torch.multinomial(w, 2))
    assert [compiled(weights).tolist() for _ in range(3)] == expected


def test_fills() -> None:
    torch.manual_seed(0)
    x = torch.empty(2, 4000)
    view = x[1]
    assert view.normal_(2.0, 0.5) is view
    assert abs(float(x[1].mean()) - 2) < 0.05 and abs(float(x[1].std()) - 0.5) < 0.05
    view.uniform_(-1, 3)
    assert float(x[1].min()) >= -1 and float(x[1].max()) < 3 and abs(float(x[1].mean()) - 1) < 0.1
    view.exponential_(2.0)
    assert float(x[1].min()) > 0 and abs(float(x[1].mean()) - 0.5) < 0.04
    ones = torch.zeros(4000, dtype=torch.int64).bernoulli_(0.3)
    assert abs(float(ones.sum()) / 4000 - 0.3) < 0.04
    assert torch.empty(3, dtype=torch.float16).exponential_().dtype is torch.float16
    with pytest.raises(DTypeError, match="fills with floats"):
        torch.zeros(2, dtype=torch.int64).normal_()
    with pytest.raises(OptionError, match="lambd > 0"):
        torch.zeros(2).exponential_(0)
    with pytest.raises(OptionError, match="0 <= p <= 1"):
        torch.zeros(2).bernoulli_(1.5)
    with pytest.raises(GradientError, match="in place"):
        torch.ones(2, requires_grad=True).uniform_()
