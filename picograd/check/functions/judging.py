"""Holds what was found against what was expected, and says where they part in one message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from picograd.check.functions.expected import Expected
from picograd.check.functions.running import Found, describe
from picograd.dialects.dtypes import DTYPES
from picograd.dialects.literals import Array
from picograd.semantics.bounded import Bounded, largest_number

# Central differences: their error for each unit of a gradient, and of the largest one of the case.
_OF_GRADIENT, _OF_LARGEST = 1e-6, 1e-7
# What the reference's own float64 arithmetic may be off, for each unit of the largest value.
_OF_REFERENCE = 1e-13
# PyTorch's kernels are as good as ours but other ones, so that both errors count.
_OF_PYTORCH = 4.0

_LARGEST = {dtype.name: largest_number(dtype) for dtype in DTYPES}


def differences(
    expected: Expected,
    found: Found,
    accuracy: str,
    *,
    finite_only: bool = False,
    factor: float = 1.0,
) -> Iterator[str]:
    """A message for each result and gradient of a case that is wrong; none when all is well.

    `accuracy` names the budget. With `finite_only` nothing is asked of NaN and infinities, which
    some devices need not have; `factor` widens the budget.
    """
    bounds = expected.bounds[accuracy]
    split = len(found.results)
    if split != len(expected.results):
        yield f"{expected.sample}: {len(expected.results)} results expected, {split} found"
        return
    for i, (truth, got, dtype, bound) in enumerate(
        zip(expected.results, found.results, found.dtypes, bounds[:split], strict=True)
    ):
        where = f"result {i}"
        yield from _compared(expected, where, truth, got, dtype, bound, finite_only, factor)
    for i, (got, bound) in enumerate(zip(found.gradients, bounds[split:], strict=True)):
        dtype = got.dtype.name
        truth, budget = bound.value, bound
        if expected.gradients is not None:
            truth = expected.gradients[i]
            largest = np.max(np.abs(truth), initial=0.0)
            slack = _OF_GRADIENT * np.abs(truth) + _OF_LARGEST * largest + 1e-9
            if truth.shape == bound.error.shape:
                budget = Bounded(bound.value, bound.error + slack, bound.doubtful)
        where = f"gradient of float input {i}"
        yield from _compared(expected, where, truth, got, dtype, budget, finite_only, factor)


def _compared(
    expected: Expected,
    where: str,
    truth: Array,
    got: Array,
    dtype: str,
    bound: Bounded,
    finite_only: bool,
    factor: float,
) -> Iterator[str]:
    if truth.shape != got.shape:
        yield _message(expected, where, f"shape {list(truth.shape)}", f"shape {list(got.shape)}")
        return
    wrong = outside(truth, got, dtype, bound, factor)
    if finite_only:
        wrong &= np.isfinite(truth) & ~bound.lost
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        budget = f" ± {float(bound.error[index]) * factor:.3g}" if got.dtype.kind == "f" else ""
        count = f"; {int(wrong.sum())} of {wrong.size} elements are wrong" if wrong.size > 1 else ""
        yield _message(
            expected,
            f"{where} at {list(index)}",
            f"{truth[index].item()!r}{budget}",
            f"{got[index].item()!r}{count}",
        )


def outside(truth: Array, got: Array, dtype: str, bound: Bounded, factor: float = 1.0) -> Array:
    """Which elements are outside their budget. Integers and bools are exact."""
    if got.dtype.kind != "f":
        return np.asarray(truth != got) & ~bound.doubtful
    with np.errstate(all="ignore"):
        wide = got.astype(np.float64)
        largest = _LARGEST.get(dtype, np.inf)
        limited = np.where(np.abs(truth) > largest, np.copysign(np.inf, truth), truth)
        same = (wide == limited) | (np.isnan(wide) & np.isnan(truth))
        unit = np.abs(truth[np.isfinite(truth)]).max(initial=0.0)
        near = np.abs(wide - limited) <= factor * (bound.error * (1 + 1e-6) + _OF_REFERENCE * unit)
    # Where the bound knows nothing, the element hangs on a decision that rounding may turn.
    return np.asarray(~same & ~near & ~bound.lost & ~bound.doubtful)


def undecided(expected: Expected, accuracy: str = "cpu") -> float:
    """The share of elements about which the budget says nothing."""
    masks = [np.asarray(b.lost | b.doubtful).reshape(-1) for b in expected.bounds[accuracy]]
    count = sum(mask.size for mask in masks)
    return sum(int(mask.sum()) for mask in masks) / max(count, 1)


def disagreements(
    expected: Expected, ours: Found, theirs: Found, *, gradients: bool = True
) -> Iterator[str]:
    """Where PyTorch's answer differs from ours: dtype, shape, tracking, values, gradients."""

    def say(where: str, a: object, b: object) -> str:
        return _message(expected, where, f"{a} (PyTorch)", b)

    if len(theirs.results) != len(ours.results):
        yield say("number of results", len(theirs.results), len(ours.results))
        return
    if theirs.dtypes != ours.dtypes:
        yield say("dtypes", ", ".join(theirs.dtypes), ", ".join(ours.dtypes))
    if theirs.tracked != ours.tracked:
        yield say("requires_grad", theirs.tracked, ours.tracked)
    bounds = expected.bounds["cpu"]
    pairs: list[tuple[str, Array, Array, Bounded]] = []
    split = len(ours.results)
    for i, (a, b) in enumerate(zip(theirs.results, ours.results, strict=True)):
        pairs.append((f"result {i}", a, b, bounds[i]))
    if gradients and len(theirs.gradients) == len(ours.gradients):
        for i, (a, b) in enumerate(zip(theirs.gradients, ours.gradients, strict=True)):
            pairs.append((f"gradient of float input {i}", a, b, bounds[split + i]))
    for where, a, b, bound in pairs:
        if a.shape != b.shape:
            yield say(where, f"shape {list(a.shape)}", f"shape {list(b.shape)}")
            continue
        wrong = outside(
            a.astype(np.float64) if a.dtype.kind == "f" else a, b, b.dtype.name, bound, _OF_PYTORCH
        )
        if b.dtype.kind == "f":
            with np.errstate(all="ignore"):
                wrong &= ~(np.abs(a.astype(np.float64) - b) <= 1e-6 * np.abs(a) + 1e-7)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            yield say(f"{where} at {list(index)}", repr(a[index].item()), repr(b[index].item()))


def _message(expected: Expected, where: str, wanted: object, got: object) -> str:
    case = expected.sample.case
    inputs = "\n    ".join(describe(given) for given in case.inputs)
    return (
        f"{expected.sample}: {where}\n  expected {wanted}\n  found    {got}\n"
        f"  options  {dict(case.options)}\n  inputs\n    {inputs}"
    )


def report(messages: Sequence[str], shown: int = 5) -> str:
    """The first messages, and how many more there are."""
    more = len(messages) - shown
    return "\n\n".join(messages[:shown]) + (f"\n\nand {more} more" if more > 0 else "")
