"""vmap: where the batch comes from and goes to, random numbers, and what cannot be mapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import func
from picograd.errors import AxisError, OptionError, ShapeError, TraceError

X = np.arange(12.0).reshape(3, 4)


def test_the_batch_may_stand_anywhere() -> None:
    x = torch.tensor(X)
    for axis, out in ((0, 0), (1, 0), (-1, 1), (-2, -1)):
        mapped = func.vmap(lambda v: v * 2 + torch.arange(v.shape[0]), in_dims=axis, out_dims=out)
        rows = np.moveaxis(X, axis, 0)
        expected = np.stack([row * 2 + np.arange(row.size) for row in rows])
        np.testing.assert_array_equal(mapped(x).numpy(), np.moveaxis(expected, 0, out))


def test_scalars_empty_batches_and_integers() -> None:
    assert func.vmap(lambda x: x * 2)(torch.tensor([1, 2])).tolist() == [2, 4]
    assert func.vmap(lambda x: x.sum())(torch.zeros(0, 3)).shape == (0,)
    assert func.vmap(lambda x: x.sum())(torch.zeros(2, 0)).tolist() == [0, 0]


def test_arguments_without_a_batch() -> None:
    x = torch.tensor(X)
    mapped = func.vmap(lambda state, v, n: (v @ state["w"]) * n, in_dims=(None, 0, None))
    w = torch.tensor(X[:, :2].T.repeat(2, 0))
    np.testing.assert_allclose(mapped({"w": w}, x, 3).numpy(), X @ w.numpy() * 3)
    keyword = func.vmap(lambda v, *, shift: v + shift)
    assert keyword(x, shift=x[0]).shape == (3, 4)


def test_functions_of_views_and_changes_in_place() -> None:
    def function(v: torch.Tensor) -> torch.Tensor:
        table = torch.zeros(2, 4, dtype=torch.float64)
        table[1] = v[1:].flip(0).reshape(3).sum()
        table = table + v
        table[:, ::2] *= -1
        return table.T.reshape(-1)[1:]

    expected = np.stack([function(torch.tensor(row)).numpy() for row in X])
    np.testing.assert_array_equal(func.vmap(function)(torch.tensor(X)).numpy(), expected)


def test_different_and_same_random_numbers(device: str) -> None:
    x = torch.zeros(4, 3)

    def noisy(v: torch.Tensor) -> torch.Tensor:
        return v + torch.randn(3)

    torch.manual_seed(1)
    different = func.vmap(noisy, randomness="different")
    first = different(x)
    rows = first.tolist()
    assert all(rows[0] != row for row in rows[1:])
    assert first.tolist() != different(x).tolist()
    torch.manual_seed(1)
    np.testing.assert_allclose(
        torch.compile(different)(x).numpy(), first.numpy(), rtol=1e-4, atol=1e-5
    )
    same = func.vmap(noisy, randomness="same")(x).tolist()
    assert all(same[0] == row for row in same)


def test_nested_random_numbers() -> None:
    def noisy(v: torch.Tensor) -> torch.Tensor:
        return v + torch.rand(2)

    inner = func.vmap(noisy, randomness="different")
    numbers = func.vmap(inner, randomness="different")(torch.zeros(3, 4, 2)).numpy()
    assert len(np.unique(numbers)) == 24
    numbers = func.vmap(inner, randomness="same")(torch.zeros(3, 4, 2)).numpy()
    assert len(np.unique(numbers)) == 8


def test_values_that_are_no_batch_can_be_looked_at() -> None:
    def function(v: torch.Tensor) -> torch.Tensor:
        weight = torch.ones(3).sum()
        return v * 2 if weight > 2 else v

    assert func.vmap(function)(torch.ones(2)).tolist() == [2, 2]
    assert repr(func.vmap(lambda v: (repr(v), v)[1])(torch.ones(2))) == "tensor([1., 1.])"


def vmapped(function: Callable[..., Any], *args: Any, **options: Any) -> Callable[[], Any]:
    return lambda: func.vmap(function, **options)(*args)


def captured() -> Callable[[], Any]:
    total = torch.zeros(4)
    return vmapped(lambda v: total.add_(v), torch.ones(3, 4))


def captured_grad() -> Callable[[], Any]:
    total = torch.zeros(4)

    def function(v: torch.Tensor) -> torch.Tensor:
        total.grad = v
        return v

    return vmapped(function, torch.ones(3, 4))


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a branch": (
        vmapped(lambda v: v if v.sum() > 0 else -v, torch.ones(3, 4)),
        TraceError,
        r"bool\(\) of a tensor inside vmap",
    ),
    "item": (vmapped(lambda v: v.sum().item(), torch.ones(3, 4)), TraceError, r"item\(\)"),
    "no tensor comes out": (vmapped(lambda v: 3.0, torch.ones(3)), OptionError, "returns tensors"),
    "other sizes": (
        vmapped(lambda a, b: a, torch.ones(2), torch.ones(3)),
        ShapeError,
        "different sizes",
    ),
    "no such axis": (vmapped(lambda v: v, torch.ones(3), in_dims=1), AxisError, "names axis 1"),
    "a scalar": (vmapped(lambda v: v, torch.tensor(1.0)), AxisError, "names axis 0"),
    "a number": (vmapped(lambda a, n: a, torch.ones(3), 2), OptionError, "input 1, which is no t"),
    "a word": (vmapped(lambda v: v, torch.ones(3), in_dims="x"), OptionError, "other than axes"),
    "nothing mapped": (
        vmapped(lambda v: v, torch.ones(3), in_dims=None),
        OptionError,
        "no input is mapped",
    ),
    "no arguments": (vmapped(lambda: torch.ones(1)), OptionError, "no input is mapped"),
    "structure of in_dims": (
        vmapped(lambda v: v, torch.ones(3), in_dims=(0, 0)),
        OptionError,
        "in_dims is not structured",
    ),
    "structure of out_dims": (
        vmapped(lambda v: v, torch.ones(3), out_dims=(0, 0)),
        OptionError,
        "out_dims is not structured",
    ),
    "no such axis of the output": (
        vmapped(lambda v: v, torch.ones(3), out_dims=1),
        AxisError,
        "out_dims names no axis",
    ),
    "a batch without an axis": (
        vmapped(lambda v: v, torch.ones(3), out_dims=None),
        OptionError,
        "differs between examples",
    ),
    "random numbers": (
        vmapped(lambda v: v + torch.rand(1), torch.ones(3)),
        OptionError,
        "random function is called inside vmap",
    ),
    "unknown randomness": (
        lambda: func.vmap(torch.exp, randomness="some"),
        OptionError,
        "unknown randomness",
    ),
    "chunk size": (lambda: func.vmap(torch.exp, chunk_size=0), OptionError, "number of examples"),
    "a change of an argument": (
        vmapped(lambda v: v.add_(1), torch.ones(3)),
        TraceError,
        "an argument is changed in place by a function under vmap",
    ),
    "a change of a captured tensor": (captured(), TraceError, "a captured tensor is changed"),
    "a gradient of a captured tensor": (captured_grad(), TraceError, "a captured tensor is chang"),
    "shapes of examples": (
        vmapped(lambda v: v @ torch.ones(3), torch.ones(2, 4)),
        ShapeError,
        "inner sizes differ",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do_and_where(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert caught.value.hint  # type: ignore[attr-defined]
    assert "test_vmap.py" in str(caught.value)
    assert torch.ones(2).add_(1).tolist() == [2, 2]  # no level is left behind
