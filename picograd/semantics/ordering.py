"""Scans and sorts in NumPy: what `pico.scan` and `pico.argsort` mean."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.tensor import ScanKind

Array: TypeAlias = NDArray[Any]

ACCUMULATE: dict[ScanKind, np.ufunc] = {
    ScanKind.ADD: np.add,
    ScanKind.MUL: np.multiply,
    ScanKind.MAX: np.maximum,
    ScanKind.MIN: np.minimum,
}


def scan(kind: ScanKind, x: Array, axis: int, *, exclusive: bool) -> Array:
    """Running totals along an axis."""
    totals = ACCUMULATE[kind].accumulate(x, axis, dtype=x.dtype)
    return delayed(totals, axis, kind == ScanKind.MUL) if exclusive else totals


def delayed(totals: Array, axis: int, first: Any) -> Array:
    """The elements moved on by one place along an axis, after `first`; the last one drops out."""
    if not totals.shape[axis]:
        return totals
    start = np.full_like(np.take(totals, [0], axis), first)
    return np.concatenate([start, np.delete(totals, -1, axis)], axis)


def argsort(x: Array, axis: int, *, descending: bool) -> Array:
    """The indices of the stable sort, NaN last or, descending, first."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Sorted backwards from the end and then reversed, equal elements keep their order.
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)
