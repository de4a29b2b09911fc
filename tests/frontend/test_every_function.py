"""Every function of the front end on every device: results against float64 NumPy, gradients against
finite differences of the NumPy function, so that no code is shared with what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.nn import functional as F

Ours = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Theirs = Callable[[Any, Any], Any]

erf = np.vectorize(math.erf, otypes=[np.float64])
LABELS = [1, 0, 3]


def softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalized(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def written(x: Any, y: Any) -> Any:
    z = x * 1
    z[1:, ::2] = y[:2, :2]
    z[0, -1] = 3
    return z * x


def changed_in_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    kept = (x * 1).add_(y).mul_(x)
    return kept * torch.zeros_like(x).copy_(y) + (x * y).zero_()


GATHERED = [[0, 3], [1, 1], [2, 0]]

ELEMENTWISE: dict[str, tuple[Ours, Theirs]] = {
    "add": (lambda x, y: x + y + 1, lambda x, y: x + y + 1),
    "sub": (lambda x, y: 2 - x - y, lambda x, y: 2 - x - y),
    "mul": (lambda x, y: x * y * 3, lambda x, y: x * y * 3),
    "div": (lambda x, y: x / y + 1 / x, lambda x, y: x / y + 1 / x),
    "neg": (lambda x, y: -x, lambda x, y: -x),
    "pow": (lambda x, y: y**x + x**3, lambda x, y: y**x + x**3),
    "compare": (
        lambda x, y: x * (x < y) + y * (x >= 0) + (x == y) - (x != y) + (x > y) * (x <= 0),
        lambda x, y: x * (x < y) + y * (x >= 0) + (x == y) - (x != y) * 1 + (x > y) * (x <= 0),
    ),
    "where": (lambda x, y: torch.where(x > 0, x * y, y), lambda x, y: np.where(x > 0, x * y, y)),
    "maximum": (lambda x, y: torch.maximum(x, y), np.maximum),
    "minimum": (lambda x, y: torch.minimum(x, y), np.minimum),
    "clamp": (lambda x, y: x.clamp(-0.4, 0.6), lambda x, y: np.clip(x, -0.4, 0.6)),
    "exp": (lambda x, y: x.exp(), lambda x, y: np.exp(x)),
    "log": (lambda x, y: y.log(), lambda x, y: np.log(y)),
    "sqrt": (lambda x, y: y.sqrt(), lambda x, y: np.sqrt(y)),
    "rsqrt": (lambda x, y: y.rsqrt(), lambda x, y: 1 / np.sqrt(y)),
    "tanh": (lambda x, y: x.tanh(), lambda x, y: np.tanh(x)),
    "sigmoid": (lambda x, y: x.sigmoid(), lambda x, y: 1 / (1 + np.exp(-x))),
    "relu": (lambda x, y: x.relu(), lambda x, y: np.maximum(x, 0)),
    "gelu": (lambda x, y: x.gelu(), lambda x, y: x * (1 + erf(x / np.sqrt(2))) / 2),
    "erf": (lambda x, y: x.erf(), lambda x, y: erf(x)),
    "abs": (lambda x, y: x.abs(), lambda x, y: np.abs(x)),
    "broadcasting": (lambda x, y: x[:, :1] * y[0], lambda x, y: x[:, :1] * y[0]),
}
REDUCTIONS: dict[str, tuple[Ours, Theirs]] = {
    "sum": (lambda x, y: x.sum(0) * y.sum(), lambda x, y: x.sum(0) * y.sum()),
    "mean": (lambda x, y: x.mean(1, keepdim=True), lambda x, y: x.mean(1, keepdims=True)),
    "max": (lambda x, y: x.max(1).values * y.max(), lambda x, y: x.max(1) * y.max()),
    "min": (lambda x, y: x.min(0).values * y.min(), lambda x, y: x.min(0) * y.min()),
    "argmax": (lambda x, y: x.argmax(1) * x.sum(1), lambda x, y: x.argmax(1) * x.sum(1)),
    "var": (lambda x, y: x.var(1), lambda x, y: x.var(1, ddof=1)),
    "softmax": (lambda x, y: x.softmax(1), lambda x, y: softmax(x, 1)),
    "log_softmax": (lambda x, y: x.log_softmax(0), lambda x, y: np.log(softmax(x, 0))),
    "cross entropy": (
        lambda x, y: nn.CrossEntropyLoss()(x, torch.tensor(LABELS)),
        lambda x, y: -np.log(softmax(x, 1))[range(3), LABELS].mean(),
    ),
    "mse": (lambda x, y: nn.MSELoss()(x, y), lambda x, y: ((x - y) ** 2).mean()),
    "layer norm": (lambda x, y: nn.LayerNorm(4)(x), lambda x, y: normalized(x)),
    "layers": (
        lambda x, y: nn.Sequential(nn.ReLU(), nn.Softmax(-1), nn.Flatten(0))(x),
        lambda x, y: softmax(np.maximum(x, 0), -1).reshape(-1),
    ),
}
SHAPES: dict[str, tuple[Ours, Theirs]] = {
    "matmul": (lambda x, y: x @ y.T @ x, lambda x, y: x @ y.T @ x),
    "batches": (
        lambda x, y: torch.stack([x, y]) @ y.T[None],
        lambda x, y: np.stack([x, y]) @ y.T[None],
    ),
    "linear": (lambda x, y: F.linear(x, y, y[:, 0]), lambda x, y: x @ y.T + y[:, 0]),
    "transpose": (lambda x, y: x.transpose(0, 1) * y.T, lambda x, y: x.T * y.T),
    "permute": (
        lambda x, y: x.reshape(3, 2, 2).permute(2, 0, 1),
        lambda x, y: x.reshape(3, 2, 2).transpose(2, 0, 1),
    ),
    "view": (lambda x, y: x.view(2, -1) * 2, lambda x, y: x.reshape(2, -1) * 2),
    "flatten": (lambda x, y: x.flatten()[1:], lambda x, y: x.reshape(-1)[1:]),
    "expand": (
        lambda x, y: x[:, :1].expand(3, 4) * y,
        lambda x, y: np.broadcast_to(x[:, :1], (3, 4)) * y,
    ),
    "squeeze": (lambda x, y: x.unsqueeze(1).squeeze() * y, lambda x, y: x * y),
    "cat": (lambda x, y: torch.cat([x, y, x], 1), lambda x, y: np.concatenate([x, y, x], 1)),
    "stack": (lambda x, y: torch.stack([x, y], 1), lambda x, y: np.stack([x, y], 1)),
    "read": (lambda x, y: x[1:, ::2] * y[-1, 1], lambda x, y: x[1:, ::2] * y[-1, 1]),
    "write": (written, written),
    "in place": (changed_in_place, lambda x, y: (x + y) * x * y),
    "gather": (
        lambda x, y: x.gather(1, torch.tensor(GATHERED)),
        lambda x, y: np.take_along_axis(x, np.array(GATHERED), 1),
    ),
    "embedding": (
        lambda x, y: F.embedding(torch.tensor(LABELS[:2]), x),
        lambda x, y: x[LABELS[:2]],
    ),
    "detach": (lambda x, y: x.detach() * 0 + y, lambda x, y: y),
    "created": (
        lambda x, y: x * torch.arange(4) + torch.eye(3, 4) + torch.ones(4) + torch.full((4,), 2.0),
        lambda x, y: x * np.arange(4) + np.eye(3, 4) + 3,
    ),
    "moved": (lambda x, y: x.to("reference").to(x.device).float() * y, lambda x, y: x * y),
}


def differences(function: Theirs, arrays: list[np.ndarray], weights: Any, which: int) -> np.ndarray:
    """The gradient of the weighted sum of a function's results."""
    step, gradient = 1e-6, np.zeros_like(arrays[which])
    for index in np.ndindex(gradient.shape):
        ends = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[which][index] += sign * step
            ends.append(np.sum(weights * function(*moved)))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize(
    "group", [ELEMENTWISE, REDUCTIONS, SHAPES], ids=["elements", "rows", "shapes"]
)
def test_results_and_gradients(
    rng: np.random.Generator, group: dict[str, tuple[Ours, Theirs]], device: str
) -> None:
    x, y = rng.uniform(-1, 1, (3, 4)), rng.uniform(0.5, 2, (3, 4))
    inputs = [array.astype(np.float32) for array in (x, y)]
    exact = [array.astype(np.float64) for array in inputs]
    # A leaf may be the result, or not reach it at all.
    wide = {name: np.asarray(theirs(*exact), np.float64) for name, (_, theirs) in group.items()}
    weights = {name: rng.uniform(0.5, 1.5, value.shape) for name, value in wide.items()}

    def run(*arguments: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        found = {}
        for name, (ours, _) in group.items():
            leaves = [argument.detach().requires_grad_() for argument in arguments]
            result = ours(*leaves)
            (result * torch.tensor(weights[name].astype(np.float32))).sum().backward()
            gradients = [leaf.grad if leaf.grad is not None else leaf * 0 for leaf in leaves]
            found[name] = [t.detach() for t in (result, *gradients)]
        return found

    eagerly = "moved" in group  # a compiled function stays on its device
    found = (run if eagerly else torch.compile(run))(*(torch.tensor(array) for array in inputs))
    for name, (result, *gradients) in found.items():
        assert result.device == device
        np.testing.assert_allclose(result.numpy(), wide[name], rtol=2e-5, atol=2e-6, err_msg=name)
        rounded = weights[name].astype(np.float32)
        for which, gradient in enumerate(gradients):
            expected = differences(group[name][1], exact, rounded, which)
            np.testing.assert_allclose(
                gradient.numpy(), expected, rtol=5e-5, atol=1e-5, err_msg=f"{name}, {which}"
            )


def test_creation(device: str) -> None:
    torch.manual_seed(3)
    base = torch.zeros(3, 5)
    drawn = [torch.rand(3, 5), torch.randn(3, 5), torch.rand_like(base), torch.randn_like(base)]
    filled = [torch.ones_like(base), torch.full_like(base, 7.0), torch.zeros_like(base)]
    assert {t.device for t in (base, *drawn, *filled)} == {device}
    assert [t.numpy().mean() for t in filled] == [1, 7, 0]
    torch.set_default_device("reference")
    torch.manual_seed(3)
    again = [torch.rand(3, 5), torch.randn(3, 5)]
    for ours, theirs in zip(drawn, again, strict=False):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    assert len({t.numpy().tobytes() for t in drawn}) == 4


def test_moves(rng: np.random.Generator, device: str) -> None:
    array = rng.uniform(-9, 9, (2, 3)).astype(np.float32)
    x = torch.tensor(array, device="reference").to(device)
    assert x.device == device and x[1, 2].item() == array[1, 2]
    np.testing.assert_array_equal(x.int().numpy(), array.astype(np.int32))
    np.testing.assert_array_equal(x.bool().float().numpy(), np.ones((2, 3)))
    np.testing.assert_array_equal(x.to("reference").numpy(), array)
