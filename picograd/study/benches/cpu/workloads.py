"""What is measured: random operands, exact results, how far off they may be, and how much work.

A workload is a name that every library has its own words for. Its sizes are a tuple whose meaning
stands beside it. Exact results are those of `in_numpy` in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.in_numpy import FUNCTIONS, gpt_step, mlp_step
from picograd.study.benches.cpu.numpy_gpt import scores as gpt_scores
from picograd.study.benches.cpu.prepared import many

Array: TypeAlias = NDArray[Any]
Sizes: TypeAlias = tuple[int, ...]
Arrays: TypeAlias = Sequence[Array]
Budget: TypeAlias = Callable[[Arrays, Arrays], list[Array]]
"""From operands and exact results, both float64, to the absolute error that each may have."""

ROUNDING = 2.0**-24
"""Half the distance of 1 from the next float32."""


@dataclass(frozen=True)
class Workload:
    """One computation at any sizes."""

    sizes: tuple[str, ...]
    """What each of the sizes is called."""
    operands: Callable[[Sizes, np.random.Generator], list[Array]]
    exact: Callable[[Sizes, Arrays], list[Array]]
    budget: Budget
    flops: Callable[[Sizes], int] | None = None
    """Multiplications and additions, where those are what takes time."""
    nbytes: Callable[[Sizes], int] | None = None
    """Bytes that must be read and written once, where those are."""
    fixed: frozenset[str] = frozenset()
    """Sizes that have no neighbours: others are multiples of them."""

    def make_operands(self, sizes: Sizes, seed: int) -> list[Array]:
        """Random float32 operands, and integers where labels or letters are asked for."""
        return self.operands(sizes, np.random.default_rng(seed))

    def exactly(self, sizes: Sizes, operands: Arrays) -> list[Array]:
        """The results in float64."""
        return self.exact(sizes, widened(operands))

    def share_of_budget(self, operands: Arrays, exact: Arrays, found: Arrays) -> float:
        """The largest error as a share of what is allowed; more than 1 is wrong, as is NaN."""
        if [one.shape for one in exact] != [one.shape for one in found]:
            return float("inf")
        shares = [0.0]
        allowed_errors = self.budget(widened(operands), exact)
        for want, have, allowed in zip(exact, found, allowed_errors, strict=True):
            error = np.abs(have.astype(np.float64) - want)
            allowed = np.broadcast_to(allowed, error.shape)
            zero = allowed == 0
            if bool((error[zero] != 0).any()) or not bool(np.isfinite(error).all()):
                return float("inf")
            shares.append(float((error[~zero] / allowed[~zero]).max(initial=0.0)))
        return max(shares)


def widened(arrays: Arrays) -> list[Array]:
    """Floats as float64, integers as they are."""
    return [one.astype(np.float64) if one.dtype.kind == "f" else one for one in arrays]


def _normal(*shapes: Callable[[Sizes], Sizes]) -> Callable[..., list[Array]]:
    """Operands of these shapes, normally distributed."""

    def operands(sizes: Sizes, rng: np.random.Generator) -> list[Array]:
        return [rng.standard_normal(shape(sizes), np.float32) for shape in shapes]

    return operands


def _function(name: str) -> Callable[[Sizes, Arrays], list[Array]]:
    def exact(sizes: Sizes, operands: Arrays) -> list[Array]:
        return [np.asarray(one) for one in many(FUNCTIONS[name](*operands))]

    return exact


# Budgets. Sums of n numbers in any order err by at most n * ROUNDING * (sum of their magnitudes).


def _of_products(name: str) -> Budget:
    def budget(operands: Arrays, exact: Arrays) -> list[Array]:
        a, b = operands
        depth = a.shape[-2 if name == "matmul TN" else -1]
        return [(depth + 2) * ROUNDING * FUNCTIONS[name](np.abs(a), np.abs(b))]

    return budget


def _of_gelu(operands: Arrays, exact: Arrays) -> list[Array]:
    x, w, b = operands
    # gelu's slope is below 1.13, and its own error a few units of its argument.
    return [(x.shape[1] + 16) * ROUNDING * 1.13 * (np.abs(x) @ np.abs(w) + np.abs(b))]


def _of_sums(axis: int | None, mean: bool = False) -> Budget:
    def budget(operands: Arrays, exact: Arrays) -> list[Array]:
        x = np.abs(operands[0])
        count = x.size if axis is None else x.shape[axis]
        return [np.asarray((count + 2) * ROUNDING * x.sum(axis) / (count if mean else 1))]

    return budget


def _of_cumsum(operands: Arrays, exact: Arrays) -> list[Array]:
    x = np.abs(operands[0])
    return [(x.shape[1] + 2) * ROUNDING * np.cumsum(x, 1)]


def _units(count: float) -> Budget:
    """So many roundings of each result's largest magnitude in its row."""

    def budget(operands: Arrays, exact: Arrays) -> list[Array]:
        return [
            count * ROUNDING * (np.abs(one).max(-1, keepdims=True) if one.ndim else np.abs(one))
            for one in exact
        ]

    return budget


