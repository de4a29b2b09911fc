"""The workloads in NumPy, as one writes them who knows it; exact where operands are float64."""

# Libraries without types, and some that are not installed where types are checked.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.study.benches.cpu import numpy_gpt
from picograd.study.benches.cpu.prepared import LEARNING_RATE, Prepared, Sizes, many

Array: TypeAlias = NDArray[Any]


def gelu(x: Array) -> Array:
    """gelu by its tanh form, which every library has."""
    inner = x * x
    inner *= 0.044715
    inner += 1
    inner *= x
    inner *= sqrt(2 / pi)
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= 0.5
    return inner


def softmax(x: Array) -> Array:
    """Of each row."""
    powers = x - x.max(-1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(-1, keepdims=True)
    return powers


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Of each row."""
    centred = x - x.mean(-1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred)[:, None] / x.shape[-1]
    centred *= 1 / np.sqrt(variance + 1e-5)
    centred *= weight
    centred += bias
    return centred


def cross_entropy(scores: Array, labels: Array) -> tuple[Array, Array]:
    """The mean loss of float[n, classes], and its gradient."""
    rows = np.arange(len(labels))
    shifted = scores - scores.max(-1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(-1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - shifted[rows, labels])
    powers /= sums
    powers[rows, labels] -= 1
    powers /= len(labels)
    return loss, powers


def chain(x: Array, y: Array) -> Array:
    """relu((x * y + x) * 0.5 - y) * x + |y|: eight operations."""
    total = x * y
    total += x
    total *= 0.5
    total -= y
    np.maximum(total, 0, out=total)
    total *= x
    total += np.abs(y)
    return total


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "matmul NN": np.matmul,
    "matmul NT": lambda a, b: a @ b.T,
    "layer": lambda x, w: x @ w.T,
    "matmul TN": lambda a, b: a.T @ b,
    "batched": np.matmul,
    "matvec": np.matmul,
    "vecmat": np.matmul,
    "gelu(x@W+b)": lambda x, w, b: gelu(x @ w + b),
    "softmax": softmax,
    "layernorm": layer_norm,
    "variance": lambda x: x.var(1, ddof=1),
    "cross entropy": cross_entropy,
    "column sum": lambda x: x.sum(0),
    "column mean": lambda x: x.mean(0),
    "row sum": lambda x: x.sum(1),
    "full sum": lambda x: x.sum(),
    "argmax rows": lambda x: x.argmax(1),
    "argmax columns": lambda x: x.argmax(0),
    "cumsum": lambda x: x.cumsum(1),
    "transpose copy": lambda x: np.ascontiguousarray(x.T),
    "chain": chain,
}


def mlp_step(x: Array, labels: Array, parameters: Sequence[Array]) -> list[Array]:
    """The loss, and the parameters after a step of gradient descent."""
    w1, b1, w2, b2, w3, b3 = parameters
    first = np.maximum(x @ w1.T + b1, 0)
    second = np.maximum(first @ w2.T + b2, 0)
    loss, gradient = cross_entropy(second @ w3.T + b3, labels)
    gradients: list[Array] = [gradient.T @ second, gradient.sum(0)]
    gradient = (gradient @ w3) * (second > 0)
    gradients = [gradient.T @ first, gradient.sum(0), *gradients]
    gradient = (gradient @ w2) * (first > 0)
    return [loss, *descended(parameters, [gradient.T @ x, gradient.sum(0), *gradients])]


def gpt_step(
    letters: Array, following: Array, parameters: Sequence[Array], heads: int
) -> list[Array]:
    """The loss, and the parameters after a step of gradient descent."""
    found = numpy_gpt.forward(parameters, letters, heads)
    loss, gradient = cross_entropy(
        found.scores.reshape(-1, found.scores.shape[-1]), following.reshape(-1)
    )
    gradients = numpy_gpt.backward(found, gradient.reshape(found.scores.shape))
    return [loss, *descended(parameters, gradients)]


def descended(parameters: Sequence[Array], gradients: Sequence[Array]) -> list[Array]:
    """The parameters after a step; a float32 stays one."""
    return [p - p.dtype.type(LEARNING_RATE) * g for p, g in zip(parameters, gradients, strict=True)]


class InNumpy:
    """NumPy as a contender."""

    def versions(self) -> dict[str, str]:
        """What was measured."""
        return {"numpy": np.__version__}

    def prepare(self, workload: str, sizes: Sizes, operands: Sequence[Array]) -> Prepared:
        """The workload with its operands in place."""
        if workload in FUNCTIONS:
            function = FUNCTIONS[workload]
            return Prepared(lambda: function(*operands), _arrays)
        x, expected, *given = operands
        state: list[Any] = list(given)
        if workload == "GPT forward":
            return Prepared(lambda: numpy_gpt.scores(given, x, sizes[2]), _arrays)

        def step() -> list[Array]:
            if workload == "MLP step":
                loss, *state[:] = mlp_step(x, expected, state)
            else:
                loss, *state[:] = gpt_step(x, expected, state, sizes[2])
            return [loss, *state]

        def restart() -> None:
            state[:] = given

        return Prepared(step, _arrays, restart)


def _arrays(result: Any) -> list[Array]:
    return [np.asarray(one) for one in many(result)]
