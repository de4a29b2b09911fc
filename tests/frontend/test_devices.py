"""The front end's functions, compiled with their gradients for every device, against eager NumPy.

Few, wide functions: each compiles once on each device.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import picograd as torch
from picograd.nn import functional as F

Group = Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]


def elementwise(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    p = x.abs() + 0.5
    return [
        x.exp() - y,
        p.log() * p.sqrt() / p.rsqrt(),
        x.tanh() + x.sigmoid() + x.gelu() + x.gelu("tanh") + x.erf(),
        x.relu() + x.clamp(-0.3, 0.4) + torch.where(x > y, x, y * 2),
        torch.maximum(x, y) - torch.minimum(x, y) + x.sin() * x.cos(),
        p**y + x**3 + 1 / p + x % 0.7,
        x.floor() + x.sign() + (-x).abs(),
    ]


def reductions(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return [
        x.sum(0),
        x.mean((0, 1), keepdim=True) * y,
        x.max(1).values + x.min(1)[0],
        x.amax(0) * x.amin(0),
        x.var(1) + x.std(1, correction=0),
        x.softmax(1) + x.log_softmax(0),
        (x.abs() + 0.5).prod(1),
        x.logsumexp(1),
    ]


def products(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    batch = torch.stack([x, y]) @ torch.cat([x, y], 0).reshape(2, 4, 5).mT
    return [x @ y.T, batch, F.linear(x, y, y[:, 0]), x[0] @ y[1], F.layer_norm(x, (5,), y[0], y[1])]


def indexing(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    written = x * 1
    written[1:3, ::2] = y[:2, :3]
    written[0] += 2
    written.T[3] *= y[:, 0]
    written[torch.tensor([3, 0])] = y[0] * 2
    return [
        written,
        x[:, 1:4].permute(1, 0).reshape(-1) * 2,
        x[torch.tensor([[0, -1], [2, 2]])],
        x.gather(1, torch.tensor([[0, 1], [4, 4], [2, 2], [1, 0]])),
        F.embedding(torch.tensor([3, 3, 0]), y),
        x.unsqueeze(0).expand(2, 4, 5).flip(2).squeeze(),
        x.scatter_add(0, torch.tensor([[1, 1, 0, 2, 3]]), y[:1]),
        F.cross_entropy(x, torch.tensor([0, 4, 2, 2])).reshape(1),
        F.mse_loss(x, y).reshape(1),
    ]


@pytest.mark.parametrize("group", [elementwise, reductions, products, indexing])
def test_group(rng: np.random.Generator, group: Group, device: str) -> None:
    arrays = [rng.uniform(-1, 1, (4, 5)).astype(np.float32) for _ in range(2)]

    def run(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        x, y = (t.detach().requires_grad_() for t in (x, y))
        results = group(x, y)
        for number, result in enumerate(results):
            loss = (result * (result.detach() * 0.1 + number)).sum()
            loss.backward(retain_graph=True)  # results share what they are computed from
        assert x.grad is not None and y.grad is not None
        return [*(result.detach() for result in results), x.grad, y.grad]

    found = torch.compile(run)(*(torch.tensor(a) for a in arrays))
    torch.set_default_device("reference")
    expected = run(*(torch.tensor(a) for a in arrays))
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.device == device
        np.testing.assert_allclose(
            ours.numpy(), theirs.numpy(), rtol=2e-4, atol=2e-5, err_msg=str(number)
        )


def test_integers(rng: np.random.Generator, device: str) -> None:
    def run(i: torch.Tensor, j: torch.Tensor) -> list[torch.Tensor]:
        return [
            i + j,
            i // j,
            i % j,
            i * 3 - j**2,
            (i > j) & ~(i == 2),
            i.sum(0),
            i.argmax(1),
            i.float() / j,
            torch.arange(5) * i,
            i.max(1).indices,
            (i > 0).sum(),
        ]

    i, j = rng.integers(-9, 9, (4, 5)), rng.integers(1, 5, (4, 5)) * rng.choice([-1, 1], (4, 5))
    found = torch.compile(run)(torch.tensor(i), torch.tensor(j))
    torch.set_default_device("reference")
    for ours, theirs in zip(found, run(torch.tensor(i), torch.tensor(j)), strict=True):
        assert ours.dtype is theirs.dtype
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
