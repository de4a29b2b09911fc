"""Results at several counts of threads, which have to be the same bits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picograd


def same_at_any_count(compute: Callable[[], Sequence[NDArray[Any]]]) -> Sequence[NDArray[Any]]:
    """What a function computes with one, two and three threads: the same, bit by bit."""
    before = picograd.get_num_threads()
    found: list[Sequence[NDArray[Any]]] = []
    try:
        for threads in (1, 2, 3):
            picograd.set_num_threads(threads)
            found.append(compute())
    finally:
        picograd.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
            assert one.tobytes() == two.tobytes()
    return found[0]
