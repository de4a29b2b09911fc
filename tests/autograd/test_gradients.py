"""autograd.grad and backward, gradients of gradients, hooks, and leaving the graph."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, GradientError, OptionError, ShapeError


def test_grad_returns_gradients_and_changes_none() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([3.0, 4.0], requires_grad=True)
    a, b = torch.autograd.grad((x * y).sum(), (x, y))
    assert a is not None and b is not None
    assert a.tolist() == [3, 4] and b.tolist() == [1, 2]
    assert x.grad is None and y.grad is None and not a.requires_grad


def test_grad_of_several_outputs_and_of_results_on_the_way() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    h = x * 3
    weights = torch.tensor([1.0, -1.0])
    g, k = torch.autograd.grad([h * h, h.sum()], [h, x], [weights, None])
    assert g is not None and k is not None
    assert g.tolist() == [7, -11] and k.tolist() == [21, -33]


def test_grad_of_a_view() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    part = x[1:]
    (g,) = torch.autograd.grad((part * part).sum(), part)
    assert g is not None and g.tolist() == [4, 6]


def test_a_view_that_was_looked_at_is_still_the_same() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    part = x[1:]
    loss = (part * part).sum()
    with torch.no_grad():
        assert part.tolist() == [2, 3] and not (part * 2).requires_grad
    (g,) = torch.autograd.grad(loss, part)
    assert g is not None and g.tolist() == [4, 6]


def test_only_what_leads_to_the_inputs_is_computed() -> None:
    x = torch.ones(2, requires_grad=True)
    w = torch.ones(2, requires_grad=True)
    seen: list[torch.Tensor] = []
    y = w * 2
    y.register_hook(seen.append)
    torch.autograd.grad((x * y).sum(), x)
    assert not seen


def test_unused_inputs() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="no output depends on input 1"):
        torch.autograd.grad(x.sum(), (x, y), retain_graph=True)
    loss = x.sum()
    assert torch.autograd.grad(loss, y, allow_unused=True, retain_graph=True) == (None,)
    (zeros,) = torch.autograd.grad(loss, y, materialize_grads=True)
    assert zeros is not None and zeros.tolist() == [0, 0]


def test_derivatives_of_any_order() -> None:
    x = torch.tensor([0.3, -1.2], requires_grad=True, dtype=torch.float64)
    y, signs = x.sin(), [1, 1, -1, -1, 1]
    for order, sign in enumerate(signs[1:], 1):
        (grad,) = torch.autograd.grad(y, x, torch.ones_like(x), create_graph=True)
        assert grad is not None
        y = grad
        expected = np.cos if order % 2 else np.sin
        np.testing.assert_allclose(y.detach().numpy(), sign * expected(x.detach().numpy()))


def test_backward_with_create_graph_keeps_gradients_differentiable() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    assert first is not None and first.requires_grad and first.tolist() == [3, 12]
    x.grad = None
    first.sum().backward()
    second = x.grad
    assert second is not None and second.tolist() == [6, 12]


def test_gradients_add_up_out_of_place_when_they_are_differentiable() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    x.sum().backward()
    first = x.grad
    (x * x).sum().backward(create_graph=True)
    assert first is not None and first.tolist() == [1]
    assert x.grad is not None and x.grad.tolist() == [5] and x.grad.requires_grad


def test_a_gradient_penalty(device: str) -> None:
    """The gradient of the squared length of a gradient, eagerly and compiled."""
    rng = np.random.default_rng(3)
    w = torch.tensor(rng.standard_normal((3, 4)).astype(np.float32), requires_grad=True)
    x = torch.tensor(rng.standard_normal((2, 3)).astype(np.float32))

    def penalty(x: torch.Tensor) -> torch.Tensor:
        given = x.detach().requires_grad_()
        score = (given @ w).tanh().sum()
        (grad,) = torch.autograd.grad(score, given, create_graph=True)
        assert grad is not None
        loss = (grad * grad).sum()
        loss.backward()
        return loss

    eager = penalty(x).item()
    assert w.grad is not None
    expected = w.grad.numpy()
    w.grad = None
    compiled = torch.compile(penalty)
    np.testing.assert_allclose(compiled(x).item(), eager, rtol=1e-4)
    again = w.grad
    assert again is not None
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-3, atol=1e-4)
    # d/dw of the sum over rows of |w (1 - tanh²)|², by differences.
    array = w.detach().numpy().astype(float)

    def value(w: np.ndarray) -> float:
        slope = 1 - np.tanh(x.numpy().astype(float) @ w) ** 2
        return float(((slope @ w.T) ** 2).sum())

    moved = array.copy()
    moved[1, 2] += 1e-6
    np.testing.assert_allclose(expected[1, 2], (value(moved) - value(array)) / 1e-6, rtol=1e-2)


def test_products_and_powers_at_zero_have_second_derivatives() -> None:
    x = torch.tensor([0.0, 2.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: x.prod(), x)
    assert torch.autograd.gradgradcheck(lambda x: x.reshape(2, 2).prod(0), x)
    y = x ** torch.tensor(3.0, dtype=torch.float64)
    for expected in ([0, 12, 0, 27], [0, 12, 0, 18], [6, 6, 6, 6], [0, 0, 0, 0]):
        (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert grad is not None
        assert grad.tolist() == expected
        y = grad


def test_backward_of_several_tensors_and_to_chosen_inputs() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    torch.autograd.backward([(x * y).sum(), x * 2], [None, torch.tensor([1.0, 3.0])])
    assert x.grad is not None and x.grad.tolist() == [3, 7]
    x.grad = y.grad = None
    h = x * y
    h.sum().backward(inputs=[x])
    assert x.grad is not None and y.grad is None


def test_hooks_see_and_replace_complete_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    h = x * 2
    seen: list[list[float]] = []
    handle = h.register_hook(lambda g: seen.append(g.tolist()))
    doubling = h.register_hook(lambda g: g * 2)
    (h.sum() + (h * h).sum()).backward(retain_graph=True)
    assert seen == [[5, 5]] and x.grad is not None and x.grad.tolist() == [20, 20]
    handle.remove()
    doubling.remove()
    doubling.remove()
    x.grad = None
    with x.register_hook(lambda g: torch.zeros_like(g)):
        h.sum().backward(retain_graph=True)
    replaced = x.grad
    assert replaced is not None and seen == [[5, 5]] and replaced.tolist() == [0, 0]
    h.sum().backward()
    gathered = x.grad
    assert gathered is not None and gathered.tolist() == [2, 2]


def test_retained_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    h, k = x * 2, x * 3
    h.retain_grad()
    h.retain_grad()
    x.retain_grad()
    assert h.retains_grad and not k.retains_grad and not x.retains_grad
    (h * k).sum().backward()
    assert h.grad is not None and h.grad.tolist() == [3, 3] and k.grad is None


def test_detach_in_place() -> None:
    x = torch.ones(2, requires_grad=True)
    h = x * 2
    assert h.detach_() is h and h.is_leaf and not h.requires_grad
    with pytest.raises(GradientError, match="a view cannot leave the graph"):
        (x * 2)[0].detach_()


def test_graphs_are_freed() -> None:
    x = torch.ones(2, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = (x * 2).exp()
        node = weakref.ref(y.grad_fn)
        torch.autograd.grad(y.sum(), x, create_graph=True)
        del y
        assert node() is None
    finally:
        gc.enable()


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no gradient": (
        lambda: torch.autograd.grad(torch.ones(1), torch.ones(1)),
        GradientError,
        "does not require a gradient",
    ),
    "input without gradient": (
        lambda: torch.autograd.grad(torch.ones(1, requires_grad=True) * 2, torch.ones(1)),
        GradientError,
        "asked for of a tensor that does not require one",
    ),
    "several elements": (
        lambda: torch.autograd.grad(torch.ones(2, requires_grad=True) * 2, torch.ones(1)),
        GradientError,
        "needs a tensor of one element",
    ),
    "no outputs": (lambda: torch.autograd.grad([], torch.ones(1)), OptionError, "no tensor"),
    "too few weights": (
        lambda: torch.autograd.grad([torch.ones(1), torch.ones(1)], torch.ones(1), [None]),
        OptionError,
        "not one gradient for each output",
    ),
    "wrong weights": (
        lambda: (torch.ones(2, requires_grad=True) * 2).backward(torch.ones(3)),
        ShapeError,
        "does not fit the tensor",
    ),
    "hook": (
        lambda: torch.ones(2).register_hook(lambda g: g),
        GradientError,
        "does not require a gradient",
    ),
    "float32 in gradcheck": (
        lambda: torch.autograd.gradcheck(torch.exp, torch.ones(1, requires_grad=True)),
        DTypeError,
        "gradcheck needs float64",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert caught.value.hint  # type: ignore[attr-defined]
    assert "test_gradients.py" in str(caught.value)


def test_a_hook_returns_a_gradient_of_the_same_shape() -> None:
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match="what a hook returns"):
        (x * 2).sum().backward()
