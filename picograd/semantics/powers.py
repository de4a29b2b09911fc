"""Powers of floats, which NumPy computes in ways that differ with the layout of the exponent."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def power(base: Array, exponent: Array) -> Array:
    """base ** exponent of two arrays of one dtype, element by element as C's pow.

    Where all exponents are one number in memory (an array of one element, or a broadcast one) NumPy
    takes roots and squares instead, so that (-0.0) ** 0.5 and (-inf) ** 0.5 come out otherwise than
    beside other elements. With one more element in contiguous arrays it never does.
    """
    base, exponent = np.broadcast_arrays(base, exponent)
    one = np.ones(1, base.dtype)
    whole = np.power(np.append(base, one), np.append(exponent, one))
    return whole[:-1].reshape(base.shape)
