"""x[…] read and written, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import IndexOutOfRange, OptionError, ShapeError

BASIC: list[Any] = [
    1,
    -1,
    slice(1, 3),
    slice(None, None, 2),
    slice(-3, None),
    slice(3, 1),
    slice(0, 100),
    None,
    Ellipsis,
    (0, 1),
    (slice(None), 1),
    (slice(1, None, 2), slice(None, -1)),
    (Ellipsis, 0),
    (None, 2, None, slice(0, 1)),
    (Ellipsis, None),
    (1, Ellipsis, 2),
    (np.int64(2), slice(None)),
]


@pytest.mark.parametrize("index", BASIC, ids=str)
def test_read_and_write(rng: np.random.Generator, index: Any) -> None:
    a = rng.standard_normal((4, 5, 3))
    x = torch.tensor(a)
    assert x[index].shape == a[index].shape
    np.testing.assert_array_equal(x[index].numpy(), a[index])
    value = rng.standard_normal(a[index].shape[-1:])
    x[index] = torch.tensor(value)
    a[index] = value
    np.testing.assert_array_equal(x.numpy(), a)
    x[index] *= 2
    a[index] *= 2
    x[index] = 7
    a[index] = 7
    np.testing.assert_array_equal(x.numpy(), a)


PICKED: list[tuple[Any, Any]] = [
    (np.array([2, 0, -1]), ()),
    (np.array([[0, 1], [3, 3]]), ()),
    ((slice(None), np.array([1, 0])), ()),
    ((slice(1, 3), np.array([-1])), ()),
    ((Ellipsis, np.array([2, 2, 0])), ()),
    (np.array([], np.int64), ()),
]


@pytest.mark.parametrize(("index", "_"), PICKED, ids=str)
def test_integer_tensors(rng: np.random.Generator, index: Any, _: Any) -> None:
    a = rng.standard_normal((4, 5, 3))
    x = torch.tensor(a)

    def ours(part: Any) -> Any:
        return torch.tensor(part) if isinstance(part, np.ndarray) else part

    at = tuple(ours(part) for part in index) if isinstance(index, tuple) else ours(index)
    np.testing.assert_array_equal(x[at].numpy(), a[index])
    np.testing.assert_array_equal(x[index].numpy(), a[index])  # NumPy arrays do as well
    value = rng.standard_normal(a[index].shape)
    x[at] = torch.tensor(value)
    a[index] = value  # the last of several writes to one element stays
    np.testing.assert_array_equal(x.numpy(), a)


def test_lists_are_indices() -> None:
    assert torch.arange(5)[[3, 1]].tolist() == [3, 1]


def test_rows_of_a_view(rng: np.random.Generator) -> None:
    a = rng.standard_normal((3, 4))
    x = torch.tensor(a)
    x.T[torch.tensor([1, 3])] = 0
    a[:, [1, 3]] = 0
    np.testing.assert_array_equal(x.numpy(), a)


@pytest.mark.parametrize("value", [2.0, -2.0])
def test_writing_through_the_mask_of_a_single_number(value: float) -> None:
    x = torch.tensor(value)
    x[x > 0.5] = 0.25
    assert x.item() == (0.25 if value > 0.5 else value)
    rows = torch.ones(2, 3)
    rows[x == 0.25] = 3.0
    assert rows.tolist() == [[3.0 if value > 0.5 else 1.0] * 3] * 2


def test_writing_through_masks(rng: np.random.Generator) -> None:
    a = rng.standard_normal((3, 4))
    x = torch.tensor(a)
    x[x > 0] = -1
    a[a > 0] = -1
    x[torch.tensor([True, False, True])] = torch.tensor(5.0)
    a[[0, 2]] = 5
    np.testing.assert_array_equal(x.numpy(), a)


def test_values_are_converted() -> None:
    x = torch.zeros(3, dtype=torch.int64)
    x[0] = 7.9
    assert x.tolist() == [7, 0, 0]


def test_iteration_and_length() -> None:
    x = torch.arange(6).reshape(3, 2)
    assert len(x) == 3
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    "index",
    [
        True,
        False,
        (0, True),
        [True, False, True],
        (slice(None), [True, False]),
        np.array([[True, False], [False, False], [False, True]]),
        range(2),
        (slice(None), (1, 0)),
    ],
    ids=repr,
)
def test_known_masks_and_sequences(index: Any) -> None:
    x = np.random.default_rng(7).normal(size=(3, 2)).astype(np.float32)
    as_numpy = list(index) if isinstance(index, range) else index
    np.testing.assert_array_equal(torch.tensor(x)[index].numpy(), x[as_numpy])
    written, expected = torch.tensor(x), x.copy()
    written[index] = 5.0
    expected[as_numpy] = 5.0
    np.testing.assert_array_equal(written.numpy(), expected)


def test_a_second_ellipsis_covers_no_axis() -> None:
    x = torch.arange(6).reshape(2, 3)
    assert x[..., ...].tolist() == x.tolist()
    assert x[..., 1, ...].tolist() == [1, 4]


def test_errors() -> None:
    x = torch.ones(2, 3)
    for index in (2, -3, (0, 3)):
        with pytest.raises(IndexOutOfRange, match="out of range for axis"):
            x[index]
    with pytest.raises(IndexOutOfRange, match="too many indices"):
        x[0, 0, 0]
    with pytest.raises(IndexOutOfRange, match="a str is no index"):
        x["a"]  # type: ignore[index]
    with pytest.raises(OptionError, match="slices go forward"):
        x[::-1]
    with pytest.raises(IndexOutOfRange, match="holds integers"):
        x[torch.ones(2), 0]
    for mask in ([True, False, True], np.array([[True, False]])):
        with pytest.raises(IndexOutOfRange, match="does not fit the axes"):
            x[mask]
    with pytest.raises(TypeError, match="no length"):
        list(torch.tensor(1.0))
    assert 2 in torch.arange(4)
    assert 5 not in torch.arange(4).reshape(2, 2)
    assert torch.tensor([0.0, 1.0]) in torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    with pytest.raises(TypeError, match="integer tensors of one element"):
        range(5)[torch.tensor([1, 2])]
    with pytest.raises(IndexOutOfRange):
        x[torch.tensor([0]), torch.tensor([3])].numpy()
    with pytest.raises(ShapeError, match="do not broadcast"):
        x[torch.tensor([0, 1]), torch.tensor([0, 1, 2])]
    with pytest.raises(ShapeError, match="only tensor of its index"):
        x[torch.tensor([True, False]), torch.tensor([0])] = 1
    with pytest.raises(ShapeError, match=r"torch\.where"):
        x[x > 0]
    with pytest.raises(IndexOutOfRange, match="does not fit the axes"):
        x[torch.tensor([True, False, True])] = 1
    with pytest.raises(ShapeError, match="value for each selected element"):
        x[x > 0] = torch.ones(6)
    with pytest.raises(ShapeError, match="does not fit into what"):
        x[0] = torch.ones(2, 3)
    with pytest.raises(ShapeError, match="do not broadcast"):
        x[0] = torch.ones(2)
    with pytest.raises(IndexOutOfRange):
        x[torch.tensor([5])].numpy()
    with pytest.raises(IndexOutOfRange, match="out of range for an axis of 2"):
        x[[5]]
    with pytest.raises(TypeError, match="no length"):
        len(torch.tensor(1))
