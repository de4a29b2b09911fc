"""Holding examples out for testing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from picograd.errors import ShapeError, user_location


class Split(NamedTuple):
    """Examples and labels to train with, and those held out."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


def hold_out(x: NDArray[Any], y: NDArray[Any], count: int, seed: int = 0) -> Split:
    """Shuffle with this seed and hold the last `count` examples out.

    Raises ShapeError if there are fewer.
    """
    if len(x) != len(y) or not 0 <= count <= len(x):
        raise ShapeError(
            "the examples cannot be split so",
            code="PG812",
            expected=f"as many labels as examples, and at most {len(x)} held out",
            found=f"{len(x)} examples, {len(y)} labels, {count} held out",
            where=user_location(),
            hint="hold out fewer examples, or pass as many labels as examples",
        )
    order = np.random.default_rng(seed).permutation(len(x))
    keep, test = order[: len(x) - count], order[len(x) - count :]
    return Split(x[keep], y[keep], x[test], y[test])
