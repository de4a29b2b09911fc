"""Calls like the one before are recognized by a few comparisons; whatever differs is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.frontend.tracing import compiled as compiled_calls

Pair = tuple[torch.Tensor, torch.Tensor]


def pair(rng: np.random.Generator) -> Pair:
    first, second = rng.standard_normal((2, 3, 3), np.float32)
    return torch.tensor(first), torch.tensor(second)


def test_calls_alike_are_not_taken_apart(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []
    take_apart = compiled_calls.take_apart

    def counted(arguments: dict[str, object]) -> object:
        taken.append(arguments)
        return take_apart(arguments)

    monkeypatch.setattr(compiled_calls, "take_apart", counted)
    compiled = torch.compile(lambda a, b: a @ b + 1)
    for _ in range(4):
        a, b = pair(rng)
        expected = a.numpy() @ b.numpy() + 1
        np.testing.assert_allclose(compiled(a, b).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert len(taken) == 1 and len(compiled.recompilations) == 1
    compiled(a, b.T)
    compiled(a, b.T)
    assert len(taken) == 2 and len(compiled.recompilations) == 2


VARIANTS: dict[str, Callable[[torch.Tensor, torch.Tensor], Pair]] = {
    "one tensor twice": lambda a, b: (a, a),
    "two views of one storage": lambda a, b: (a, a.T),
    "another view": lambda a, b: (a.T, b),
    "another shape": lambda a, b: (a[:1] * 1, b),
    "another dtype": lambda a, b: (a.double(), b.double()),
    "a gradient": lambda a, b: (a.detach().requires_grad_(), b),
    "something computed with a gradient": lambda a, b: (a.detach().requires_grad_() * 1, b),
}


@pytest.mark.parametrize("what", VARIANTS)
def test_what_differs_is_seen(what: str, rng: np.random.Generator) -> None:
    compiled = torch.compile(lambda a, b: (a @ b) * 2)
    a, b = pair(rng)
    compiled(a, b)
    x, y = VARIANTS[what](a, b)
    for _ in range(2):
        found = compiled(x, y)
        expected = (x @ y) * 2
        assert found.dtype == expected.dtype and found.requires_grad == expected.requires_grad
        np.testing.assert_allclose(
            found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6
        )
        again = compiled(a, b).numpy()
        np.testing.assert_allclose(again, 2 * (a.numpy() @ b.numpy()), rtol=1e-5, atol=1e-6)


LAST: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "another view": lambda a: a.T,
    "another shape": lambda a: a[:1] * 1,
    "another dtype": lambda a: a.double(),
    "a gradient": lambda a: a.detach().requires_grad_(),
    "a subclass": lambda a: torch.nn.Parameter(a, requires_grad=False),
    "memory shared with NumPy": lambda a: torch.from_numpy(a.numpy()),
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("what", LAST)
def test_what_differs_in_the_last_argument_is_seen(
    what: str, count: int, rng: np.random.Generator
) -> None:
    def function(*tensors: torch.Tensor) -> torch.Tensor:
        return sum(tensors[:-1], tensors[-1] * 2)

    functions: dict[int, Callable[..., Any]] = {
        1: lambda a: function(a),
        2: lambda a, b: function(a, b),
        3: lambda a, b, c: function(a, b, c),
    }
    compiled: Any = torch.compile(functions[count])
    tensors = [torch.tensor(rng.standard_normal((3, 3), np.float32)) for _ in range(count)]
    compiled(*tensors)
    changed = [*tensors[:-1], LAST[what](tensors[-1])]
    for _ in range(2):
        for given in (changed, tensors):
            found, expected = compiled(*given), function(*given)
            assert found.dtype == expected.dtype and found.shape == expected.shape
            assert found.requires_grad == expected.requires_grad
            np.testing.assert_allclose(
                found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6
            )


def test_numbers_among_tensors_may_change_but_not_their_class(rng: np.random.Generator) -> None:
    compiled = torch.compile(lambda a, x, b, y: a * x + b * y)
    a, b = pair(rng)
    given: list[tuple[Any, Any]] = [
        *((2.5, 1.5), (-0.0, 0.5), (3.5, 2), (3.5, 3), (2, 2.5), (True, 2), (np.float64(1.5), 2.5)),
        *((False, 2), (torch.tensor(2.0), 3), (4, torch.tensor(0.5)), (2.5, 1.5)),
    ]
    for x, y in given:
        for _ in range(3):
            found, expected = compiled(a, x, b, y), a * x + b * y
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert str(torch.compile(lambda x: x * 2.0)(-0.0)) == str(torch.tensor(-0.0))


def test_only_numbers(rng: np.random.Generator) -> None:
    weight = torch.tensor(rng.standard_normal(3))
    compiled = torch.compile(lambda x: weight * x)
    for x in (2.5, 3.5, 2, 4, 2.5):
        assert compiled(x).tolist() == (weight * x).tolist()


def test_modes_and_traces_are_seen(rng: np.random.Generator) -> None:
    compiled = torch.compile(lambda a, b: a @ b + 1)
    a, b = pair(rng)
    expected = a.numpy() @ b.numpy() + 1
    compiled(a, b)
    for mode in ("graph", "cached", "compiled"):
        with torch.set_mode(mode):
            np.testing.assert_allclose(compiled(a, b).numpy(), expected, rtol=1e-5, atol=1e-6)
    around = torch.compile(lambda a, b: compiled(a, b) * 2)
    np.testing.assert_allclose(around(a, b).numpy(), 2 * expected, rtol=1e-5, atol=1e-6)
    assert [len(function.recompilations) for function in (compiled, around)] == [2, 1]


def test_numbers_words_and_what_is_closed_over_are_seen(rng: np.random.Generator) -> None:
    scale = [2.0]

    def function(a: torch.Tensor, b: torch.Tensor, shift: float = 0.0) -> torch.Tensor:
        return a * scale[0] + b + shift

    compiled = torch.compile(function)
    a, b = pair(rng)
    for factor in (2.0, 3.0):
        scale[0] = factor
        for shift in (0.0, 1.5, -1.0):
            found = compiled(a, b, shift) if shift else compiled(a, b)
            expected = a.numpy() * factor + b.numpy() + shift
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
        swapped = compiled(b=a, a=b).numpy()
        expected = b.numpy() * factor + a.numpy()
        np.testing.assert_allclose(swapped, expected, rtol=1e-5, atol=1e-6)


def test_a_switch_for_gradients_is_seen(rng: np.random.Generator) -> None:
    weight = torch.tensor(rng.standard_normal((3, 3), np.float32)).requires_grad_()
    compiled = torch.compile(lambda a, b: a @ weight + b)
    a, b = pair(rng)
    assert compiled(a, b).requires_grad
    with torch.no_grad():
        assert not compiled(a, b).requires_grad
    assert compiled(a, b).requires_grad
