"""Operations with a gradient of their own, eagerly and compiled, and against PyTorch."""

import importlib
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import GradientError, OptionError, ShapeError

X = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
Y = np.random.default_rng(4).normal(size=(3, 4)).astype(np.float32)


def functions(torch: Any) -> dict[str, Any]:
    """The same classes in either library."""

    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (y,) = ctx.saved_tensors
            return grad * y

    class Clipped(torch.autograd.Function):
        """The gradient passes straight through, cut to an interval."""

        @staticmethod
        def forward(ctx: Any, x: Any, low: float, high: float) -> Any:
            ctx.bounds = low, high
            return torch.round(x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad.clamp(*ctx.bounds), None, None

    class Both(torch.autograd.Function):
        """Two results, and a context that is set up apart."""

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x * y, x + y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, product: Any, total: Any) -> Any:
            x, y = ctx.saved_tensors
            return product * y + total, product * x + total * 2

    return {"Exp": Exp, "Clipped": Clipped, "Both": Both}


def gradients(torch: Any, call: str) -> list[Any]:
    made = functions(torch)
    x = torch.tensor(X, requires_grad=True)
    y = torch.tensor(Y, requires_grad=True)
    match call:
        case "saved result":
            loss = (made["Exp"].apply(x) * y).sum()
        case "straight through":
            loss = (made["Clipped"].apply(x * 2, -0.5, 1.0) * y).sum()
        case "both results":
            a, b = made["Both"].apply(x, y)
            loss = (a * b).sum()
        case "the second result":
            loss = (made["Both"].apply(x, y)[1] * 3).sum()
        case "the same argument twice":
            loss = made["Both"].apply(x, x)[0].sum() + y.sum()
        case "a chain":
            loss = made["Exp"].apply(made["Exp"].apply(x.mul(0.1))[1:]).sum() * y.mean()
        case _:
            raise AssertionError(call)
    loss.backward()
    return [x.grad, y.grad]


CALLS = (
    "saved result",
    "straight through",
    "both results",
    "the second result",
    "the same argument twice",
    "a chain",
)


@pytest.mark.pytorch
@pytest.mark.parametrize("call", CALLS)
def test_gradients_are_those_of_pytorch(call: str) -> None:
    real = importlib.import_module("torch")
    for ours, theirs in zip(gradients(torch, call), gradients(real, call), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("call", CALLS)
def test_compiled_is_eager(call: str, device: str) -> None:
    torch.set_default_device(device)
    try:
        compiled = torch.compile(lambda: gradients(torch, call))()
        for ours, expected in zip(compiled, gradients(torch, call), strict=True):
            np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize("name", ["Exp", "Both"])
def test_second_derivatives(name: str) -> None:
    function = functions(torch)[name]
    x = torch.tensor(X[0, :2], dtype=torch.float64, requires_grad=True)

    def call(x: Any) -> Any:
        return function.apply(x)[:] if name == "Exp" else function.apply(x, x.detach() + 1)[0]

    (slope,) = torch.autograd.grad(call(x).sum(), x, create_graph=True)
    if name == "Exp":
        assert torch.autograd.gradgradcheck(call, x)
    else:
        assert slope is not None
        np.testing.assert_allclose(slope.detach().numpy(), x.detach().numpy() + 1)


def test_saved_values_are_guarded() -> None:
    function = functions(torch)["Exp"]
    x = torch.tensor(X, requires_grad=True)
    y = function.apply(x)
    y.mul_(2)
    with pytest.raises(GradientError, match="changed by an operation in place"):
        y.sum().backward()
    y = function.apply(x)
    y.sum().backward()
    with pytest.raises(GradientError, match="second time"):
        y.sum().backward()


def test_kept_graphs_serve_again() -> None:
    x = torch.tensor(X, requires_grad=True)
    y = functions(torch)["Exp"].apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(X), rtol=1e-5)


class Marked(torch.autograd.Function):
    seen: tuple[Any, ...] = ()

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, count: int) -> Any:
        ctx.set_materialize_grads(False)
        index = x.argmax()
        copy = x.clone()
        ctx.mark_non_differentiable(copy)
        Marked.seen = ctx.needs_input_grad
        return x * count, index, copy, x + 1

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, a: Any, index: Any, copy: Any, b: Any) -> Any:
        assert index is None and copy is None and b is None
        return a * 3, None


def test_what_a_context_says() -> None:
    x = torch.tensor(X, requires_grad=True)
    scaled, index, copy, more = Marked.apply(x, 2)
    assert Marked.seen == (True, False)
    assert [t.requires_grad for t in (scaled, index, copy, more)] == [True, False, False, True]
    assert scaled.grad_fn is not None and scaled.grad_fn.name == "MarkedBackward"
    (grad,) = torch.autograd.grad(scaled.sum(), x, create_graph=True)
    assert grad is not None
    np.testing.assert_array_equal(grad.detach().numpy(), np.full_like(X, 3))
    with pytest.raises(GradientError, match="once_differentiable"):
        grad.sum().backward()


def test_nothing_is_recorded_without_need() -> None:
    function = functions(torch)["Exp"]
    assert not function.apply(torch.tensor(X)).requires_grad
    with torch.no_grad():
        assert not function.apply(torch.tensor(X, requires_grad=True)).requires_grad


def test_errors() -> None:
    x = torch.tensor(X, requires_grad=True)

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, returned: Any) -> Any:
            ctx.returned = returned
            return x * y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return ctx.returned

    with pytest.raises(OptionError, match="for each argument") as few:
        Wrong.apply(x, x, (x.detach(),)).sum().backward()
    with pytest.raises(ShapeError, match="does not fit") as shape:
        Wrong.apply(x, x, (torch.ones(2), None, None)).sum().backward()
    with pytest.raises(OptionError, match="without forward") as missing:
        torch.autograd.Function.apply(x)
    with pytest.raises(GradientError, match="jvp") as level:
        torch.func.jvp(functions(torch)["Exp"].apply, (x.detach(),), (x.detach(),))
    with pytest.raises(GradientError, match="mark_dirty") as dirty:
        torch.autograd.function.FunctionCtx((True,)).mark_dirty(x)
    for raised in (few, shape, missing, level, dirty):
        assert raised.value.hint