def _of_sums_of_squares(operands: Arrays, exact: Arrays) -> list[Array]:
    return [2 * (operands[0].shape[1] + 16) * ROUNDING * (exact[0] + (operands[0] ** 2).mean(1))]


def _none(operands: Arrays, exact: Arrays) -> list[Array]:
    return [np.zeros(()) for _ in exact]


def _of_step(operands: Arrays, exact: Arrays) -> list[Array]:
    """The loss, and parameters after the step: what moved them is right to 12 bits."""
    loss, *after = exact
    before = operands[-len(after) :]
    moved = [np.abs(new - old).max() for new, old in zip(after, before, strict=True)]
    allowed = [2.0**-12 * m + 4 * ROUNDING * np.abs(a) for m, a in zip(moved, after, strict=True)]
    return [2.0**-14 * np.abs(loss), *allowed]


# Models. Their operands are what goes in, what should come out, and then all parameters.


def _mlp_operands(sizes: Sizes, rng: np.random.Generator) -> list[Array]:
    batch, inputs, hidden, classes = sizes
    x = rng.standard_normal((batch, inputs), np.float32)
    labels = rng.integers(0, classes, batch)
    parameters: list[Array] = []
    for before, after in ((inputs, hidden), (hidden, hidden), (hidden, classes)):
        weight = rng.standard_normal((after, before), np.float32)
        parameters += [weight / np.float32(before) ** 0.5, np.zeros(after, np.float32)]
    return [x, labels, *(one.astype(np.float32) for one in parameters)]


def _gpt_operands(sizes: Sizes, rng: np.random.Generator) -> list[Array]:
    layers, width, _, length, batch, letters = sizes
    text = rng.integers(0, letters, (batch, length + 1))

    def weight(*shape: int) -> Array:
        return rng.standard_normal(shape, np.float32) * np.float32(0.02)

    def norm() -> list[Array]:
        return [np.ones(width, np.float32), np.zeros(width, np.float32)]

    parameters = [weight(letters, width), weight(length, width)]
    for _ in range(layers):
        parameters += [*norm(), weight(3 * width, width), weight(3 * width)]
        parameters += [weight(width, width), weight(width)]
        parameters += [*norm(), weight(4 * width, width), weight(4 * width)]
        parameters += [weight(width, 4 * width), weight(width)]
    parameters += [*norm(), weight(letters, width)]
    return [np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:]), *parameters]


def _gpt_flops(sizes: Sizes) -> int:
    """Of the forward pass, by its matrix products, attention's in full."""
    layers, width, _, length, batch, letters = sizes
    places = batch * length
    products = 12 * width * width + 2 * length * width
    return 2 * places * (layers * products + width * letters)


def _matmul(name: str, a: Callable[[Sizes], Sizes], b: Callable[[Sizes], Sizes]) -> Workload:
    return Workload(
        ("rows", "columns", "depth"),
        _normal(a, b),
        _function(name),
        _of_products(name),
        flops=lambda s: 2 * prod(s),
    )


def _rowwise(
    name: str,
    budget: Budget,
    passes: int = 2,
    operands: Callable[[Sizes, np.random.Generator], list[Array]] | None = None,
) -> Workload:
    """Of a matrix: `passes` is how many matrices of its size must be read or written."""
    return Workload(
        ("rows", "columns"),
        operands or _normal(lambda s: s),
        _function(name),
        budget,
        nbytes=lambda s: 4 * passes * prod(s),
    )


