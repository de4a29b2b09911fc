"""How tensors print: as in PyTorch, to the letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.dtypes import is_float_array

_PRECISION = 4
_EDGE = 3
_LONGEST = 1000
_LINE = 80
_PREFIX = "tensor("


def tensor_text(array: NDArray[Any], suffixes: Sequence[str]) -> str:
    """`tensor(…)` with the elements and, behind them, what else there is to say."""
    text = _PREFIX + (_elements(array, len(_PREFIX)) if array.size else "[]")
    parts = [text]
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _LINE:
            parts.append(f",\n{' ' * len(_PREFIX)}{suffix}")
            column = len(_PREFIX) + len(suffix)
        else:
            parts.append(f", {suffix}")
            column += len(suffix) + 2
    return "".join([*parts, ")"])


def _elements(array: NDArray[Any], indent: int) -> str:
    """The elements in nested brackets; long tensors are abridged."""
    if is_float_array(array):
        array = array.astype(np.float64)
    abridged = array.size > _LONGEST
    form, width = _formatter(_shown(array))
    return _nested(array, indent, abridged, form, width)


def _nested(
    array: NDArray[Any], indent: int, abridged: bool, form: Callable[[Any], str], width: int
) -> str:
    if array.ndim == 0:
        return form(array.item())
    if abridged and len(array) > 2 * _EDGE:
        parts = [*array[:_EDGE], None, *array[-_EDGE:]]
    else:
        parts = list(array)
    if array.ndim == 1:
        words = [" ..." if part is None else form(part.item()) for part in parts]
        per_line = max(1, (_LINE - indent) // (width + 2))
        rows = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + f",\n{' ' * (indent + 1)}".join(rows) + "]"
    rows = [
        "..." if part is None else _nested(part, indent + 1, abridged, form, width)
        for part in parts
    ]
    return "[" + f",{chr(10) * (array.ndim - 1)}{' ' * (indent + 1)}".join(rows) + "]"


def _shown(array: NDArray[Any]) -> NDArray[Any]:
    """The elements that are printed: all, or those at the edges of each axis."""
    if array.size > _LONGEST:
        for axis, size in enumerate(array.shape):
            if size > 2 * _EDGE:
                edges = [*range(_EDGE), *range(size - _EDGE, size)]
                array = np.take(array, edges, axis)
    return array.reshape(-1)


def _formatter(shown: NDArray[Any]) -> tuple[Callable[[Any], str], int]:
    """A function that prints each of the elements with the same format, and their width."""
    if shown.dtype.kind == "f":
        form = _float_form(shown)
        measured = shown[np.isfinite(shown) & (shown != 0)]
    else:
        form, measured = str, shown
    width = max((len(form(value)) for value in measured.tolist()), default=1)
    return lambda value: form(value).rjust(width), width


def _float_form(shown: NDArray[Any]) -> Callable[[float], str]:
    values = np.abs(shown[np.isfinite(shown) & (shown != 0)])
    whole = bool(np.all(values == np.floor(values)))
    scientific = False
    if values.size:
        low, high = float(values.min()), float(values.max())
        scientific = high / low > 1000 or high > 1e8 or low < 1e-4

    def form(value: float) -> str:
        if scientific:
            return f"{value:.{_PRECISION}e}"
        if whole:
            return f"{value:.0f}." if np.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_PRECISION}f}"

    return form
