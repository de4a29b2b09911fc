"""Optimizers against NumPy versions of PyTorch's formulas, eagerly and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn, optim
from picograd.errors import OptionError

State = dict[str, Any]
Rule = Callable[[np.ndarray, np.ndarray, State], np.ndarray]


def sgd(lr: float, momentum: float = 0, decay: float = 0, nesterov: bool = False) -> Rule:
    def rule(p: np.ndarray, g: np.ndarray, state: State) -> np.ndarray:
        g = g + decay * p
        if momentum:
            state["buffer"] = momentum * state["buffer"] + g if "buffer" in state else g
            g = g + momentum * state["buffer"] if nesterov else state["buffer"]
        return p - lr * g

    return rule


def adam(lr: float, decay: float = 0, decoupled: bool = False) -> Rule:
    b1, b2, eps = 0.9, 0.999, 1e-8

    def rule(p: np.ndarray, g: np.ndarray, state: State) -> np.ndarray:
        if decoupled:
            p = p * (1 - lr * decay)
        else:
            g = g + decay * p
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
        v = state["v"] = b2 * state.get("v", 0) + (1 - b2) * g * g
        return p - lr / (1 - b1**t) * m / (np.sqrt(v) / np.sqrt(1 - b2**t) + eps)

    return rule


Make = Callable[[Sequence[torch.Tensor]], optim.Optimizer]

CASES: dict[str, tuple[Make, Rule]] = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), sgd(0.1)),
    "momentum": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), sgd(0.1, 0.9)),
    "decay": (lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.1), sgd(0.1, 0.9, 0.1)),
    "nesterov": (lambda p: optim.SGD(p, 0.1, 0.9, nesterov=True), sgd(0.1, 0.9, 0, True)),
    "adam": (lambda p: optim.Adam(p, lr=0.01), adam(0.01)),
    "adam decay": (lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1), adam(0.01, 0.1)),
    "adamw": (lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1), adam(0.01, 0.1, True)),
}


THEIRS: dict[str, Callable[[Any, Any], Any]] = {
    "dampening": lambda o, p: o.SGD(p, 0.1, 0.9, 0.5, 0.1),
    "maximize": lambda o, p: o.SGD(p, 0.01, 0.5, maximize=True),
    "amsgrad": lambda o, p: o.Adam(p, 0.1, amsgrad=True, weight_decay=0.1),
    "adamw upwards": lambda o, p: o.AdamW(p, 0.01, maximize=True),
    "rmsprop": lambda o, p: o.RMSprop(p, 0.02, weight_decay=0.1),
    "rmsprop with momentum": lambda o, p: o.RMSprop(p, 0.02, 0.9, momentum=0.5, centered=True),
    "adagrad": lambda o, p: o.Adagrad(p, 0.1, 0.1, 0.1, 0.5),
    "adadelta": lambda o, p: o.Adadelta(p, 0.5, 0.8, 1e-5, 0.1),
    "groups": lambda o, p: o.SGD([{"params": p[:1], "lr": 0.2}, {"params": p[1:]}], 0.1, 0.9),
}


@pytest.mark.parametrize("name", THEIRS)
def test_steps_are_those_of_pytorch(rng: np.random.Generator, name: str) -> None:
    theirs = pytest.importorskip("torch", reason="the steps are compared with PyTorch's")
    arrays = [rng.standard_normal(shape) for shape in ((), (3,), (2, 2))]

    def run(library: Any, compiled: bool) -> list[np.ndarray]:
        params = [library.tensor(a, requires_grad=True) for a in arrays]
        optimizer = THEIRS[name](library.optim, params)

        def step() -> Any:
            optimizer.zero_grad()
            parts = [(p * p).sum() + (p * p * p).sum() / 9 for p in params]
            total = parts[0] + parts[1] + parts[2]
            total.backward()
            optimizer.step()
            return total

        function = library.compile(step) if compiled else step
        for _ in range(7):
            function()
        return [p.detach().numpy() for p in params]

    expected = run(theirs, False)
    for compiled in (False, True):
        for ours, other in zip(run(torch, compiled), expected, strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-6)


class SignDescent(optim.Optimizer):
    """With a step of its own, and numbers in its state, as published optimizers have them."""

    def __init__(self, params: Any, lr: float = 0.5) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if len(state) == 0:
                    state["step"], state["sum"] = 0, torch.zeros_like(p)
                state["step"] += 1
                state["sum"].add_(p.grad)
                p.add_(state["sum"].sign(), alpha=-group["lr"])


def test_an_optimizer_with_a_step_of_its_own() -> None:
    p = torch.tensor([3.0, -1.0], requires_grad=True)
    optimizer = SignDescent([p])
    for _ in range(2):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    assert p.tolist() == [2, 0]
    other = SignDescent([torch.zeros(2, requires_grad=True)])
    other.load_state_dict(optimizer.state_dict())
    (state,) = other.state.values()
    assert state["step"] == 2 and state["sum"].tolist() == optimizer.state[p]["sum"].tolist()
    train = torch.compile(lambda: [(p * p).sum().backward(), optimizer.step(), p + 0][-1])
    moved = [train().tolist() for _ in range(2)]
    optimizer.param_groups[0]["lr"] = 0.125  # read as a number: compiled anew
    moved.append(train().tolist())
    assert np.diff([row[0] for row in moved]).tolist() == [-0.5, -0.125]
    base = optim.Optimizer([p], {"lr": 1.0})
    with pytest.raises(OptionError, match="does not say how parameters change"):
        base.step()


def test_a_closure_computes_the_loss() -> None:
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.RMSprop([p], lr=0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (p * 2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert float(optimizer.step(closure)) == 2
    assert p.item() < 1


def run_rule(rule: Rule, arrays: Sequence[np.ndarray], steps: int) -> list[np.ndarray]:
    """The arrays after some steps on the loss sum(p**4) / 4."""
    arrays, states = list(arrays), [{} for _ in arrays]
    for _ in range(steps):
        arrays = [rule(p, p**3, state) for p, state in zip(arrays, states, strict=True)]
    return arrays


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_steps(rng: np.random.Generator, name: str, compiled: bool) -> None:
    make, rule = CASES[name]
    arrays = [rng.standard_normal(shape) for shape in ((), (3,), (2, 2))]
    params = [torch.tensor(a, requires_grad=True) for a in arrays]
    optimizer = make(params)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        total = sum((p.square().square().sum() / 4 for p in params), torch.tensor(0.0))
        total.backward()
        optimizer.step()
        return total

    function = torch.compile(step) if compiled else step
    for _ in range(12):
        function()
    for parameter, expected in zip(params, run_rule(rule, arrays, 12), strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-6)
        assert parameter.is_leaf and parameter.requires_grad
    if compiled:
        assert len(function.recompilations) == 1  # type: ignore[attr-defined]


def test_adam_is_exact_in_its_first_steps(rng: np.random.Generator) -> None:
    """In float32 too, where 1 - 0.999**step would lose four digits."""
    x = rng.uniform(0.5, 1, 5).astype(np.float32)
    p = torch.tensor(x, requires_grad=True)
    optimizer = optim.Adam([p], lr=1.0)
    p.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(x - p.detach().numpy(), 1, rtol=3e-7)


def test_the_learning_rate_is_an_input() -> None:
    p = torch.zeros(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)

    def step() -> None:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()

    compiled = torch.compile(step)
    for rate in (1.0, 0.5, 0.25):
        optimizer.param_groups[0]["lr"] = rate
        compiled()
    assert p.item() == -1.75 and len(compiled.recompilations) == 1


def test_other_settings_are_guarded() -> None:
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, weight_decay=0.5)

    def step() -> None:
        optimizer.zero_grad()
        (p * 0).sum().backward()
        optimizer.step()

    compiled = torch.compile(step)
    compiled()
    optimizer.param_groups[0]["weight_decay"] = 0.0
    compiled()
    assert p.item() == 0.5
    assert "weight_decay` was 0.5 and is 0.0" in compiled.recompilations[1]


def test_parameters_without_gradients_stay(rng: np.random.Generator) -> None:
    """And their step count stays behind, though counts are shared as long as they agree."""
    arrays = [rng.standard_normal(3), rng.standard_normal(3)]
    a, b = (torch.tensor(x, requires_grad=True) for x in arrays)
    optimizer, rule = optim.Adam([a, b], lr=0.1), adam(0.1)
    states: list[State] = [{}, {}]
    for number in range(6):
        optimizer.zero_grad()
        loss = a.square().sum() if number % 3 == 1 else (a.square() + b.square()).sum()
        loss.backward()
        optimizer.step()
        for i in range(1 if number % 3 == 1 else 2):
            arrays[i] = rule(arrays[i], 2 * arrays[i], states[i])
    np.testing.assert_allclose(a.detach().numpy(), arrays[0], rtol=1e-6)
    np.testing.assert_allclose(b.detach().numpy(), arrays[1], rtol=1e-6)
    assert optimizer.state[a]["step"].item() == 6 and optimizer.state[b]["step"].item() == 4


def test_groups_have_settings_of_their_own() -> None:
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 5.0}], lr=1.0)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (-1, -5)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_state_goes_round(rng: np.random.Generator, name: str) -> None:
    make, rule = CASES[name]
    x = rng.standard_normal(4)

    def advance(p: torch.Tensor, optimizer: optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (p.square().square().sum() / 4).backward()
            optimizer.step()

    first = torch.tensor(x, requires_grad=True)
    optimizer = make([first])
    advance(first, optimizer, 3)
    second = first.detach().clone().requires_grad_()
    other = make([second])
    other.load_state_dict(optimizer.state_dict())
    advance(first, optimizer, 2)
    advance(second, other, 2)
    np.testing.assert_array_equal(first.detach().numpy(), second.detach().numpy())
    np.testing.assert_allclose(first.detach().numpy(), run_rule(rule, [x], 5)[0], rtol=1e-6)


def test_zero_grad_keeps_buffers_when_asked() -> None:
    p = torch.ones(2, requires_grad=True)
    p.sum().backward()
    grad = p.grad
    optimizer = optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert grad is not None and p.grad is grad and grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_training_is_the_same_on_every_device(device: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    x, y = torch.rand(8, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    compiled = torch.compile(step)
    losses = [float(compiled(x, y)) for _ in range(10)]
    assert losses[-1] < losses[0]
    torch.set_default_device("reference")
    torch.manual_seed(0)
    again = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    eager = optim.Adam(again.parameters(), lr=0.05)
    for loss in losses:
        eager.zero_grad()
        expected = nn.functional.cross_entropy(again(x.to("reference")), y.to("reference"))
        expected.backward()
        eager.step()
        assert loss == pytest.approx(float(expected), abs=1e-5)


def test_errors() -> None:
    p = torch.ones(1, requires_grad=True)
    with pytest.raises(OptionError, match="without parameters"):
        optim.SGD([])
    with pytest.raises(OptionError, match="changes leaf tensors"):
        optim.SGD([p * 2])
    with pytest.raises(OptionError, match="appears twice"):
        optim.SGD([p, p])
    with pytest.raises(OptionError, match="these settings"):
        optim.SGD([p], lr=-1)
    with pytest.raises(OptionError, match="these settings"):
        optim.Adam([p], betas=(1.0, 0.9))
    with pytest.raises(OptionError, match="these settings"):
        optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True)
    with pytest.raises(OptionError, match="these settings"):
        optim.RMSprop([p], alpha=-1)
    with pytest.raises(OptionError, match="these settings"):
        optim.Adagrad([p], lr_decay=-1)
    with pytest.raises(OptionError, match="Adadelta does not work"):
        optim.Adadelta([p], rho=2)
    with pytest.raises(OptionError, match="other sizes"):
        optim.SGD([p]).load_state_dict(
            {"state": {}, "param_groups": [{"params": [0, 1], "lr": 1.0}]}
        )