def _scores_and_labels(sizes: Sizes, rng: np.random.Generator) -> list[Array]:
    return [rng.standard_normal(sizes, np.float32), rng.integers(0, sizes[1], sizes[0])]


WORKLOADS: dict[str, Workload] = {
    "matmul NN": _matmul("matmul NN", lambda s: (s[0], s[2]), lambda s: (s[2], s[1])),
    "matmul NT": _matmul("matmul NT", lambda s: (s[0], s[2]), lambda s: (s[1], s[2])),
    "layer": _matmul("layer", lambda s: (s[0], s[2]), lambda s: (s[1], s[2])),
    "matmul TN": _matmul("matmul TN", lambda s: (s[2], s[0]), lambda s: (s[2], s[1])),
    "batched": Workload(
        ("batch", "rows", "columns", "depth"),
        _normal(lambda s: (s[0], s[1], s[3]), lambda s: (s[0], s[3], s[2])),
        _function("batched"),
        _of_products("batched"),
        flops=lambda s: 2 * prod(s),
    ),
    "matvec": Workload(
        ("rows", "depth"),
        _normal(lambda s: s, lambda s: s[1:]),
        _function("matvec"),
        _of_products("matvec"),
        nbytes=lambda s: 4 * prod(s),
    ),
    "vecmat": Workload(
        ("depth", "columns"),
        _normal(lambda s: s[:1], lambda s: s),
        _function("vecmat"),
        _of_products("vecmat"),
        nbytes=lambda s: 4 * prod(s),
    ),
    "gelu(x@W+b)": Workload(
        ("rows", "columns", "depth"),
        _normal(lambda s: (s[0], s[2]), lambda s: (s[2], s[1]), lambda s: s[1:2]),
        _function("gelu(x@W+b)"),
        _of_gelu,
        flops=lambda s: 2 * prod(s),
    ),
    "softmax": _rowwise("softmax", _units(32)),
    "layernorm": _rowwise(
        "layernorm",
        _units(64),
        operands=_normal(lambda s: s, lambda s: s[1:], lambda s: s[1:]),
    ),
    "variance": _rowwise("variance", _of_sums_of_squares, passes=1),
    "cross entropy": _rowwise("cross entropy", _units(64), operands=_scores_and_labels),
    "column sum": _rowwise("column sum", _of_sums(0), passes=1),
    "column mean": _rowwise("column mean", _of_sums(0, mean=True), passes=1),
    "row sum": _rowwise("row sum", _of_sums(1), passes=1),
    "full sum": _rowwise("full sum", _of_sums(None), passes=1),
    "argmax rows": _rowwise("argmax rows", _none, passes=1),
    "argmax columns": _rowwise("argmax columns", _none, passes=1),
    "cumsum": _rowwise("cumsum", _of_cumsum),
    "transpose copy": _rowwise("transpose copy", _none),
    "chain": Workload(
        ("elements",),
        _normal(lambda s: s, lambda s: s),
        _function("chain"),
        lambda operands, exact: [
            8 * ROUNDING * (1 + np.abs(operands[0])) ** 2 * (1 + np.abs(operands[1]))
        ],
        nbytes=lambda s: 12 * s[0],
    ),
    "MLP step": Workload(
        ("batch", "inputs", "hidden", "classes"),
        _mlp_operands,
        lambda sizes, operands: mlp_step(operands[0], operands[1], operands[2:]),
        _of_step,
        # Each product forward and twice backward, but for the gradient of what goes in.
        flops=lambda s: 2 * s[0] * (2 * s[1] * s[2] + 3 * s[2] * s[2] + 3 * s[2] * s[3]),
    ),
    "GPT forward": Workload(
        ("layers", "width", "heads", "length", "batch", "letters"),
        _gpt_operands,
        lambda sizes, operands: [gpt_scores(operands[2:], operands[0], sizes[2])],
        _units(2.0**12),
        flops=_gpt_flops,
        fixed=frozenset(("width", "heads")),
    ),
    "GPT step": Workload(
        ("layers", "width", "heads", "length", "batch", "letters"),
        _gpt_operands,
        lambda sizes, operands: gpt_step(operands[0], operands[1], operands[2:], sizes[2]),
        _of_step,
        flops=lambda s: 3 * _gpt_flops(s),
        fixed=frozenset(("width", "heads")),
    ),
}
