"""The workloads in tinygrad, under its `TinyJit`."""

# Libraries without types, and some that are not installed where types are checked.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.study.benches.cpu.models import ModelWords, gpt_scores, loss_of_step
from picograd.study.benches.cpu.prepared import LEARNING_RATE, Prepared, Sizes, many
from picograd.study.benches.cpu.spelled_alike import IN_METHODS

Array = NDArray[Any]


def functions() -> dict[str, Callable[..., Any]]:
    """The workloads that are functions of their operands."""
    return {
        **IN_METHODS,
        "gelu(x@W+b)": lambda x, w, b: (x @ w + b).gelu(),
        "softmax": lambda x: x.softmax(-1),
        "layernorm": _layer_norm,
    }


def _layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    return x.layernorm(eps=1e-5) * weight + bias


WORDS = ModelWords(
    linear=lambda x, w, b: x @ w.T if b is None else x @ w.T + b,
    relu=lambda x: x.relu(),
    gelu=lambda x: x.gelu(),
    layer_norm=_layer_norm,
    embed=lambda table, numbers: table[numbers],
    permute=lambda x, axes: x.permute(*axes),
    attend=lambda q, k, v: q.scaled_dot_product_attention(k, v, is_causal=True),
    cross_entropy=lambda scores, labels: scores.sparse_categorical_crossentropy(labels),
)


class InTinygrad:
    """tinygrad as a contender."""

    def __init__(self) -> None:
        tinygrad: Any = import_module("tinygrad")
        self.Tensor, self.jit = tinygrad.Tensor, tinygrad.TinyJit
        self.device: Any = tinygrad.Device[tinygrad.Device.DEFAULT]

    def versions(self) -> dict[str, str]:
        """What was measured."""
        return {"tinygrad": version("tinygrad")}

    def prepare(self, workload: str, sizes: Sizes, operands: Sequence[Array]) -> Prepared:
        """The workload with its operands in place."""
        tensors = [self.Tensor(one).realize() for one in operands]
        if workload.endswith("step"):
            return self._step(workload, sizes, tensors)
        if workload == "cross entropy":

            def function(scores: Any, labels: Any) -> Any:
                loss = WORDS.cross_entropy(scores, labels)
                (gradient,) = loss.gradient(scores)
                return loss.realize(gradient), gradient

            run = self.jit(function)
        elif workload == "GPT forward":
            letters, _, *parameters = tensors
            tensors = [letters]
            run = self.jit(lambda x: gpt_scores(WORDS, parameters, x, sizes[2]).realize())
        else:
            plain = functions()[workload]
            run = self.jit(lambda *given: plain(*given).realize())
        return Prepared(lambda: run(*tensors), _arrays, finish=self.device.synchronize)

    def _step(self, workload: str, sizes: Sizes, tensors: Sequence[Any]) -> Prepared:
        x, expected, *given = tensors
        parameters = [one.clone().realize() for one in given]
        loss_of = loss_of_step(workload, WORDS, sizes)

        def train(x: Any, expected: Any) -> Any:
            loss = loss_of(parameters, x, expected)
            gradients = loss.gradient(*parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.assign(parameter - LEARNING_RATE * gradient)
            return loss.realize(*parameters)

        step = self.jit(train)

        def restart() -> None:
            for parameter, first in zip(parameters, given, strict=True):
                parameter.assign(first).realize()

        return Prepared(
            lambda: step(x, expected),
            lambda loss: _arrays((loss, *parameters)),
            restart,
            self.device.synchronize,
        )


def _arrays(result: Any) -> list[Array]:
    return [np.asarray(one.numpy()) for one in many(result)]
