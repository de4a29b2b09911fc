"""What grad, vjp, jvp and the Jacobians refuse, and how they say so; modules as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

import picograd as torch
from picograd import func
from picograd.errors import (
    DeviceError,
    DTypeError,
    GradientError,
    OptionError,
    PicogradError,
    ShapeError,
    TraceError,
)

X = torch.tensor([1.0, 2.0], device="reference")
ELSEWHERE = torch.ones(2, device="cpu")


def total(x: torch.Tensor) -> torch.Tensor:
    return x.sum()


def changes_what_it_captures() -> Any:
    seen = torch.zeros(2)
    return func.grad(lambda x: seen.add_(x.detach()).sum() + x.sum())(X)


def keeps_a_tensor() -> Any:
    kept: list[torch.Tensor] = []
    func.grad(lambda x: (kept.append(x), x.sum())[1])(X)
    return kept[0] + 1


def keeps_one_for_another() -> Any:
    kept: list[torch.Tensor] = []
    func.grad(lambda x: (kept.append(x), x.sum())[1])(X)
    return func.grad(lambda x: (x * kept[0]).sum())(X)


def vjp_of_another_trace() -> Any:
    pullbacks: list[Any] = []

    @torch.compile
    def function(x: torch.Tensor) -> torch.Tensor:
        output, pullback = func.vjp(torch.exp, x)
        pullbacks.append(pullback)
        return output

    function(X)
    return pullbacks[0](X)


def branch_in_compiled_code() -> Any:
    return torch.compile(func.grad(lambda x: x.sum() if x.sum() > 0 else -x.sum()))(X)


NET = torch.nn.Linear(2, 1)

ERRORS: dict[str, tuple[Callable[[], Any], type[PicogradError], str]] = {
    "no scalar": (lambda: func.grad(lambda x: x)(X), GradientError, "that returns a scalar"),
    "an integer": (lambda: func.grad(lambda x: x.argmax())(X), GradientError, "returns a scalar"),
    "no tensor": (lambda: func.grad(lambda x: 1.0)(X), GradientError, "returns one tensor"),
    "two results": (lambda: func.grad(lambda x: (x.sum(), x))(X), GradientError, "one tensor"),
    "no aux": (lambda: func.grad(total, has_aux=True)(X), OptionError, "returns a pair"),
    "argnums": (lambda: func.grad(total, argnums=1)(X), OptionError, "argument 1 does not exist"),
    "a number": (lambda: func.grad(total)(2.0), DTypeError, "holds something else"),
    "integers": (lambda: func.grad(total)(X.long()), DTypeError, "holds integers or bools"),
    "integers of jacrev": (lambda: func.jacrev(total)(X.long()), DTypeError, "jacrev differentia"),
    "integers of jacfwd": (lambda: func.jacfwd(total)(X.long()), DTypeError, "jacfwd differentia"),
    "a leaf changed in place": (
        lambda: func.grad(lambda x: x.mul_(2).sum())(X),
        GradientError,
        "leaf tensor",
    ),
    "captured state": (changes_what_it_captures, TraceError, "captured tensor is changed in place"),
    "a tensor kept": (keeps_a_tensor, TraceError, "used outside of it"),
    "a tensor kept for another": (keeps_one_for_another, TraceError, "used outside of it"),
    "a vjp function kept": (vjp_of_another_trace, GradientError, "ops that ran outside"),
    "a branch in compiled code": (branch_in_compiled_code, TraceError, "inside a compiled functi"),
    "shape of a gradient": (
        lambda: func.vjp(torch.exp, X)[1](torch.ones(3)),
        ShapeError,
        "does not fit the output",
    ),
    "structure of gradients": (
        lambda: func.vjp(torch.exp, X)[1]((X,)),
        OptionError,
        "have another structure",
    ),
    "vjp of a number": (lambda: func.vjp(lambda x: 3, X), OptionError, "that returns tensors"),
    "shape of a tangent": (
        lambda: func.jvp(torch.exp, (X,), (torch.ones(3),)),
        ShapeError,
        "does not fit its primal",
    ),
    "primals": (lambda: func.jvp(torch.exp, cast(Any, X), (X,)), OptionError, "primals as a tuple"),
    "tangents": (
        lambda: func.jvp(torch.exp, (X,), cast(Any, X)),
        OptionError,
        "tangents as a tuple",
    ),
    "structure of tangents": (
        lambda: func.jvp(torch.exp, (X,), (X, X)),
        OptionError,
        "have another structure",
    ),
    "strict": (
        lambda: func.jvp(lambda x: torch.ones(1), (X,), (X,), strict=True),
        GradientError,
        "depends on no argument",
    ),
    "two devices": (
        lambda: func.grad(lambda x: (x * torch.ones(2, device="cpu").to("cpu")).sum())(X),
        TraceError,
        "one device",
    ),
    "a captured tensor elsewhere": (
        lambda: func.grad(lambda x: (x * ELSEWHERE).sum())(X),
        DeviceError,
        "devices|one device",
    ),
    "unknown parameters": (
        lambda: func.functional_call(NET, {"weigth": X}, X),
        OptionError,
        "not those of Linear",
    ),
    "missing parameters": (
        lambda: func.functional_call(NET, {"weight": X[None]}, X, strict=True),
        OptionError,
        "not those of Linear",
    ),
    "a parameter twice": (
        lambda: func.functional_call(NET, ({"weight": X}, {"weight": X}), X),
        OptionError,
        "in two of the dictionaries",
    ),
    "no models": (lambda: func.stack_module_state([]), ShapeError, "modules of one class"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do_and_where(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert caught.value.hint
    assert "test_reverse_and_forward.py" in str(caught.value)
    assert not torch.ones(2).requires_grad


def test_functional_call_replaces_for_one_call() -> None:
    last = torch.nn.Linear(2, 1)
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), last)
    before = {name: id(p) for name, p in net.named_parameters()}
    zeros = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    x = X.to("reference")
    assert func.functional_call(net, zeros, (x,)).tolist() == [0]
    only_bias = func.functional_call(net, {"1.weight": zeros["1.weight"]}, x)
    assert last.bias is not None and only_bias.tolist() == last.bias.tolist()
    assert {name: id(p) for name, p in net.named_parameters()} == before
    with pytest.raises(ShapeError):
        func.functional_call(net, {"0.weight": torch.ones(3, 3)}, x)
    assert {name: id(p) for name, p in net.named_parameters()} == before


def test_tied_parameters_are_replaced_together() -> None:
    layers = [torch.nn.Linear(2, 2, bias=False) for _ in range(2)]
    layers[1].weight = layers[0].weight
    net = torch.nn.Sequential(*layers)
    weight = {"0.weight": torch.eye(2) * 2}
    assert func.functional_call(net, weight, X).tolist() == [4, 8]
    once = func.functional_call(net, weight, X, tie_weights=False)
    assert once.tolist() == pytest.approx((net[1](X * 2)).tolist())


def test_values_can_be_looked_at_while_differentiating() -> None:
    seen: list[str] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(f"{x.sum():.1f} {x}")
        return x.sum() if float(x[0]) > 0 else -x.sum()

    assert func.grad(function)(X).tolist() == [1, 1]
    func.jvp(function, (X,), (X,))
    assert seen[0].startswith("3.0 tensor([1., 2.]") and seen[1].startswith("3.0 tensor([1., 2.]")
