"""The same code with `torch.func`: equal values, shapes, dtypes, and what requires a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd
from picograd.func.trees import shape_of_tree

real = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def loss(t: Any, w: Any, x: Any, y: Any) -> Any:
    return t.nn.functional.cross_entropy((x @ w)[None], y[None])


def twist(x: Any) -> Any:
    return (x.sin() * x.prod()).sum()


def in_place(t: Any, x: Any) -> Any:
    y = t.zeros(4) + 0 * x
    y[1:] = x[:-1] * 2
    return y.mul_(x)


def under_no_grad(t: Any, x: Any, inside: bool) -> Any:
    def function(x: Any) -> Any:
        with t.set_grad_enabled(not inside):
            constant = x**2
        return (x - constant).sum()

    with t.set_grad_enabled(inside):
        return t.func.grad(function)(x.requires_grad_())


def gradient_through(t: Any, x: Any) -> Any:
    x.requires_grad_()
    batch = x[None] * t.ones(3, 1)
    result = t.func.vmap(t.func.grad(lambda v: (v * v * x).sum()))(batch)
    result.sum().backward()
    return result, x.grad


def both_vjps(t: Any, x: Any) -> Any:
    output, pullback = t.func.vjp(lambda x, y: {"a": x.exp() * y, "b": x[:2]}, x, x * 2)
    ones = {"a": output["a"], "b": output["b"] * 3}
    return output, pullback(ones), pullback(ones)


def with_aux(t: Any, x: Any) -> Any:
    f = t.func
    pair = f.vjp(lambda x: (x * 2, {"seen": x.sum()}), x, has_aux=True)
    return (
        f.grad(lambda x: (twist(x), x * 3), has_aux=True)(x),
        f.grad_and_value(lambda x, y: ((x * y).sum(), y), argnums=(1, 0), has_aux=True)(x, x),
        (pair[0], pair[1](x), pair[2]),
        f.jvp(lambda x: (x * 2, x.sum()), (x,), (x,), has_aux=True),
        f.jacrev(lambda x: (x.sin(), x * 1), has_aux=True)(x),
        f.jacfwd(lambda x: (x.sin(), x * 1), has_aux=True)(x),
    )


def trees(t: Any, x: Any, w: Any) -> Any:
    def function(state: Any, scale: Any) -> Any:
        return (state["w"] @ state["parts"][0] * scale).sum()

    state = {"w": w.T, "parts": (x, x * 2)}
    batch = {"x": t.stack([x, x * 2]), "s": x}
    mapped = t.func.vmap(
        lambda d: {"o": d["x"] * d["s"], "c": d["s"]},
        in_dims=({"x": 0, "s": None},),
        out_dims={"o": 1, "c": None},
    )
    return t.func.grad(function)(state, 2.0), mapped(batch)


def ensemble(t: Any, batch: Any) -> Any:
    models = [t.nn.Linear(4, 2) for _ in range(3)]
    rng = np.random.default_rng(0)
    with t.no_grad():
        for model in models:
            for parameter in model.parameters():
                values = rng.standard_normal(tuple(parameter.shape)).astype(np.float32)
                parameter.copy_(t.tensor(values))
    params, buffers = t.func.stack_module_state(models)

    def call(params: Any, buffers: Any, x: Any) -> Any:
        return t.func.functional_call(models[0], (params, buffers), (x,))

    return t.func.vmap(call, (0, 0, None))(params, buffers, batch)


CASES: dict[str, Callable[..., Any]] = {
    "grad": lambda t, x, w, b, y: t.func.grad(lambda x: (x.sin() * x).sum())(x),
    "grad of an unused argument": lambda t, x, w, b, y: t.func.grad(lambda x: w.sum())(x),
    "negative argnums": lambda t, x, w, b, y: t.func.grad(lambda a, c: (a * c).sum(), -1)(x, x * 2),
    "keyword arguments": lambda t, x, w, b, y: t.func.grad(lambda x, *, k: (x * k).sum())(x, k=x),
    "a branch on a value": lambda t, x, w, b, y: t.func.grad(
        lambda x: x.sum() if x.sum() > 0 else -x.sum()
    )(x),
    "grad of grad": lambda t, x, w, b, y: t.func.vmap(
        t.func.grad(t.func.grad(lambda x: x.sin() * x * x))
    )(x),
    "third derivative": lambda t, x, w, b, y: t.func.grad(
        t.func.grad(t.func.grad(lambda x: x.exp() * x.tanh()))
    )(x[0]),
    "perturbations are told apart": lambda t, x, w, b, y: t.func.grad(
        lambda x: x * t.func.grad(lambda y: x * y * y)(x * 2)
    )(x[0]),
    "tangents are told apart": lambda t, x, w, b, y: t.func.jvp(
        lambda x: t.func.jvp(lambda y: (y * y * x).sum(), (x,), (x,))[1], (x,), (x * 2,)
    ),
    "per-sample gradients": lambda t, x, w, b, y: t.func.vmap(
        t.func.grad(lambda w, x, y: loss(t, w, x, y)), in_dims=(None, 0, 0)
    )(w, b, y),
    "jvp": lambda t, x, w, b, y: t.func.jvp(
        lambda x: (x.sin(), x.prod(), w), (x,), (x * 2,)
    ),
    "forward over reverse": lambda t, x, w, b, y: t.func.jvp(t.func.grad(twist), (x,), (x * 2,)),
    "reverse over forward": lambda t, x, w, b, y: t.func.grad(
        lambda x: t.func.jvp(twist, (x,), (x * x,))[1]
    )(x),
    "vjp": lambda t, x, w, b, y: both_vjps(t, x),
    "aux": lambda t, x, w, b, y: with_aux(t, x),
    "trees": lambda t, x, w, b, y: trees(t, x, w),
    "jacrev": lambda t, x, w, b, y: t.func.jacrev(
        lambda b, w: {"a": t.tanh(b @ w), "b": b.sum(0)}, argnums=(0, 1)
    )(b, w),
    "jacfwd": lambda t, x, w, b, y: t.func.jacfwd(
        lambda b, w: {"a": t.tanh(b @ w), "b": b.sum(0)}, argnums=(0, 1)
    )(b, w),
    "jacrev in pieces": lambda t, x, w, b, y: t.func.jacrev(twist, chunk_size=3)(x),
    "hessian": lambda t, x, w, b, y: t.func.hessian(twist)(x),
    "hessian of two": lambda t, x, w, b, y: t.func.hessian(
        lambda a, c: (a * a * c.sin()).sum(), argnums=(0, 1)
    )(x, x * 2),
    "jacrev of jacfwd": lambda t, x, w, b, y: t.func.jacrev(t.func.jacfwd(twist))(x),
    "jacfwd of jacfwd": lambda t, x, w, b, y: t.func.jacfwd(t.func.jacfwd(twist))(x),
    "jacrev of jacrev": lambda t, x, w, b, y: t.func.jacrev(t.func.jacrev(twist))(x),
    "hessians of a batch": lambda t, x, w, b, y: t.func.vmap(t.func.hessian(twist))(b),
    "vmap of a product": lambda t, x, w, b, y: t.func.vmap(lambda x: x @ w)(b),
    "vmap of the other factor": lambda t, x, w, b, y: t.func.vmap(
        lambda v: b @ v, in_dims=1, out_dims=1
    )(w),
    "nested vmap": lambda t, x, w, b, y: t.func.vmap(
        t.func.vmap(lambda a, c: (a * c).sum(), in_dims=(None, 0)), in_dims=(0, None)
    )(b, w.T),
    "vmap in pieces": lambda t, x, w, b, y: t.func.vmap(
        lambda x: x * 2, chunk_size=2, out_dims=-1
    )(b),
    "vmap of what depends on nothing": lambda t, x, w, b, y: t.func.vmap(
        lambda x: (t.ones(2), w)
    )(b),
    "vmap of changes in place": lambda t, x, w, b, y: t.func.vmap(lambda x: in_place(t, x))(b),
    "derivatives of changes in place": lambda t, x, w, b, y: (
        t.func.jacrev(lambda x: in_place(t, x))(x),
        t.func.jvp(lambda x: in_place(t, x), (x,), (b[1],)),
    ),
    "indices": lambda t, x, w, b, y: t.func.vmap(
        lambda x, y: (x[y], x.max(0)[0], x.argmax(), t.where(x > 0, x, x * 0))
    )(b, y),
    "softmax": lambda t, x, w, b, y: t.func.vmap(t.func.jacrev(lambda x: x.softmax(0)))(b),
    "no_grad inside": lambda t, x, w, b, y: under_no_grad(t, x, True),
    "no_grad outside": lambda t, x, w, b, y: under_no_grad(t, x, False),
    "gradients through transformations": lambda t, x, w, b, y: gradient_through(t, x),
    "an ensemble": lambda t, x, w, b, y: ensemble(t, b),
}  # fmt: skip


def flat(result: Any) -> list[Any]:
    if isinstance(result, dict):
        return [leaf for key in result for leaf in flat(result[key])]
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_torch(rng: np.random.Generator, name: str) -> None:
    arrays = [
        rng.standard_normal(4).astype(np.float32),
        rng.standard_normal((4, 3)).astype(np.float32),
        rng.standard_normal((5, 4)).astype(np.float32),
        rng.integers(0, 3, 5),
    ]
    ours, theirs = (
        CASES[name](torch, *[torch.tensor(array) for array in arrays]) for torch in (picograd, real)
    )
    assert shape_of_tree(ours) == shape_of_tree(theirs)
    ours, theirs = flat(ours), flat(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert repr(a.dtype).rpartition(".")[2] == str(b.dtype).rpartition(".")[2]
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)
