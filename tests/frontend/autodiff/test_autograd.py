"""The tape: what is recorded, accumulated, refused; changes in place and through views."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, GradientError, ShapeError, TraceError
from picograd.nn import functional as F
from picograd.nn.modules.module import clear_grad

Function = Callable[[torch.Tensor], torch.Tensor]


def assert_gradient(function: Function, array: np.ndarray, step: float = 1e-6) -> None:
    """Compare with central differences in float64."""
    x = torch.tensor(array, requires_grad=True)
    result = function(x)
    weights = np.random.default_rng(5).standard_normal(result.shape)
    result.backward(torch.tensor(weights))
    assert x.grad is not None
    expected = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        ends = []
        for sign in (1, -1):
            moved = array.copy()
            moved[index] += sign * step
            ends.append(np.sum(weights * function(torch.tensor(moved)).numpy()))
        expected[index] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=2e-5, atol=1e-7)


def masked(x: torch.Tensor) -> torch.Tensor:
    y = x * 1
    y[y > 0.5] = 2.0
    return y * x


def rows_written(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(4, 3, dtype=torch.float64)
    y[1:] = x * 2
    y[torch.tensor([0, 3])] = x[0] * x[1]
    y[:, 1] *= y[:, 0].clone()
    return y


def through_views(x: torch.Tensor) -> torch.Tensor:
    y = x * 3
    view = y.T[1]
    y[0] = x[1] * x[2]
    view.mul_(x[:, 0])
    return y * view.sum()


FUNCTIONS: dict[str, Function] = {
    "pow": lambda x: (x * x + 1) ** 1.5,
    "mean": lambda x: x.mean(1) * x.sum(),
    "var": lambda x: x.var(0) + x.std(),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(0),
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "gelu": lambda x: x.gelu() + x.gelu("tanh"),
    "sigmoid": lambda x: x.sigmoid() * x.tanh(),
    "relu": lambda x: x.relu(),
    "clamp": lambda x: x.clamp(-0.4, 0.6),
    "where": lambda x: torch.where(x > 0, x * 2, x.exp()),
    "max": lambda x: x.max(1).values * x.min(0, True)[0].sum(),
    "amax": lambda x: x.amax(0) - x.amin(),
    "prod": lambda x: x.prod(1),
    "matmul": lambda x: x @ x.T @ x[:, 0],
    "batches": lambda x: x.expand(2, 3, 3) @ x.reshape(3, 3, 1)[None, 0],
    "cat": lambda x: torch.cat([x, x.T * 2], 1),
    "stack": lambda x: torch.stack([x[0], x[2] * x[1]]),
    "index": lambda x: x[1:, ::2] * x[0, 1],
    "pick": lambda x: x[torch.tensor([2, 0, 2])] * x[:, torch.tensor([-1])],
    "gather": lambda x: x.gather(1, torch.tensor([[0, 0], [2, 1], [1, 1]])),
    "embedding": lambda x: F.embedding(torch.tensor([[1, 1], [0, 2]]), x),
    "scatter_add": lambda x: x.scatter_add(0, torch.tensor([[2, 2, 0]]), x[1:2] * 2),
    "permute": lambda x: x.T.flatten()[1:].reshape(2, 4).flip(1),
    "layer_norm": lambda x: F.layer_norm(x, (3,), x[0], x[1]),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.tensor([2, 0, 2])),
    "soft targets": lambda x: F.cross_entropy(x, x.softmax(1)),
    "mse": lambda x: F.mse_loss(x, x.T * 2, reduction="sum"),
    "linear": lambda x: F.linear(x, x * 2, x[0]),
    "in place": lambda x: (x * 2).add_(1).mul_(x).div_(3),
    "mask": masked,
    "rows": rows_written,
    "views": through_views,
    "copy_": lambda x: torch.zeros(2, 3, 3, dtype=torch.float64).copy_(x * x),
    "lerp_": lambda x: (x * 1).lerp_(x * x, 0.3).addcmul_(x, x, value=2),
    "remainder": lambda x: x % 0.7 + x // 0.7,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_finite_differences(rng: np.random.Generator, name: str) -> None:
    assert_gradient(FUNCTIONS[name], rng.uniform(-1, 1, (3, 3)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_against_finite_differences(rng: np.random.Generator, name: str) -> None:
    """Along one direction: how the gradient changes, by differences and by a second pass."""
    function, step = FUNCTIONS[name], 1e-6
    array, direction = rng.uniform(-1, 1, (2, 3, 3))
    weights = torch.tensor(rng.standard_normal(function(torch.tensor(array)).shape))

    def gradient(at: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.tensor(at, requires_grad=True)
        (grad,) = torch.autograd.grad(function(x), x, weights, create_graph=True)
        assert grad is not None
        return x, grad

    x, grad = gradient(array)
    ends = [gradient(array + sign * step * direction)[1].detach().numpy() for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    if grad.requires_grad:
        second = torch.autograd.grad(grad, x, torch.tensor(direction), materialize_grads=True)[0]
        assert second is not None
        np.testing.assert_allclose(second.numpy(), expected, rtol=2e-4, atol=1e-6)
    else:
        np.testing.assert_allclose(expected, 0, atol=1e-6)


def test_gradients_add_up() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    first = x.grad
    assert first is not None
    (x * x).sum().backward()
    assert x.grad is first  # in place, as in PyTorch
    assert first.tolist() == [4, 6]


def test_only_leaves_get_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.sum().backward()
    assert y.grad is None and not y.is_leaf and x.is_leaf
    assert y.grad_fn is not None and x.grad_fn is None


def test_no_grad() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not torch.is_grad_enabled()
        y = x * 2
        x.add_(1)
        view = x[0]
        with torch.enable_grad():
            assert (x * 2).requires_grad
    assert not y.requires_grad and not view.requires_grad and x.requires_grad

    @torch.no_grad()
    def function() -> torch.Tensor:
        return x * 2

    assert not function().requires_grad
    torch.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    torch.set_grad_enabled(True)


def test_detach_shares_storage_but_no_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    d = y.detach()
    assert not d.requires_grad
    d.add_(1)
    assert y.tolist() == [3, 3]
    d.requires_grad_()
    (d * y).sum().backward()
    assert x.grad is not None and d.grad is not None
    assert x.grad.tolist() == [6, 6] and d.grad.tolist() == [3, 3]


def test_a_detached_view_tracks_only_itself() -> None:
    x = torch.ones(3, requires_grad=True)
    base = x * 1
    part = base[1:].detach()
    part.mul_(torch.tensor([5.0, 7.0], requires_grad=True))
    assert part.requires_grad and base.tolist() == [1, 5, 7]
    base.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 1, 1]


def test_data_is_the_storage_without_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None
    x.data -= 0.25 * x.grad
    assert x.tolist() == [0.5, 0.5] and x.is_leaf and x.requires_grad
    x.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[1, 1:]
    clear_grad(x, set_to_none=True)
    (x * x).sum().backward()
    assert x.is_leaf and x.grad is not None and x.grad.tolist() == [10, 12]
    with pytest.raises(TraceError, match="storage of a tensor is replaced"):
        torch.compile(lambda y: setattr(x, "data", y))(torch.ones(2))


def test_clone_and_copies_of_leaves_are_no_leaves() -> None:
    x = torch.ones(2, requires_grad=True)
    y = torch.zeros(2)
    y.copy_(x)
    for copy in (x.clone(), y):
        assert not copy.is_leaf
        copy.mul_(3).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [6, 6]


def test_integers_carry_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    assert not x.long().requires_grad
    assert not (x > 0).requires_grad
    assert not x.argmax().requires_grad


def test_moving_between_devices_keeps_the_gradient() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True, device="reference")
    (x * 3).to("cpu").exp().sum().backward()
    assert x.grad is not None and x.grad.device == "reference"
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.exp([3.0, 6.0]), rtol=1e-5)


def test_retain_graph() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None and x.grad.tolist() == [4, 4]
    with pytest.raises(GradientError, match="a second time"):
        y.backward()


def test_long_chains() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 1
    y.backward()
    assert x.grad is not None and x.grad.item() == 1


def test_changes_in_place_of_saved_tensors_are_found() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(GradientError, match="changed by an operation in place") as caught:
        z.sum().backward()
    assert "version 1" in str(caught.value)
    result = x.exp()
    result[0] = 0.0
    with pytest.raises(GradientError, match="changed by an operation in place"):
        result.sum().backward()


def test_changes_in_place_of_what_nobody_saved_are_fine() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    z = y + 1
    y.mul_(5)
    (z + y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [6, 6]


def test_errors() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="needs a tensor of one element"):
        (x * 2).backward()
    with pytest.raises(GradientError, match="does not require a gradient"):
        torch.ones(1).backward()
    with pytest.raises(ShapeError, match="does not fit the tensor"):
        (x * 2).backward(torch.ones(3))
    with pytest.raises(GradientError, match="leaf tensor"):
        x.add_(1)
    with pytest.raises(GradientError, match="leaf tensor"):
        x[0] = 1
    with pytest.raises(DTypeError, match="only floating point"):
        torch.ones(2, dtype=torch.int64, requires_grad=True)
    with pytest.raises(GradientError, match="only for leaf tensors"):
        (x * 2).requires_grad_(False)
    with pytest.raises(ShapeError, match="shape and dtype of its tensor"):
        x.grad = torch.ones(3)
