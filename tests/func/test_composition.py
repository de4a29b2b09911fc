"""Transformations in one another and with compile, on every device, against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import func
from picograd.nn import functional as F

Arrays = Sequence[np.ndarray]


def twist(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() * x.prod()).sum() + (x * x).mean()


def twist_in_numpy(x: np.ndarray) -> float:
    return float((np.sin(x) * x.prod()).sum() + (x * x).mean())


def slopes(function: Callable[[np.ndarray], Any], x: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences; the axis of the input comes last."""
    columns: list[Any] = []
    for index in range(x.size):
        offset = np.zeros_like(x)
        offset[index] = step
        columns.append((function(x + offset) - function(x - offset)) / (2 * step))
    return np.stack(columns, -1)


def gradient(x: np.ndarray) -> np.ndarray:
    return slopes(twist_in_numpy, x)


def hessian(x: np.ndarray) -> np.ndarray:
    return slopes(gradient, x, 1e-3)


DERIVATIVES: dict[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]] = {
    "grad": (func.grad(twist), gradient),
    "jacrev": (func.jacrev(twist), gradient),
    "jacfwd": (func.jacfwd(twist), gradient),
    "hessian": (func.hessian(twist), hessian),
    "jacrev of grad": (func.jacrev(func.grad(twist)), hessian),
    "jacfwd of grad": (func.jacfwd(func.grad(twist)), hessian),
    "jacrev of jacfwd": (func.jacrev(func.jacfwd(twist)), hessian),
    "grad of compile": (func.grad(torch.compile(twist)), gradient),
    "grad of a compiled gradient": (
        func.jacrev(torch.compile(func.grad(twist))),
        hessian,
    ),
    "jvp": (
        lambda x: func.vmap(lambda t: func.jvp(twist, (x,), (t,))[1])(torch.eye(3, dtype=x.dtype)),
        gradient,
    ),
    "vjp": (lambda x: func.vjp(twist, x)[1](torch.ones_like(twist(x)))[0], gradient),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_against_differences(rng: np.random.Generator, name: str) -> None:
    function, reference = DERIVATIVES[name]
    x = rng.uniform(-2, 2, 3)
    found = function(torch.tensor(x))
    np.testing.assert_allclose(found.numpy(), reference(x), rtol=1e-4, atol=1e-4)
    assert not found.requires_grad


@pytest.mark.parametrize("name", ["grad", "hessian", "grad of compile"])
def test_compiled_and_over_a_batch(rng: np.random.Generator, name: str, device: str) -> None:
    function, reference = DERIVATIVES[name]
    batch = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
    expected = np.stack([reference(x.astype(float)) for x in batch])
    compiled = torch.compile(func.vmap(function))
    x = torch.tensor(batch)
    for call in (func.vmap(function), compiled, compiled):
        np.testing.assert_allclose(call(x).numpy(), expected, rtol=2e-3, atol=2e-3)
    assert len(compiled.recompilations) == 1


def network(state: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    h = F.layer_norm(F.gelu(F.linear(x, state["w"], state["b"])), (5,))
    return F.cross_entropy(h, y)


def test_per_sample_gradients_add_up_to_the_whole(rng: np.random.Generator, device: str) -> None:
    state = {
        "w": torch.tensor(rng.standard_normal((5, 3)).astype(np.float32)),
        "b": torch.tensor(rng.standard_normal(5).astype(np.float32)),
    }
    x = torch.tensor(rng.standard_normal((6, 3)).astype(np.float32))
    y = torch.tensor(rng.integers(0, 5, 6))
    each = torch.compile(func.vmap(func.grad(network), in_dims=(None, 0, 0)))
    singles = each(state, x[:, None], y[:, None])
    whole = func.grad(network)(state, x, y)
    for key, tensor in state.items():
        assert singles[key].shape == (6, *tensor.shape)
        np.testing.assert_allclose(
            singles[key].mean(0).numpy(), whole[key].numpy(), rtol=1e-3, atol=1e-5
        )


def test_training_with_value_and_grad(rng: np.random.Generator, device: str) -> None:
    torch.manual_seed(3)  # how fast losses fall depends on the first weights
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    x = torch.tensor(rng.uniform(-1, 1, (32, 2)).astype(np.float32))
    y = x[:, :1] * x[:, 1:]

    def loss(state: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(func.functional_call(net, state, x), y)

    @torch.compile
    def step(state: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> Any:
        value, grads = func.value_and_grad(loss)(state, x, y)
        return value, {name: p - 0.2 * grads[name] for name, p in state.items()}

    state: dict[str, torch.Tensor] = {n: p.detach() for n, p in net.named_parameters()}
    losses: list[float] = []
    for _ in range(30):
        value, state = step(state, x, y)
        losses.append(value.item())
    assert losses[-1] < 0.7 * losses[0]
    assert len(step.recompilations) == 1
    original = dict(net.named_parameters())
    assert all(original[name].requires_grad for name in state)


def test_convolutions_of_a_batch_of_networks(rng: np.random.Generator, device: str) -> None:
    """A kernel for each example, and the gradient of its pooled outputs."""
    images = torch.tensor(rng.standard_normal((3, 2, 2, 6, 5)).astype(np.float32))
    kernels = torch.tensor(rng.standard_normal((3, 4, 2, 3, 2)).astype(np.float32))

    def score(kernel: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.conv2d(image, kernel, padding=1), 2).square().sum()

    found = torch.compile(func.vmap(func.grad(score)))(kernels, images)
    for n in range(3):
        expected = func.grad(score)(kernels[n], images[n])
        np.testing.assert_allclose(found[n].numpy(), expected.numpy(), rtol=1e-3, atol=1e-3)


def test_compiled_code_depends_on_what_the_function_closes_over() -> None:
    scale = 2.0

    def scaled(x: torch.Tensor) -> torch.Tensor:
        return (x * x * scale).sum()

    x = torch.tensor([1.0, 3.0])
    for function in (func.grad(scaled), func.grad(torch.compile(scaled))):
        scale = 2.0
        compiled = torch.compile(func.vmap(function))
        assert compiled(x[:, None]).tolist() == [[4], [12]]
        scale = 5.0
        assert compiled(x[:, None]).tolist() == [[10], [30]]
        assert compiled.recompilations[1] == "`scale` was 2.0 and is 5.0"


def test_a_transformation_inside_of_compiled_code() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)

    @torch.compile
    def penalty(x: torch.Tensor, power: int) -> torch.Tensor:
        inner = func.grad(lambda x: ((x * weight).tanh() * power).sum())(x)
        loss = (inner * inner).sum()
        loss.backward()
        return loss

    x = torch.tensor([0.5, -0.3])
    compiled = penalty(x, 2).item(), weight.grad.tolist()  # type: ignore[union-attr]
    weight.grad = None
    eager = penalty.function(x, 2).item(), weight.grad.tolist()  # type: ignore[attr-defined]
    np.testing.assert_allclose(compiled[0], eager[0], rtol=1e-6)
    np.testing.assert_allclose(compiled[1], eager[1], rtol=1e-6)


def test_names_and_lines_survive_transformations() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x.tanh().sum()

    module = torch.compile(func.vmap(func.grad(function))).trace(torch.ones(2, 3)).module
    text = str(module)
    assert "test_composition.py" in text and "%x: tensor<2x3xf32>" in text


def test_backward_inside_of_a_transformed_function() -> None:
    def slope(x: torch.Tensor) -> torch.Tensor:
        leaf = x.clone().detach().requires_grad_()
        (leaf * leaf * leaf).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert func.vmap(slope)(x).tolist() == [[3, 12], [27, 48]]


def test_a_vjp_function_serves_inside_of_other_transformations() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    output, pullback = func.vjp(lambda x: x * x * x, x)
    assert output.tolist() == [1, 8, 27]
    (rows,) = func.vmap(pullback)(torch.eye(3))
    assert rows.tolist() == np.diag([3, 12, 27]).tolist()
    assert func.grad(lambda g: pullback(g)[0].sum())(torch.ones(3)).tolist() == [3, 12, 27]
    _, (moved,) = func.jvp(pullback, (torch.ones(3),), (torch.ones(3),))
    assert moved.tolist() == [3, 12, 27]
