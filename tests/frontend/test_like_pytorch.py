"""Calls that must end as in PyTorch: the same values, dtypes and shapes, or the same error.

Each is a small mistake, or an option that programs use now and then; the table of functions holds
what can be said in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd

CALLS: dict[str, Callable[[Any], Any]] = {
    "split into listed sizes": lambda t: t.arange(10).split([1, 0, 4, 5]),
    "split into sizes of another axis": lambda t: t.split(t.ones(2, 3), (1, 2), dim=1),
    "split sizes that do not fill": lambda t: t.arange(4).split([1, 2]),
    "split an empty axis by 0": lambda t: t.zeros(0, 2).split(0),
    "split by 0": lambda t: t.zeros(3).split(0),
    "split of a number": lambda t: t.tensor(1.0).split(1),
    "chunk of an empty axis": lambda t: t.zeros(0, 2).chunk(3),
    "chunk of a number": lambda t: t.tensor(1.0).chunk(1),
    "narrow of a number": lambda t: t.tensor(1.0).narrow(0, 0, 1),
    "narrow from outside": lambda t: t.ones(3).narrow(0, 4, 1),
    "narrow too far": lambda t: t.ones(3).narrow(0, 2, 2),
    "transpose of a number": lambda t: t.tensor(1.0).transpose(0, 1),
    "flatten of a number": lambda t: t.tensor(1.0).flatten(1),
    "mean with dtype": lambda t: t.arange(4).mean(dtype=t.float64),
    "mean along with dtype": lambda t: t.mean(t.ones(2, 3), 1, keepdim=True, dtype=t.float16),
    "NumPy's names": lambda t: t.ones(2, 3).sum(axis=1, keepdims=True),
    "NumPy's names in functions": lambda t: t.max(t.arange(6).reshape(2, 3), axis=0)[0],
    "NumPy's name in cat": lambda t: t.cat((t.ones(2, 1), t.zeros(2, 2)), axis=1),
    "NumPy's name in stack": lambda t: t.stack((t.ones(2), t.zeros(2)), axis=-1),
    "NumPy's name beside PyTorch's": lambda t: t.ones(2, 3).sum(dim=1, axis=1),
    "input by name": lambda t: t.cumsum(input=t.ones(3), dim=0),
    "no input": lambda t: t.sum(),
    "rounded to digits": lambda t: t.tensor([1.234, -15.672]).round(decimals=1),
    "rounded to tens": lambda t: t.round(t.tensor([1234.0, 15.0]), decimals=-1),
    "numbers of tensors": lambda t: t.tensor([t.tensor(1.5), t.tensor(2.0)]),
    "numbers of tracked tensors": lambda t: t.tensor([t.ones((), requires_grad=True) * 2, 3.0]),
    "softmax of a matrix without dim": lambda t: t.nn.functional.softmax(t.eye(3)[:2]),
    "log_softmax of rank 3 without dim": lambda t: t.nn.functional.log_softmax(t.ones(2, 3, 1)),
    "softmax in a dtype": lambda t: t.nn.functional.softmax(t.eye(3), dim=-1, dtype=t.float64),
    "mean of integers": lambda t: t.arange(4).mean(),
    "mean as integers": lambda t: t.ones(4).mean(dtype=t.int64),
    "prod with dtype": lambda t: t.arange(1, 4).prod(dtype=t.float32),
    "prod along with dtype": lambda t: t.prod(t.ones(2, 3), 1, dtype=t.int32),
    "logsumexp of integers": lambda t: t.arange(6).reshape(2, 3).logsumexp(1),
    "max of bools": lambda t: t.tensor([True, False]).max(),
    "min of bools": lambda t: t.tensor([True, False]).min(),
    "amin of bools": lambda t: t.tensor([[True, False], [True, True]]).amin(1),
    "aminmax of bools": lambda t: tuple(t.tensor([True, False]).aminmax()),
    "sign of bools": lambda t: t.tensor([True, False]).sign(),
    "square of bools": lambda t: t.tensor([True, False]).square(),
    "bool minus bool": lambda t: t.tensor([True]) - t.tensor([False]),
    "1 minus bool": lambda t: 1 - t.tensor([True]),
    "plus": lambda t: +t.tensor([1.0, -2.0]),
    "2 to the integers": lambda t: 2 ** t.arange(70),
    "-1 to the integers": lambda t: t.pow(-1, t.arange(-3, 4)),
    "integers to the integers": lambda t: t.arange(-3, 4).reshape(7, 1) ** t.arange(-2, 9),
    "bytes to the bytes": lambda t: t.arange(7, dtype=t.uint8) ** t.arange(7, dtype=t.uint8),
    "integers to floats": lambda t: t.arange(4) ** t.tensor(0.5),
    "a matrix times a number": lambda t: t.ones(2, 2) @ 2,
    "a number times a matrix": lambda t: 2 @ t.ones(2, 2),
    "to a device in a dtype": lambda t: t.ones(2).to("cpu", t.float64),
    "to a dtype as a copy": lambda t: t.ones(2).to(t.float32, copy=True),
    "to a device, not blocking": lambda t: t.ones(2).to("cpu", non_blocking=True),
    "written through an axis expanded to 1": lambda t: t.zeros(1, 2).expand(1, 2).add_(1),
    "written through nothing": lambda t: t.zeros(1, 0).expand(3, 0).add_(1),
    "written where elements share memory": lambda t: t.zeros(1, 2).expand(3, 2).add_(1),
    "iteration over a number": lambda t: list(t.tensor(1.0)),
    "a float as index": lambda t: [1, 2][t.tensor(1.0)],
    "an integer as index": lambda t: [1, 2][t.tensor([[1]])],
    "a float tensor in brackets": lambda t: t.ones(3)[t.ones(2)],
}


def _check(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            _check(mine, other)
    elif hasattr(theirs, "detach"):
        assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]
        assert ours.shape == tuple(theirs.shape)
        actual, expected = (np.asarray(x.detach().tolist()) for x in (ours, theirs))
        if actual.dtype.kind == "f":
            np.testing.assert_allclose(actual, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(actual, expected)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", CALLS)
def test_ends_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    call = CALLS[name]
    try:
        expected = call(torch)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        kind = RuntimeError if isinstance(error, NotImplementedError) else type(error)
        with pytest.raises(kind):
            call(picograd)
        return
    _check(call(picograd), expected)


def test_flatten_of_a_vector_is_the_vector() -> None:
    x = picograd.ones(3, requires_grad=True)
    assert x.flatten() is x
