"""Products of matrices for evaluators, which compute many small ones.

NumPy leaves a product to OpenBLAS, which shares all but the smallest among threads, and each waits
for the last: where another process has a processor, 20 µs of work take 5 ms, and the threads burn
their time meanwhile. So products of middling size are computed in parts of the smallest.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from picograd.dialects.literals import Array

ALONE = 1 << 18
"""Multiplications up to which OpenBLAS shares no product (`interface/gemm.c`: 65,536 times 4)."""

WORTH_SHARING = 1 << 24
"""Multiplications from which on threads gain more than waiting for them may cost."""


def product(a: Array, b: Array) -> Array:
    """What `numpy.matmul` makes of arrays with two axes or more."""
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    count = rows * inner * columns
    if not ALONE < count < WORTH_SHARING or a.dtype.kind not in "fc":
        return np.matmul(a, b)
    area = ALONE // inner
    wide = max(2, min(columns, area // min(rows, isqrt(area) + 1)))
    high = max(
        2, area // wide
    )  # of one row alone BLAS makes another kind of product, and shares it
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.empty((*batch, rows, columns), np.result_type(a, b))
    for top in range(0, rows, high):
        for left in range(0, columns, wide):
            result[..., top : top + high, left : left + wide] = np.matmul(
                a[..., top : top + high, :], b[..., left : left + wide]
            )
    return result
