"""The workloads in PyTorch's words: one definition for PyTorch, torch.compile and picograd."""

# Libraries without types, and some that are not installed where types are checked.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd.study.benches.cpu import limits
from picograd.study.benches.cpu.models import ModelWords, gpt_scores, loss_of_step
from picograd.study.benches.cpu.prepared import LEARNING_RATE, Prepared, Sizes, many
from picograd.study.benches.cpu.spelled_alike import IN_METHODS

Array = NDArray[Any]
Function = Callable[..., Any]


def functions(m: Any) -> dict[str, Function]:
    """The workloads that need no gradient; `m` is torch or picograd."""
    F = m.nn.functional
    return {
        **IN_METHODS,
        "gelu(x@W+b)": lambda x, w, b: F.gelu(x @ w + b, approximate="tanh"),
        "softmax": lambda x: m.softmax(x, -1),
        "layernorm": lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b),
    }


def model_words(m: Any) -> ModelWords:
    """What the models are made of."""
    F = m.nn.functional
    return ModelWords(
        linear=F.linear,
        relu=F.relu,
        gelu=partial(F.gelu, approximate="tanh"),
        layer_norm=lambda x, weight, bias: F.layer_norm(x, (x.shape[-1],), weight, bias),
        embed=lambda table, numbers: F.embedding(numbers, table),
        permute=lambda x, axes: x.permute(*axes),
        attend=partial(F.scaled_dot_product_attention, is_causal=True),
        cross_entropy=F.cross_entropy,
    )


def _as_it_is(function: Function) -> Function:
    return function


class InTorchWords:
    """A library with PyTorch's interface as a contender.

    PyTorch differentiates outside of what torch.compile compiles, picograd inside.
    """

    def __init__(
        self, m: Any, *, inside: Function = _as_it_is, whole: Function = _as_it_is
    ) -> None:
        """`inside` compiles a function or a loss, `whole` a computation with its gradients."""
        self.m = m
        self.inside, self.whole = inside, whole
        self.words = model_words(m)

    def versions(self) -> dict[str, str]:
        """What was measured."""
        return {self.m.__name__: str(getattr(self.m, "__version__", "unknown"))}

    def prepare(self, workload: str, sizes: Sizes, operands: Sequence[Array]) -> Prepared:
        """The workload with its operands in place."""
        if workload in limits.LIMITS:
            return limits.LIMITS[workload](sizes)
        tensors = [self.m.tensor(one) for one in operands]
        if workload == "cross entropy":
            return self._cross_entropy(*tensors)
        if workload == "GPT forward":
            letters, _, *parameters = tensors
            heads = sizes[2]
            scores = self._compiled(lambda x: gpt_scores(self.words, parameters, x, heads))
            return self._without_gradients(scores, [letters])
        if workload.endswith("step"):
            return self._step(workload, sizes, tensors)
        function = functions(self.m)[workload]
        if workload == "layer":
            # A model's weight: what is compiled reads it, and takes the rest.
            x, weight = tensors
            layer = self._compiled(lambda x: function(x, weight))
            return self._without_gradients(layer, [x])
        return self._without_gradients(self._compiled(function), tensors)

    def _compiled(self, function: Function) -> Function:
        return self.whole(self.inside(function))

    def _without_gradients(self, function: Function, tensors: Sequence[Any]) -> Prepared:
        no_grad: Callable[[], AbstractContextManager[object]] = self.m.no_grad

        def call() -> Any:
            with no_grad():
                return function(*tensors)

        return Prepared(call, _arrays)

    def _cross_entropy(self, scores: Any, labels: Any) -> Prepared:
        loss_of = self.inside(self.m.nn.functional.cross_entropy)

        def gradient(scores: Any, labels: Any) -> Any:
            leaf = scores.detach().requires_grad_()
            loss = loss_of(leaf, labels)
            return loss, self.m.autograd.grad(loss, [leaf])[0]

        both = self.whole(gradient)
        return Prepared(lambda: both(scores, labels), _arrays)

    def _step(self, workload: str, sizes: Sizes, tensors: Sequence[Any]) -> Prepared:
        x, expected, *given = tensors
        parameters = [one.clone().requires_grad_() for one in given]
        optimizer = self.m.optim.SGD(parameters, lr=LEARNING_RATE)
        loss_of = self.inside(loss_of_step(workload, self.words, sizes))

        def train(x: Any, expected: Any) -> Any:
            optimizer.zero_grad()
            loss = loss_of(parameters, x, expected)
            loss.backward()
            optimizer.step()
            return loss

        step = self.whole(train)

        def restart() -> None:
            with self.m.no_grad():
                for parameter, first in zip(parameters, given, strict=True):
                    parameter.copy_(first)

        return Prepared(
            lambda: step(x, expected), lambda loss: _arrays((loss, *parameters)), restart
        )


def in_picograd() -> InTorchWords:
    """picograd, compiling all there is."""
    return InTorchWords(picograd, whole=picograd.compile)


def in_torch() -> InTorchWords:
    """PyTorch, one op after another."""
    return InTorchWords(import_module("torch"))


def in_torch_compile() -> InTorchWords:
    """PyTorch with `torch.compile`."""
    torch = import_module("torch")
    return InTorchWords(torch, inside=partial(torch.compile, dynamic=False))


def _arrays(result: Any) -> list[Array]:
    return [np.array(one.detach().numpy()) for one in many(result)]
