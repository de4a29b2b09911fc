"""Reductions against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import AxisError, DTypeError

CASES: list[tuple[tuple[int, ...], Any]] = [
    ((5,), None),
    ((), None),
    ((2, 3), 0),
    ((2, 3), -1),
    ((2, 3, 4), (0, 2)),
    ((2, 3), ()),
    ((1, 1), 1),
]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), CASES)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_reduce(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], dim: Any, keepdim: bool
) -> None:
    x = np.asarray(rng.standard_normal(shape))
    axes = None if dim == () else dim  # PyTorch takes no axes for all axes
    expected = getattr(np, name)(x, axis=axes, keepdims=keepdim)
    result = getattr(torch.tensor(x), name)(dim, keepdim)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)


def test_dtypes_of_sums() -> None:
    assert torch.tensor([True, True]).sum().item() == 2
    assert torch.tensor([1, 2], dtype=torch.int32).sum().dtype is torch.int64
    assert torch.tensor([1, 2]).sum(dtype=torch.float32).dtype is torch.float32
    assert torch.tensor([2, 3]).prod().item() == 6


def test_of_nothing() -> None:
    empty = torch.zeros(2, 0)
    assert empty.sum().item() == 0
    assert empty.prod(1).tolist() == [1, 1]
    assert np.isnan(empty.mean().item())
    assert empty.softmax(1).shape == (2, 0)


@pytest.mark.parametrize("correction", [0, 1, 2])
@pytest.mark.parametrize("dim", [None, 0, 1])
def test_variance(rng: np.random.Generator, dim: int | None, correction: int) -> None:
    x = rng.standard_normal((3, 5)) + 100
    ours = torch.tensor(x)
    expected = x.var(axis=dim, ddof=correction)
    np.testing.assert_allclose(ours.var(dim, correction=correction).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(
        ours.std(dim, correction=correction).numpy(), np.sqrt(expected), rtol=1e-10
    )


def test_unbiased_means_correction() -> None:
    x = torch.tensor([1.0, 2.0, 6.0])
    assert x.var(unbiased=False).item() == pytest.approx(14 / 3)
    assert x.var().item() == pytest.approx(7)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize(("dim", "keepdim"), [(None, False), (0, False), (1, True), (-1, False)])
def test_argreduce(rng: np.random.Generator, name: str, dim: int | None, keepdim: bool) -> None:
    x = rng.integers(0, 3, (4, 5)).astype(np.float32)  # with ties
    result = getattr(torch.tensor(x), name)(dim, keepdim)
    assert result.dtype is torch.int64
    np.testing.assert_array_equal(result.numpy(), getattr(np, name)(x, axis=dim, keepdims=keepdim))


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_with_indices(rng: np.random.Generator, name: str) -> None:
    x = rng.standard_normal((3, 4))
    x[1, 2] = np.nan
    values, indices = getattr(torch.tensor(x), name)(1)
    np.testing.assert_array_equal(indices.numpy(), getattr(np, "arg" + name)(x, axis=1))
    np.testing.assert_array_equal(values.numpy(), getattr(x, name)(axis=1))
    assert getattr(torch.tensor(x), name)(0, True).values.shape == (1, 4)
    assert np.isnan(getattr(torch.tensor(x), name)().item())
    assert torch.max(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 2.0])).tolist() == [3, 5]


def test_logic() -> None:
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert x.all().item() is False
    assert x.all(1).tolist() == [False, True]
    assert x.any(0).tolist() == [True, True]


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(rng: np.random.Generator, dim: int) -> None:
    x = rng.standard_normal((3, 4)) * 30
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    p = e / e.sum(axis=dim, keepdims=True)
    np.testing.assert_allclose(torch.softmax(torch.tensor(x), dim).numpy(), p, rtol=1e-12)
    logs = x - x.max(axis=dim, keepdims=True) - np.log(e.sum(axis=dim, keepdims=True))
    np.testing.assert_allclose(torch.log_softmax(torch.tensor(x), dim).numpy(), logs, rtol=1e-12)
    lse = torch.logsumexp(torch.tensor(x), dim).numpy()
    np.testing.assert_allclose(lse, np.log(e.sum(axis=dim)) + x.max(axis=dim), rtol=1e-12)


def test_softmax_of_large_numbers() -> None:
    assert torch.tensor([1e30, 1e30, -1e30]).softmax(0).tolist() == [0.5, 0.5, 0]
    assert torch.tensor(3.0).softmax(0).item() == 1


def test_errors() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(AxisError, match="axis 2 does not exist"):
        x.sum(2)
    with pytest.raises(AxisError, match="named twice"):
        x.sum((0, -2))
    with pytest.raises(DTypeError, match="mean is defined for floats"):
        x.long().mean()
    with pytest.raises(AxisError, match="axis 0 has no element"):
        torch.zeros(0).max()
    with pytest.raises(AxisError):
        x.softmax(5)
