"""Views, copies under other shapes, matrix products and picking, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import AxisError, DTypeError, IndexOutOfRange, OptionError, ShapeError

SHAPES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], Callable[[np.ndarray], Any]]] = {
    "reshape": ((2, 6), lambda x: x.reshape(3, -1), lambda a: a.reshape(3, -1)),
    "reshape to scalar": ((1, 1), lambda x: x.reshape(()), lambda a: a.reshape(())),
    "view": ((2, 6), lambda x: x.view((4, 3)), lambda a: a.reshape(4, 3)),
    "flatten": ((2, 3, 4), lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "flatten scalar": ((), lambda x: x.flatten(), lambda a: a.reshape(1)),
    "permute": ((2, 3, 4), lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "transpose": ((2, 3, 4), lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, 2)),
    "T": ((2, 3), lambda x: x.T, lambda a: a.T),
    "t of a vector": ((3,), lambda x: x.t(), lambda a: a),
    "mT": ((2, 3, 4), lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    "expand": ((3, 1), lambda x: x.expand(2, -1, 4), lambda a: np.broadcast_to(a, (2, 3, 4))),
    "squeeze": ((1, 3, 1), lambda x: x.squeeze(), lambda a: a.squeeze()),
    "squeeze one": ((1, 3, 1), lambda x: x.squeeze(0), lambda a: a.squeeze(0)),
    "squeeze none": ((2, 3), lambda x: x.squeeze(0), lambda a: a),
    "unsqueeze": ((2, 3), lambda x: x.unsqueeze(-1), lambda a: a[..., None]),
    "narrow": ((4, 3), lambda x: x.narrow(0, -3, 2), lambda a: a[1:3]),
    "flip": ((2, 3), lambda x: x.flip(0, 1), lambda a: a[::-1, ::-1]),
    "split": ((5, 2), lambda x: x.split(2)[2], lambda a: a[4:]),
    "chunk": ((2, 7), lambda x: x.chunk(3, 1)[1], lambda a: a[:, 3:6]),
    "unbind": ((2, 3), lambda x: x.unbind(1)[2], lambda a: a[:, 2]),
    "empty": ((0, 4), lambda x: x.reshape(2, 0).T, lambda a: a.reshape(2, 0).T),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape(rng: np.random.Generator, name: str) -> None:
    shape, ours, theirs = SHAPES[name]
    a = np.asarray(rng.standard_normal(shape))
    result, expected = ours(torch.tensor(a)), theirs(a)
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[1:, ::2],
        lambda x: x[:, 1],
        lambda x: x[None, 2].expand(3, -1),
        lambda x: x.reshape(2, 3, 2).permute(2, 0, 1)[1],
        lambda x: x[1:3].reshape(-1)[2:],
    ],
)
def test_strides_are_numpys(rng: np.random.Generator, view: Callable[[Any], Any]) -> None:
    class Expandable(np.ndarray):
        def expand(self, *shape: int) -> np.ndarray:
            kept = [self.shape[i - len(shape)] if n == -1 else n for i, n in enumerate(shape)]
            return np.broadcast_to(self, kept)

        def permute(self, *axes: int) -> np.ndarray:
            return self.transpose(axes)

    a = rng.standard_normal((4, 3)).view(Expandable)
    x = torch.tensor(np.asarray(a))
    expected, result = view(a), view(x)
    assert result.stride() == tuple(s // 8 for s in expected.strides)
    start = expected.__array_interface__["data"][0] - a.__array_interface__["data"][0]
    assert result.storage_offset() == start // 8
    assert result.is_contiguous() == expected.flags.c_contiguous
    np.testing.assert_array_equal(result.numpy(), expected)
    assert result.contiguous().is_contiguous()


def test_reshape_shares_storage_when_it_can() -> None:
    x = torch.zeros(2, 3)
    x.reshape(6)[0] = 1
    x.T.reshape(6)[1] = 2  # a copy
    x.view(3, 2)[2, 1] = 3
    assert x.tolist() == [[1, 0, 0], [0, 0, 3]]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((4, 2, 3), (3, 2)),
        ((2, 3), (4, 3, 2)),
        ((5, 1, 2, 3), (4, 3, 1)),
        ((3,), (2, 3, 1)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
    ],
)
def test_matmul(rng: np.random.Generator, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = rng.standard_normal(a), rng.standard_normal(b)
    result = torch.tensor(x) @ torch.tensor(y)
    assert result.shape == (x @ y).shape
    np.testing.assert_allclose(result.numpy(), x @ y, rtol=1e-12)


def test_cat_and_stack(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 1))
    result = torch.cat([torch.tensor(a), torch.tensor(b)], dim=-1)
    np.testing.assert_array_equal(result.numpy(), np.concatenate([a, b], 1))
    stacked = torch.stack([torch.tensor(a), torch.tensor(a + 1)], dim=1)
    np.testing.assert_array_equal(stacked.numpy(), np.stack([a, a + 1], 1))
    assert torch.cat([torch.ones(1), torch.ones(1, dtype=torch.int64)]).dtype is torch.float32


def test_gather_and_scatter(rng: np.random.Generator) -> None:
    x, index = rng.standard_normal((3, 4)), rng.integers(0, 3, (2, 4))
    result = torch.tensor(x).gather(0, torch.tensor(index))
    np.testing.assert_array_equal(result.numpy(), np.take_along_axis(x, index, 0))
    small = torch.tensor(x).gather(0, torch.tensor(index[:, :2]))  # fewer columns than x
    np.testing.assert_array_equal(small.numpy(), np.take_along_axis(x[:, :2], index[:, :2], 0))
    expected = np.zeros((3, 4))
    np.add.at(expected, (index, np.arange(4)), x[:2])
    added = torch.zeros(3, 4, dtype=torch.float64).scatter_add(
        0, torch.tensor(index), torch.tensor(x[:2])
    )
    np.testing.assert_allclose(added.numpy(), expected)


def test_embedding(rng: np.random.Generator) -> None:
    table, index = rng.standard_normal((5, 3)), rng.integers(0, 5, (2, 4))
    result = torch.embedding(torch.tensor(table), torch.tensor(index))
    np.testing.assert_array_equal(result.numpy(), table[index])
    np.testing.assert_array_equal(
        torch.tensor(table).index_select(1, torch.tensor([2, 0])).numpy(), table[:, [2, 0]]
    )


def test_errors() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(ShapeError, match="do not fill the shape"):
        x.reshape(4)
    with pytest.raises(ShapeError, match="do not fill the shape"):
        x.reshape(-1, -1)
    with pytest.raises(ShapeError, match="without copying"):
        x.T.view(6)
    with pytest.raises(ShapeError, match="every axis once"):
        x.permute(0, 0)
    with pytest.raises(AxisError):
        x.transpose(0, 2)
    with pytest.raises(ShapeError, match="does not expand"):
        x.expand(2, 4)
    with pytest.raises(ShapeError, match="narrow leaves axis"):
        x.narrow(0, 1, 2)
    with pytest.raises(ShapeError, match="inner sizes differ"):
        x @ x
    with pytest.raises(ShapeError, match="at least one axis"):
        x @ torch.tensor(1.0)
    with pytest.raises(OptionError, match="at least one tensor"):
        torch.cat([])
    with pytest.raises(ShapeError, match="all other sizes"):
        torch.cat([x, torch.ones(2, 2)])
    with pytest.raises(ShapeError, match="of one shape"):
        torch.stack([x, x.T])
    with pytest.raises(ShapeError, match="0-d tensor has none"):
        torch.cat([torch.tensor(1.0)])
    with pytest.raises(ShapeError, match="0-d tensor has none"):
        torch.cat([torch.ones(3), torch.tensor(1.0)])
    with pytest.raises(ShapeError, match="t\\(\\) transposes matrices"):
        torch.ones(1, 2, 3).t()
    with pytest.raises(ShapeError, match="start_dim comes after"):
        x.flatten(1, 0)
    with pytest.raises(DTypeError, match="int32 or int64"):
        x.gather(0, x)
    with pytest.raises(IndexOutOfRange):
        x.gather(0, torch.tensor([[0, 0, 2]])).numpy()
    with pytest.raises(ShapeError, match="rows up in a matrix"):
        torch.embedding(x, x)
