"""Learning rates of all schedulers against PyTorch's, and in compiled steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import picograd as torch
from picograd import optim
from picograd.errors import OptionError, TraceError

Make = Callable[[Any, Any], Any]

CASES: dict[str, Make] = {
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multi step": lambda s, o: s.MultiStepLR(o, [2, 5, 5], 0.5),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "linear": lambda s, o: s.LinearLR(o, 0.1, 0.8, 6),
    "polynomial": lambda s, o: s.PolynomialLR(o, 7, 2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 5, 0.01),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "equal restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4),
    "lambda": lambda s, o: s.LambdaLR(o, lambda step: 1 / (1 + step)),
    "one cycle": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=13),
    "one cycle in lines": lambda s, o: s.OneCycleLR(
        o, 1.0, epochs=3, steps_per_epoch=5, anneal_strategy="linear", three_phase=True
    ),
    "one after another": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingLR(o, 8)], [4]
    ),
}


def rates(library: Any, name: str) -> list[tuple[float, float]]:
    """Learning rate and momentum, before each of 13 steps."""
    parameter = library.ones(1, requires_grad=True)
    optimizer = library.optim.SGD([parameter], lr=0.4, momentum=0.9)
    scheduler = CASES[name](library.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(12):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [optimizer.param_groups[0]["lr"]]
    return [*found, (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"])]


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_pytorch(name: str) -> None:
    theirs = pytest.importorskip("torch", reason="the rates are compared with PyTorch's")
    for ours, expected in zip(rates(torch, name), rates(theirs, name), strict=True):
        assert ours == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_rates_without_pytorch() -> None:
    assert [rate for rate, _ in rates(torch, "step")][:7] == pytest.approx(
        [0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1]
    )


@pytest.mark.parametrize(("mode", "threshold_mode"), [("min", "rel"), ("max", "abs")])
def test_plateau_is_that_of_pytorch(mode: str, threshold_mode: str) -> None:
    theirs = pytest.importorskip("torch", reason="the rates are compared with PyTorch's")
    metrics = [1.0, 0.9, 0.9, 0.91, 0.9, 0.9, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]

    def run(library: Any) -> list[float]:
        optimizer = library.optim.SGD([library.ones(1, requires_grad=True)], lr=0.4)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, 1, 0.01, threshold_mode, 1, 0.06
        )
        found = []
        for metric in metrics:
            scheduler.step(library.tensor(metric))
            found.append(optimizer.param_groups[0]["lr"])
        return found

    assert run(torch) == pytest.approx(run(theirs))


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
def test_a_compiled_step_is_compiled_once(make: Any) -> None:
    """Though the learning rate and the momentum change at every step."""
    settings: dict[str, Any] = {"lr": 0.1} | ({"momentum": 0.9} if make is optim.SGD else {})
    values = []
    for compiled in (False, True):
        p = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimizer = make([p], **settings)
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=10)

        def step(p: torch.Tensor = p, optimizer: Any = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            loss = p.square().sum()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if compiled else step
        for _ in range(8):
            function()
            scheduler.step()
        values.append(p.tolist())
        if isinstance(function, torch.CompiledFunction):
            assert len(function.recompilations) == 1
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_state_goes_round() -> None:
    def make() -> Any:
        optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=0.4)
        return CASES["one after another"](optim.lr_scheduler, optimizer)

    first, second = make(), make()
    for _ in range(6):
        first.step()
    second.load_state_dict(first.state_dict())
    for scheduler in (first, second):
        scheduler.step()
    assert first.get_last_lr() == second.get_last_lr()
    lambdas = CASES["lambda"](optim.lr_scheduler, first.optimizer)
    assert "lr_lambdas" not in lambdas.state_dict()


def test_errors() -> None:
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=0.4)
    s = optim.lr_scheduler
    wrong: list[Callable[[], object]] = [
        lambda: s.StepLR(optimizer, 0),
        lambda: s.ConstantLR(optimizer, 2.0),
        lambda: s.LinearLR(optimizer, 0.0),
        lambda: s.CosineAnnealingLR(optimizer, 0),
        lambda: s.CosineAnnealingWarmRestarts(optimizer, 0),
        lambda: s.LambdaLR(optimizer, []),
        lambda: s.OneCycleLR(optimizer, 1.0),
        lambda: s.OneCycleLR(optim.Adagrad(optimizer.param_groups[0]["params"]), 1.0, 5),
        lambda: s.SequentialLR(optimizer, [s.StepLR(optimizer, 1)], [3]),
        lambda: s.ReduceLROnPlateau(optimizer, factor=1.5),
        lambda: s.StepLR(optim.SGD(optimizer.param_groups[0]["params"]), 1, last_epoch=3),
    ]
    for make in wrong:
        with pytest.raises(OptionError, match="does not work with these settings"):
            make()
    once = s.OneCycleLR(optimizer, 1.0, total_steps=2, cycle_momentum=False)
    once.step()
    once.step()
    with pytest.raises(OptionError, match="does not work"):
        once.step()
    with pytest.raises(TraceError, match="would run only once"):
        torch.compile(once.step)()
