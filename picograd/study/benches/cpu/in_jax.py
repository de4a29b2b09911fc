"""The workloads in JAX, under `jax.jit`."""

# Libraries without types, and some that are not installed where types are checked.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.study.benches.cpu.models import ModelWords, gpt_scores, loss_of_step
from picograd.study.benches.cpu.prepared import LEARNING_RATE, Prepared, Sizes, many
from picograd.study.benches.cpu.spelled_alike import SPELLED_ALIKE

Array = NDArray[Any]


class InJax:
    """JAX as a contender."""

    def __init__(self) -> None:
        self.jax: Any = import_module("jax")
        self.np: Any = import_module("jax.numpy")
        self.words = ModelWords(
            linear=lambda x, w, b: x @ w.T if b is None else x @ w.T + b,
            relu=self.jax.nn.relu,
            gelu=self._gelu,
            layer_norm=self._layer_norm,
            embed=lambda table, numbers: table[numbers],
            permute=lambda x, axes: x.transpose(axes),
            attend=self._attend,
            cross_entropy=self._cross_entropy,
        )

    def versions(self) -> dict[str, str]:
        """What was measured."""
        jaxlib: Any = import_module("jaxlib")
        return {"jax": self.jax.__version__, "jaxlib": jaxlib.__version__}

    def _gelu(self, x: Any) -> Any:
        return self.jax.nn.gelu(x, approximate=True)

    def _layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        variance = self.np.square(x - mean).mean(-1, keepdims=True)
        return (x - mean) * self.jax.lax.rsqrt(variance + 1e-5) * weight + bias

    def _attend(self, query: Any, key: Any, value: Any) -> Any:
        length, width = query.shape[-2:]
        scores = query @ key.swapaxes(-1, -2) * (1 / sqrt(width))
        scores = self.np.where(np.tri(length, dtype=np.bool_), scores, -np.inf)
        return self.jax.nn.softmax(scores, -1) @ value

    def _cross_entropy(self, scores: Any, labels: Any) -> Any:
        logarithms = self.jax.nn.log_softmax(scores, -1)
        return -self.np.take_along_axis(logarithms, labels[:, None], 1).mean()

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The workloads that are functions of their operands."""
        jnp = self.np
        return {
            **SPELLED_ALIKE,
            "gelu(x@W+b)": lambda x, w, b: self._gelu(x @ w + b),
            "softmax": lambda x: self.jax.nn.softmax(x, -1),
            "layernorm": self._layer_norm,
            "variance": lambda x: x.var(1, ddof=1),
            "cross entropy": self.jax.value_and_grad(self._cross_entropy),
            "transpose copy": lambda x: x.T.copy(),
            "chain": lambda x, y: self.jax.nn.relu((x * y + x) * 0.5 - y) * x + jnp.abs(y),
        }

    def prepare(self, workload: str, sizes: Sizes, operands: Sequence[Array]) -> Prepared:
        """The workload with its operands in place."""
        jax = self.jax
        arrays = [self.np.asarray(one) for one in operands]
        if workload.endswith("step"):
            return self._step(workload, sizes, arrays)
        if workload == "GPT forward":
            letters, _, *parameters = arrays
            arrays = [parameters, letters]
            run = jax.jit(partial(gpt_scores, self.words, heads=sizes[2]))
        else:
            run = jax.jit(self.functions()[workload])
        return Prepared(lambda: jax.block_until_ready(run(*arrays)), _arrays)

    def _step(self, workload: str, sizes: Sizes, arrays: Sequence[Any]) -> Prepared:
        jax = self.jax
        x, expected, *given = arrays
        differentiate = jax.value_and_grad(loss_of_step(workload, self.words, sizes))

        def step(parameters: Any, x: Any, expected: Any) -> Any:
            loss, gradients = differentiate(parameters, x, expected)
            moved = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients)
            return loss, moved

        run = jax.jit(step, donate_argnums=0)
        state: list[Any] = []

        def restart() -> None:
            state[:] = [one.copy() for one in given]

        def call() -> Any:
            loss, state[:] = jax.block_until_ready(run(list(state), x, expected))
            return loss

        restart()
        return Prepared(call, lambda loss: _arrays((loss, *state)), restart)


def _arrays(result: Any) -> list[Array]:
    return [np.asarray(one) for one in many(result)]
