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
