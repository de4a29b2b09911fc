"""Sums and softmax, in a single pass by one worker and as a tree over many.

A reduction as it is written is one chain: each addition waits for the one before. On a GPU
`tree_reduce` gives every thread of a workgroup a share and adds the shares up as a tree; on the CPU
`vectorize_loops` keeps many running values in vector registers, which is the same tree with its
leaves side by side, and `parallelize_loops` hands independent rows to threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import picograd
from picograd import Tensor
from picograd.backends.runtime import Array
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.pass_lists import Comparison, compare

UNIT = 2.0**-24


@dataclass(frozen=True)
class Reduction:
    """What is computed of x[rows, columns], and how wrong float32 may be."""

    function: Callable[[Tensor], Tensor]
    share_of_budget: Callable[[Array, Array], float]
    """Given x in float64 and what was found."""


def _sum_share(axis: int | None) -> Callable[[Array, Array], float]:
    def share(x: Array, found: Array) -> float:
        terms = x.size if axis is None else x.shape[axis]
        budget = (terms + 2) * UNIT * np.abs(x).sum(axis)
        return float((np.abs(found - x.sum(axis)) / budget).max())

    return share


def _softmax_share(x: Array, found: Array) -> float:
    powers = np.exp(x - x.max(1, keepdims=True))
    expected = powers / powers.sum(1, keepdims=True)
    # The difference from the maximum is rounded before exp, which adds a few units of its own.
    distance = np.abs(x) + np.abs(x).max(1, keepdims=True)
    budget = (x.shape[1] + 2 * distance + 20) * UNIT * expected + 2.0**-149
    return float((np.abs(found - expected) / budget).max())


REDUCTIONS = {
    "sum of all": Reduction(lambda x: x.sum(), _sum_share(None)),
    "sum of each row": Reduction(lambda x: x.sum(1), _sum_share(1)),
    "softmax of each row": Reduction(lambda x: x.softmax(1), _softmax_share),
}


def pass_lists(device: str) -> dict[str, Pipeline]:
    """The pipelines to compare, from a single pass to all passes."""
    full = pipeline(device)
    if device == "gpu":
        return {"single pass": full.without("tree_reduce"), "tree": full}
    return {
        "single pass": full.without("vectorize_loops", "parallelize_loops"),
        "many accumulators": full.without("parallelize_loops"),
        "and threads": full,
    }


def measure(device: str, name: str, rows: int, columns: int, rounds: int) -> Comparison:
    """One reduction with each list. Raises ArithmeticError for a wrong result."""
    reduction = REDUCTIONS[name]
    x = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    compiled: Any = picograd.compile(reduction.function, device=device)
    module = compiled.trace(picograd.tensor(x, device=device)).module
    wide = x.astype(np.float64)
    return compare(
        module,
        device,
        pass_lists(device),
        [x],
        lambda found: reduction.share_of_budget(wide, found.astype(np.float64)),
        rounds,
    )
