"""The forms in place of functions that have a row: `x.exp_()` of `torch.exp`.

Nothing is written twice: cases and reference are those of the row, run on a copy of the first
input. A case whose result does not fit into that input becomes a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

import picograd
from picograd.check.functions.cases import completed
from picograd.check.functions.table import (
    Case,
    ErrorCase,
    Formula,
    Function,
    base_of,
    in_place,
    shown,
)
from picograd.dialects.literals import Array

_KINDS = "buif"
"""Kinds of dtypes, from what fits into all others to what fits into itself only."""

_TOO_MANY = ErrorCase(
    "arguments too many", (np.ones((2, 3), np.float32), *[1.0] * 8), TypeError, match="argument"
)


def rows_in_place(rows: Iterable[Function]) -> tuple[Function, ...]:
    """A row for each method `name_` whose function `name` has a plain row and which has none."""
    rows = list(rows)
    taken = {name.partition(",")[0] for row in rows for name in (row.name, *row.also)}
    made: dict[str, Function] = {}
    for row in rows:
        library, _, name = row.name.partition(".")
        own = f"Tensor.{name}_"
        plain = library in ("torch", "Tensor") and name not in _OTHERWISE
        if plain and own not in {*taken, *made} and hasattr(picograd.Tensor, f"{name}_"):
            made[own] = _row(row, name)
    return tuple(made.values())


_OTHERWISE = frozenset({"detach", "index_fill", "acosh", "asinh", "atanh"})
"""Methods whose form in place is no computation, has a row that is written out, or (acosh and
its like) has no derivative in PyTorch.
"""


def _row(row: Function, name: str) -> Function:
    def cases(rng: np.random.Generator) -> Sequence[Case]:
        return [one for one in row.cases(rng) if not _misfit(row.numpy, one)]

    return Function(
        f"Tensor.{name}_",
        in_place(f"{name}_"),
        _kept(row.numpy),
        cases,
        (_TOO_MANY, *_misfits(row)),
        row.differentiable,
        row.differences,
        row.devices,
    )


def _kept(numpy: Formula) -> Formula:
    """The reference, in the dtype of the first input."""

    def computed(first: Array, *others: Any, **options: Any) -> Array:
        result = np.asarray(numpy(first, *others, **options)).astype(first.dtype)
        return result.reshape(first.shape)

    return computed


def _misfit(numpy: Formula, case: Case) -> str:
    """Why the result of a case cannot be written over its first input; empty when it can."""
    bases = [base_of(given) for given in case.inputs]
    arrays = [shown(given, base) for given, base in zip(case.inputs, bases, strict=True)]
    with np.errstate(all="ignore"):
        result = np.asarray(numpy(*arrays, **case.options))
    if not arrays[0].ndim and result.size == 1:  # NumPy's scans make a vector of a number
        result = result.reshape(())
    if result.shape != arrays[0].shape:
        return "a result of another shape"
    fits = _KINDS.index(result.dtype.kind) <= _KINDS.index(arrays[0].dtype.kind)
    return "" if fits else "a result of another dtype"


def _misfits(row: Function) -> Iterator[ErrorCase]:
    """A mistake for each reason why cases of the row have no form in place."""
    seen: set[str] = set()
    for case in completed(row.cases, seed=0):
        why = _misfit(row.numpy, case)
        if why and why not in seen:
            seen.add(why)
            yield ErrorCase(why, case.inputs, RuntimeError, case.options)
