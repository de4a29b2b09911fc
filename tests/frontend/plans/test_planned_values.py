"""Functions without operands: small constants are kept, and random numbers drawn, as if anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.frontend.modes.mode import op_by_op
from picograd.frontend.plans.program import PlanProgram
from tests.frontend.plans.conftest import Counted

MADE: dict[str, Callable[[], torch.Tensor]] = {
    "zeros": lambda: torch.zeros(2, 3),
    "ones": lambda: torch.ones((2, 3), dtype=torch.int64),
    "full": lambda: torch.full((2, 2), 0.5),
    "empty": lambda: torch.empty(3),
    "eye": lambda: torch.eye(3),
    "arange": lambda: torch.arange(2, 7, 2),
    "linspace": lambda: torch.linspace(-1, 1, 5),
    "logspace": lambda: torch.logspace(0, 2, 3),
    "like": lambda: torch.zeros_like(torch.ones(2, 2)),
    "like a view": lambda: torch.full_like(torch.ones(2, 3).T, 2.5, dtype=torch.float64),
    "new": lambda: torch.ones(3).new_full((2, 1), 4),
}
DRAWN: dict[str, Callable[[], torch.Tensor]] = {
    "rand": lambda: torch.rand(3, 5),
    "rand, half": lambda: torch.rand(7, dtype=torch.float16),
    "randn": lambda: torch.randn(4, 3),
    "randint": lambda: torch.randint(-3, 9, (11,)),
    "randperm": lambda: torch.randperm(10),
    "bernoulli": lambda: torch.bernoulli(torch.full((6,), 0.5)),
    "dropout": lambda: torch.nn.functional.dropout(torch.ones(4, 4), 0.4),
    "normal_": lambda: torch.zeros(5).normal_(1.0, 2.0),
    "uniform_": lambda: torch.zeros(4, 2)[:, 1].uniform_(-1, 3),
    "normal_, plain": lambda: torch.zeros(5).normal_(),
    "normal_, half": lambda: torch.zeros(5, dtype=torch.float16).normal_(std=3.0),
    "exponential_": lambda: torch.zeros(5).exponential_(1.5),
    "bernoulli_": lambda: torch.zeros(9, dtype=torch.int64).bernoulli_(0.4),
    "bernoulli of one p": lambda: torch.bernoulli(torch.ones(9), 0.4),
    "bernoulli, recorded": lambda: torch.bernoulli(torch.full((6,), 0.5).requires_grad_()),
    "rand_like": lambda: torch.rand_like(torch.zeros(2, 3), dtype=torch.float64),
    "randn_like a view": lambda: torch.randn_like(torch.zeros(2, 3).T),
    "nothing": lambda: torch.rand(0, 3),
}


@pytest.fixture(autouse=True, params=["cpu", "reference"])
def _on_devices(  # pyright: ignore[reportUnusedFunction]
    on_the_cpu: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    torch.set_default_device(request.param)
    yield


@pytest.mark.parametrize("name", MADE)
def test_a_kept_constant_is_nobodys_to_change(name: str) -> None:
    make = MADE[name]
    with op_by_op():
        expected = make().tolist()

    def unchanged() -> None:
        again = make()
        assert again.tolist() == expected and not again.requires_grad and again._version == 0

    changes: list[Callable[[torch.Tensor], Any]] = [
        lambda x: x.add_(1),
        lambda x: x.__setitem__(0, 5),
        lambda x: x.numpy().fill(7),
        lambda x: torch.compile(lambda given: given.mul_(3).add_(1))(x),
        lambda x: x.requires_grad_() if x.dtype.is_float else None,
    ]
    for change in changes:
        unchanged()
        change(make())
        unchanged()
    first, second = make(), make()
    first.sub_(1)
    assert second.tolist() == expected


def test_constants_are_told_apart() -> None:
    assert torch.zeros(2).dtype is torch.float32
    assert torch.zeros(2, dtype=torch.int64).dtype is torch.int64
    assert torch.full((2,), 1).dtype is torch.int64 and torch.full((2,), 1.0).dtype is torch.float32
    assert torch.full((2,), True).dtype is torch.bool
    assert str(torch.full((1,), -0.0).tolist()) == "[-0.0]"
    assert torch.full((1,), 0.0).tolist() == [0.0]
    assert torch.zeros(2, requires_grad=True).requires_grad and not torch.zeros(2).requires_grad
    for device in ("reference", "cpu", "reference"):
        assert torch.eye(2, device=device).device == device
        torch.set_default_device(device)
        assert torch.eye(2).device == device


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_bits_are_drawn_as_op_by_op(name: str) -> None:
    def run() -> list[Any]:
        torch.manual_seed(2**40 + 7)
        drawn = [DRAWN[name]().tolist() for _ in range(4)]
        return [*drawn, torch.rand(2).tolist()]  # the generator has moved on as far

    with op_by_op():
        expected = run()
    assert run() == expected and run() == expected
    assert expected[0] != expected[1] or name == "nothing"


def test_a_generator_of_ones_own(counted: Counted) -> None:
    first, second = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    before = torch.rand(5, generator=first).tolist()
    before_draws = counted.made
    assert torch.rand(5, generator=second).tolist() == before
    assert torch.rand(5, generator=first).tolist() != before
    assert counted.made == before_draws  # a second draw of the same kind makes nothing


def test_fills_are_told_apart() -> None:
    generator = torch.Generator()

    def filled(x: torch.Tensor, *args: float) -> Any:
        generator.manual_seed(11)
        for _ in range(2):
            x.normal_(*args, generator=generator)
        return x.tolist()

    expected = filled(torch.zeros(4))
    assert filled(torch.zeros(4), 0.0, 1.0) == expected
    assert filled(torch.zeros(4), 0, 2) == [2 * x for x in expected]
    whole = torch.zeros(4, 2)
    column = whole[:, 0]
    assert filled(column) == expected and whole[:, 1].tolist() == [0.0] * 4
    shared = np.zeros(4, np.float32)
    assert filled(torch.from_numpy(shared)) == expected and shared.tolist() == expected
    double = torch.zeros(4, dtype=torch.float64)
    assert filled(double) == expected and double.dtype is torch.float64
    with pytest.raises(torch.errors.DTypeError):
        filled(torch.zeros(4, dtype=torch.int64))
    weight = torch.zeros(4, requires_grad=True)
    with pytest.raises(torch.errors.GradientError):
        weight.normal_()
    with torch.no_grad():
        assert filled(weight) == expected
    compiled = torch.compile(lambda x: x.clone().normal_(generator=generator))
    generator.manual_seed(11)
    compiled(torch.zeros(4))
    assert compiled(torch.zeros(4)).tolist() == expected


def test_what_is_made_like_another_is_told_apart() -> None:
    x, y = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64)
    for _ in range(3):
        assert torch.zeros_like(x).dtype is torch.float32
        assert torch.zeros_like(y).dtype is torch.int64
        assert torch.zeros_like(x[0]).shape == (3,)
        assert torch.zeros_like(x, requires_grad=True).requires_grad
        assert not torch.zeros_like(x).requires_grad
        assert str(torch.full_like(x[0, 0], -0.0).item()) == "-0.0"
        assert str(torch.full_like(x[0, 0], 0.0).item()) == "0.0"
        assert torch.rand_like(x).shape == (2, 3) and torch.rand_like(x).device == x.device
        assert x.new_zeros(2).dtype is torch.float32 and y.new_zeros(2).dtype is torch.int64
    inside = torch.compile(lambda x: torch.ones_like(x) + torch.rand_like(x))
    assert inside(x).shape == (2, 3)
    with pytest.raises(torch.errors.PicogradError):
        torch.zeros_like(3.0)  # pyright: ignore[reportArgumentType]


def test_checked_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2, 9).tolist()
    monkeypatch.setenv("PICOGRAD_SANITIZE", "1")
    torch.manual_seed(5)
    np.testing.assert_array_equal(torch.rand(2, 9).tolist(), expected)


def test_checked_draws_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_SANITIZE", "1")
    torch.manual_seed(5)
    expected = torch.rand(2, 11).tolist()
    monkeypatch.setattr(PlanProgram, "__init__", lambda *_: pytest.fail("made again"))
    torch.manual_seed(5)
    assert torch.rand(2, 11).tolist() == expected
