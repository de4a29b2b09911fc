"""Runs a row's cases: with picograd on a device, eagerly or compiled, or with PyTorch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

import picograd
from picograd.check.functions.table import (
    Case,
    ErrorCase,
    Function,
    Input,
    View,
    base_of,
    resolve,
    shown,
)
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass

NUMPY_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True)
class Found:
    """What a library gave for one case."""

    results: tuple[Array, ...]
    gradients: tuple[Array, ...]
    """Of the weighted sum of the float results, for each input of float dtype."""
    dtypes: tuple[str, ...]
    tracked: tuple[bool, ...] = ()
    """Whether each result requires a gradient; unknown (empty) in a compiled function."""


@dataclass(frozen=True)
class Sample:
    """One case of a row, with the weights of its results."""

    row: Function
    case: Case
    weights: tuple[Array, ...]

    def __str__(self) -> str:
        return f"{self.row.name}, case {self.case.label!r}"


def seed_of(row: Function, seed: int = 0) -> int:
    """The seed of a row's random inputs."""
    return seed ^ zlib.crc32(row.name.encode())


def name_of(dtype: object) -> str:
    """The name that a dtype has in both libraries."""
    return str(dtype).rsplit(".", 1)[-1]


def is_float(array: Array) -> bool:
    return array.dtype.kind == "f"


def leaves_of(torch: Any, case: Case) -> list[Any]:
    """A tensor for each input of a case, without gradient."""
    leaves: list[Any] = []
    for given in case.inputs:
        array = np.array(base_of(given), order="C")
        leaf = torch.tensor(array)
        if case.dtype and is_float(array):
            leaf = leaf.to(getattr(torch, case.dtype))
        leaves.append(leaf)
    return leaves


def options_of(torch: Any, options: Mapping[str, object]) -> dict[str, object]:
    """Options in which names of dtypes, "torch.float64", stand for the library's objects."""
    return {
        name: resolve(torch, value)
        if isinstance(value, str) and value.startswith("torch.")
        else value
        for name, value in options.items()
    }


def listed(value: Any) -> list[Any]:
    """What a function returns, one value or several, as a list."""
    return list(cast(Sequence[Any], value)) if isinstance(value, tuple | list) else [value]


def apply(
    torch: Any, sample: Sample, leaves: Sequence[Any]
) -> tuple[list[Any], list[Any], list[bool]]:
    """Results, gradients, and whether each result requires one; tensors of their own storage."""
    row, case = sample.row, sample.case
    floats = [leaf.is_floating_point() and row.differentiable for leaf in leaves]
    own = [
        leaf.detach().requires_grad_() if wanted else leaf
        for leaf, wanted in zip(leaves, floats, strict=True)
    ]
    tensors = [shown(given, leaf) for given, leaf in zip(case.inputs, own, strict=True)]
    results = listed(row.call(torch, *tensors, **options_of(torch, case.options)))
    tracked = [bool(result.requires_grad) for result in results]
    gradients: list[Any] = []
    if any(tracked):
        total: Any = 0
        for result, weight in zip(results, sample.weights, strict=True):
            if result.requires_grad:
                total = total + (result * torch.tensor(weight).to(result.dtype)).sum()
        total.backward()
    for leaf, wanted in zip(own, floats, strict=True):
        if wanted:
            gradients.append(leaf * 0 if leaf.grad is None else leaf.grad)
    return (
        [result.detach().clone() for result in results],
        [gradient.detach().clone() for gradient in gradients],
        tracked,
    )


def array_of(tensor: Any) -> Array:
    """A tensor's elements; those of dtypes that NumPy lacks as float32."""
    known = name_of(tensor.dtype) in NUMPY_DTYPES
    return (tensor if known else tensor.float()).numpy()


def _found(results: Sequence[Any], gradients: Sequence[Any], tracked: Sequence[bool]) -> Found:
    return Found(
        tuple(array_of(result) for result in results),
        tuple(array_of(gradient) for gradient in gradients),
        tuple(name_of(result.dtype) for result in results),
        tuple(tracked),
    )


def run_with(torch: Any, sample: Sample) -> Found:
    """One case, eagerly, with either library, on its default device."""
    return _found(*apply(torch, sample, leaves_of(torch, sample.case)))


def run_eagerly(samples: Sequence[Sample]) -> list[Found]:
    """The cases one after another; an error names the case."""
    return [_noted(sample, lambda sample=sample: run_with(picograd, sample)) for sample in samples]


def run_compiled(samples: Sequence[Sample]) -> list[Found]:
    """All cases, forward and backward, in one compiled function; an error names the case."""
    leaves = [leaves_of(picograd, sample.case) for sample in samples]

    def everything(leaves: list[list[Any]]) -> list[tuple[list[Any], list[Any]]]:
        return [_traced(sample, own) for sample, own in zip(samples, leaves, strict=True)]

    try:
        parts = picograd.compile(everything)(leaves)
    except Exception:
        if len(samples) > 1:  # one of them fails in the compiler or when it runs: say which
            for sample in samples:
                _noted(sample, lambda sample=sample: run_compiled([sample]))
        raise
    return [_found(results, gradients, ()) for results, gradients in parts]


def _traced(sample: Sample, leaves: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    results, gradients, _ = _noted(sample, lambda: apply(picograd, sample, leaves))
    return results, gradients


def _noted(sample: Sample, run: Any) -> Any:
    try:
        return run()
    except Exception as error:
        inputs = ", ".join(describe(given) for given in sample.case.inputs)
        error.add_note(f"in {sample}\n  inputs: {inputs}\n  options: {dict(sample.case.options)}")
        raise


def describe(given: object) -> str:
    """An input in a few words, for messages."""
    if isinstance(given, View):
        return f"{given.kind} view {describe(given.array)}"
    if isinstance(given, np.ndarray):
        array = cast(Array, given)
        values = np.array2string(array, threshold=40, max_line_width=10_000).replace("\n", "")
        return f"{array.dtype}{list(array.shape)} {values}"
    return repr(given)


def traced(sample: Sample) -> tuple[Any, tuple[Array, ...]]:
    """The graph of one case, forward and backward, at tensor level, and its inputs."""

    def function(leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        return _traced(sample, leaves)

    graph = picograd.compile(function).trace(leaves_of(picograd, sample.case))
    return graph.module, graph.inputs


def call_wrongly(torch: Any, row: Function, error: ErrorCase) -> None:
    """Make the mistake of an error sample, and run what it returns; the error is the caller's."""
    given: list[object] = []
    for one in error.inputs:
        if isinstance(one, View | np.ndarray | np.generic):
            leaf = torch.tensor(np.array(base_of(cast(Input, one)), order="C"))
            given.append(shown(cast(Input, one), leaf))
        else:
            given.append(one)
    for result in listed(row.call(torch, *given, **options_of(torch, error.options))):
        if hasattr(result, "detach"):
            array_of(result.detach())
