"""What a case should give: values from NumPy, gradients from differences, budgets from the graph.

Values and gradients share no code with what is tested. How far a device may be from them is
computed as well: the error bounds of `picograd.semantics.bounds` on the traced graph, so that
no tolerance is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import picograd
from picograd.check.functions.cases import completed
from picograd.check.functions.running import Sample, is_float, listed, seed_of, traced
from picograd.check.functions.table import Case, Function, base_of, shown
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass
from picograd.semantics.accuracy import ACCURACY
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import analyse

_STEP = 2.0**-17
"""Of central differences in float64; their error is about its square."""


@dataclass(frozen=True)
class Expected:
    """The truth about one case."""

    sample: Sample
    results: tuple[Array, ...]
    """Floats in float64."""
    gradients: tuple[Array, ...] | None
    """For each float input, by differences; None where they cannot tell."""
    bounds: dict[str, list[Bounded]]
    """What the graph computes, results before gradients, and how exactly, by accuracy."""


def samples_of(row: Function, seed: int = 0) -> list[Sample]:
    """The row's cases with the weights of their results."""
    rng = np.random.default_rng(seed_of(row, seed))
    cases = completed(row.cases, seed_of(row, seed))
    return [Sample(row, case, _weights(row, case, rng)) for case in cases]


def _weights(row: Function, case: Case, rng: np.random.Generator) -> tuple[Array, ...]:
    """Eighths around 1, which every float dtype has exactly."""
    shapes = [result.shape for result in in_numpy(row, case, bases_of(case))]
    return tuple((rng.integers(4, 13, shape) / 8).astype(np.float32) for shape in shapes)


def bases_of(case: Case) -> list[Array]:
    """The elements of the leaves, rounded to the case's dtype, floats in float64."""
    bases = [base_of(given) for given in case.inputs]
    return [
        rounded(base, case.dtype).astype(np.float64) if is_float(base) else base for base in bases
    ]


def rounded(array: Array, dtype: str) -> Array:
    """Floats as a dtype that NumPy may lack has them."""
    if dtype == "bfloat16":
        bits = array.astype(np.float32).view(np.uint32)
        even = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return np.asarray(even & np.uint32(0xFFFF0000)).view(np.float32)
    return array.astype(dtype) if dtype else array


def in_numpy(row: Function, case: Case, bases: Sequence[Array]) -> list[Array]:
    """The reference's results."""
    arrays = [shown(given, base) for given, base in zip(case.inputs, bases, strict=True)]
    with np.errstate(all="ignore"):
        results = listed(row.numpy(*arrays, **case.options))
    return [np.asarray(result) for result in results]


def expect(sample: Sample) -> Expected:
    """Values, gradients and bounds of one case."""
    row, case = sample.row, sample.case
    bases = bases_of(case)
    gradients = None
    if row.differentiable and case.gradient:
        gradients = tuple(
            _differences(sample, bases, which)
            for which, given in enumerate(case.inputs)
            if is_float(base_of(given))
        )
    previous = picograd.default_device()
    picograd.set_default_device("reference")
    try:
        module, inputs = traced(sample)
    finally:
        picograd.set_default_device(previous)
    bounds = {name: analyse(module, inputs, ACCURACY[name]) for name in ("cpu", "gpu")}
    return Expected(sample, tuple(in_numpy(row, case, bases)), gradients, bounds)


def _differences(sample: Sample, bases: Sequence[Array], which: int) -> Array:
    """The gradient of the weighted sum of the results with respect to one leaf."""
    gradient = np.zeros_like(bases[which])

    def total(index: tuple[int, ...], move: float) -> tuple[float, float]:
        moved = [base.copy() if i == which else base for i, base in enumerate(bases)]
        moved[which][index] += move
        results = in_numpy(sample.row, sample.case, moved)
        sums = [
            np.sum(weight * result)
            for weight, result in zip(sample.weights, results, strict=True)
            if is_float(result)
        ]
        return float(sum(sums)), float(moved[which][index])

    for index in np.ndindex(gradient.shape):
        high, right = total(index, _STEP)
        low, left = total(index, -_STEP)
        gradient[index] = (high - low) / (right - left)
    return gradient
