"""What picks and writes by index: values stand in the table of functions; here is the rest."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import (
    AxisError,
    DTypeError,
    IndexOutOfRange,
    OptionError,
    ShapeError,
)

X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("include_self", [False, True])
def test_scatter_reduce(reduce: str, include_self: bool) -> None:
    x, index, src = torch.tensor([10.0, 20.0, 30.0]), torch.tensor([0, 0, 2]), torch.ones(3)
    found = x.scatter_reduce(0, index, src, reduce, include_self=include_self)
    total = [10.0 + 2, 20.0, 30.0 + 1] if include_self else [2.0, 20.0, 1.0]
    count = [3, 1, 2] if include_self else [2, 1, 1]
    expected = total if reduce == "sum" else np.divide(total, count)
    np.testing.assert_allclose(found.numpy(), expected)


def test_gradients_of_duplicates_add_up() -> None:
    x = torch.tensor(X, requires_grad=True)
    x[[0, 0, 1], [2, 2, 0]].sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[0, 0, 2], [1, 0, 0]]


def test_what_the_data_decides_is_refused() -> None:
    x = torch.tensor(X)
    for call in (
        lambda: x.nonzero(),
        lambda: x.masked_select(x > 2),
        lambda: torch.where(x > 2),
        lambda: x[x > 2],
        lambda: x.repeat_interleave(torch.tensor([1, 2]), 0),
    ):
        with pytest.raises(ShapeError) as raised:
            call()
        assert raised.value.hint


def test_known_masks_read() -> None:
    x = torch.tensor(X)
    assert x[[True, False]].tolist() == [X[0]]
    assert x[:, np.array([True, False, True])].tolist() == [[1, 3], [4, 6]]
    assert x[np.array(X) > 4].tolist() == [5, 6]


def test_errors() -> None:
    x, index = torch.tensor(X), torch.tensor([[0, 1]])
    with pytest.raises(ShapeError, match="larger than a tensor"):
        x.gather(0, torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="larger than a tensor"):
        x.scatter(0, index, torch.ones(1, 1))
    with pytest.raises(DTypeError, match="has the tensor's dtype"):
        x.scatter(0, index, torch.tensor([[1, 2]]))
    with pytest.raises(OptionError, match="does not combine"):
        x.scatter(0, index, 1.0, reduce="add")
    with pytest.raises(OptionError, match="does not combine by 'amax'"):
        x.scatter_reduce(0, index, torch.ones(1, 2), "amax")
    with pytest.raises(AxisError, match="index of one axis"):
        x.index_add(0, index, torch.ones(1, 3))
    with pytest.raises(ShapeError, match="one slice for each index"):
        x.index_copy(0, torch.tensor([0]), torch.ones(2, 3))
    with pytest.raises(IndexOutOfRange):
        x.index_fill(0, torch.tensor([2]), 1.0).numpy()
    with pytest.raises(IndexOutOfRange):
        torch.nn.functional.one_hot(torch.tensor([3]), 3).numpy()
    with pytest.raises(OptionError, match="not rectangular"):
        x[[[0, 1], [0]]]


@pytest.mark.parametrize("name", ["scatter", "scatter_add", "scatter_reduce", "index_put"])
@pytest.mark.parametrize("count", [0, 1])
def test_an_axis_without_elements_takes_no_index(name: str, count: int) -> None:
    """As in PyTorch, which looks at the indices even then; the devices have nothing to run."""

    def call(x: torch.Tensor) -> torch.Tensor:
        if name == "index_put":
            x[torch.tensor([2] * count, dtype=torch.int64)] = 1.0
            return x
        index = torch.zeros(count, 3, dtype=torch.int64)
        more = ("sum",) if name == "scatter_reduce" else ()
        return getattr(x, name)(0, index, torch.ones(count, 3), *more)

    x = torch.zeros(0, 3)
    if not count:
        assert call(x).shape == (0, 3)
        return
    with pytest.raises(IndexOutOfRange, match="without elements") as raised:
        call(x)
    assert raised.value.hint


def test_rows_without_elements_take_any_index() -> None:
    """No element is written, so none is looked for; so it is in PyTorch."""
    x = torch.zeros(4, 0)
    x[torch.tensor([9])] = 1.0
    assert x.shape == (4, 0)
    added = torch.zeros(0, 3).index_add(0, torch.tensor([2]), torch.ones(1, 3))
    assert added.shape == (0, 3)
