"""Modules: parameters, state, modes, printing."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import DTypeError, OptionError, StateError


class Net(nn.Module):
    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.body = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.first(x)) * self.scale + self.mean


def test_named_parameters_in_order() -> None:
    names = [name for name, _ in Net().named_parameters()]
    assert names == ["scale", "first.weight", "first.bias", "body.1.weight"]
    assert [name for name, _ in Net().named_modules()] == ["", "first", "body", "body.0", "body.1"]


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(2, 2)
    assert len(list(nn.Sequential(layer, layer).parameters())) == 2


def test_state_goes_round() -> None:
    torch.manual_seed(1)
    a, b = Net(), Net()
    state = a.state_dict()
    assert list(state) == ["scale", "mean", "first.weight", "first.bias", "body.1.weight"]
    assert not any(value.requires_grad for value in state.values())
    b.load_state_dict(state)
    x = torch.rand(5, 3)
    np.testing.assert_array_equal(a(x).detach().numpy(), b(x).detach().numpy())
    assert all(p.is_leaf and p.requires_grad for p in b.parameters())


def test_state_that_does_not_fit() -> None:
    net = Net()
    state = net.state_dict()
    del state["scale"]
    with pytest.raises(StateError, match="does not fit Net") as caught:
        net.load_state_dict({**state, "other": torch.ones(1)})
    assert "scale" in str(caught.value) and "other" in str(caught.value)
    assert net.load_state_dict({**state, "other": torch.ones(1)}, strict=False) == (
        ["scale"],
        ["other"],
    )
    with pytest.raises(StateError, match=r"scale is \[2\] and should be \[1\]"):
        net.load_state_dict({**net.state_dict(), "scale": torch.ones(2)}, strict=False)


def test_modes_reach_all_modules() -> None:
    net = Net()
    assert net.eval() is net and not net.body[0].training
    assert net.train().body.training


def test_freezing_and_clearing() -> None:
    net = Net()
    net(torch.ones(1, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is not None and net.scale.grad.item() == 0
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not net(torch.ones(1, 3)).requires_grad


def test_moving() -> None:
    net = Net()
    weight = net.first.weight
    net(torch.ones(1, 3)).sum().backward()
    assert net.to(torch.float64) is net
    assert net.first.weight is weight and weight.dtype is torch.float64 and weight.is_leaf
    assert weight.grad is not None and weight.grad.dtype is torch.float64
    net.to("cpu")
    assert weight.device == "cpu" and net.mean.device == "cpu"
    net.zero_grad()
    result = net(torch.ones(1, 3, dtype=torch.float64, device="cpu"))
    result.sum().backward()
    assert weight.grad is not None and weight.grad.device == "cpu"
    with pytest.raises(DTypeError, match="floating point parameters"):
        net.to(torch.int64)


def test_lists_and_apply() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(2)])
    layers.append(nn.Linear(1, 1))
    assert len(layers) == 3 and len(list(layers.parameters())) == 6
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    assert layers[-1] is list(layers)[2] and len(layers[:2]) == 2
    seen: list[str] = []
    layers.apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Linear", "Linear", "ModuleList"]


def test_printing() -> None:
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    assert text == (
        "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): ReLU()\n)"
    )
    assert repr(nn.Parameter(torch.ones(1))).startswith("Parameter containing:\ntensor([1.]")


def test_a_module_needs_forward() -> None:
    with pytest.raises(OptionError, match="has no forward"):
        nn.Module()(1)


def test_hooks_see_and_change_calls() -> None:
    layer, seen = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    after = layer.register_forward_hook(lambda module, args, output: seen.append((args, output)))
    x = torch.ones(1, 2)
    output = layer(x)
    assert seen[0][0][0].tolist() == [[2, 2]] and seen[0][1] is output
    before.remove()
    with layer.register_forward_hook(lambda module, args, output: output * 0):
        assert layer(x).tolist() == [[0, 0]]
    after.remove()
    after.remove()
    assert (
        len(seen) == 2
        and layer(x).tolist() == nn.functional.linear(x, layer.weight, layer.bias).tolist()
    )
