"""How tensors print: PyTorch's format for numbers, NumPy's layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.dtypes import is_float_array

_PRECISION = 4
_EDGE = 3
_LONGEST = 1000


def array_text(array: NDArray[Any], prefix: str) -> str:
    """The elements in nested brackets, aligned behind `prefix`; long tensors are abridged."""
    if is_float_array(array) and array.dtype.kind != "f":
        array = array.astype(np.float32)  # NumPy does not know bfloat16 for a float
    return np.array2string(
        array,
        separator=", ",
        prefix=prefix,
        threshold=_LONGEST,
        edgeitems=_EDGE,
        max_line_width=80,
        formatter={"all": _formatter(_shown(array))},
    )


def _shown(array: NDArray[Any]) -> NDArray[Any]:
    """The elements that are printed: all, or those at the edges of each axis."""
    if array.size > _LONGEST:
        for axis, size in enumerate(array.shape):
            if size > 2 * _EDGE:
                edges = [*range(_EDGE), *range(size - _EDGE, size)]
                array = np.take(array, edges, axis)
    return array.reshape(-1)


def _formatter(shown: NDArray[Any]) -> Callable[[Any], str]:
    """A function that prints each of the elements with the same format and width."""
    form = _float_form(shown) if shown.dtype.kind == "f" else str
    finite = shown[np.isfinite(shown)] if shown.dtype.kind == "f" else shown
    width = max((len(form(value)) for value in finite), default=0)
    return lambda value: form(value).rjust(width)


def _float_form(shown: NDArray[Any]) -> Callable[[Any], str]:
    values = np.abs(shown[np.isfinite(shown) & (shown != 0)].astype(np.float64))
    if values.size == 0 or bool(np.all(values == np.floor(values))):
        scientific = bool(values.size) and float(values.max()) >= 1e8
        whole = True
    else:
        low, high = float(values.min()), float(values.max())
        scientific = high / low > 1000 or high > 1e8 or low < 1e-4
        whole = False

    def form(value: Any) -> str:
        if not np.isfinite(value):
            return str(float(value))
        if scientific:
            return f"{value:.{_PRECISION}e}"
        return f"{value:.0f}." if whole else f"{value:.{_PRECISION}f}"

    return form
