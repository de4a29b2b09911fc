"""Inputs on which a module says most about the passes that change it.

A module is validated on two sets of arrays: ordinary numbers, and the same with special values
among them. Where ordinary numbers make the results NaN (a square root of what an optimizer keeps
positive, say), arguments are made positive, one by one, while that helps: what is NaN before a pass
and after it tells nothing. Integers may be indices, so they are drawn smaller until all are inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp

from picograd.compiler.validation.expectation import expect
from picograd.dialects.buffer import inputs_of
from picograd.dialects.dtypes import AnyMemRef, AnyTensor, DType, dtype_of, from_ir, is_float_array
from picograd.dialects.literals import Array
from picograd.errors import IndexOutOfRange
from picograd.semantics.accuracy import CPU
from picograd.semantics.evaluate import entry_of, evaluate

_INT_RANGES = ((-9, 10), (0, 10), (0, 4), (0, 2), (0, 1))
"""From what integers are drawn; the next range where an index is outside of its axis."""

_SCALES = (1.0, 0.3, 0.1)
"""By what drawn floats are multiplied; the next one where too much is undetermined."""

_MOST_UNSURE = 0.1
"""Of the results' elements, so many may be undetermined before smaller floats are tried."""

_NONFINITE = (np.nan, np.inf, -np.inf)
_FINITE = (0.0, -0.0, 1.0, -1.0)
_SPECIAL_SHARE = 0.1
"""Of a special set's floats, so many are special; at least one of each argument, one of them NaN,
and another one infinite."""

_LEAST_FINITE = 0.5
"""Where NaN and infinity leave less than this of the results finite, special values are finite
ones alone."""

_FEW_OPS = 32
"""Modules that are no larger are evaluated on the set that floods their results as well: it costs
next to nothing, and what is wrong with NaN alone shows nowhere else."""

_WIDE_ROW = 16
"""Rows longer than this are drawn smaller, so that their products stay of the order of 1."""


def input_types(function: FuncOp) -> list[AnyTensor | AnyMemRef]:
    """The types of a function's inputs, at any level: its arguments without the results'."""
    return [cast(AnyTensor | AnyMemRef, argument.type) for argument in inputs_of(function)]


def draw_inputs(module: ModuleOp | FuncOp, seed: int) -> list[list[Array]]:
    """Sets of inputs for the entry function, the same for the same seed: ordinary and special.

    There may be two special ones, of which the last floods the results with NaN and infinity; and
    there is none without floats that could be special.
    """
    function = entry_of(module)
    ordinary = _ordinary(function, seed)
    if not any(is_float_array(array) and array.size for array in ordinary):
        return [ordinary]
    special = _special(ordinary, seed, (*_NONFINITE, *_FINITE))
    share = _finite_share(function, special)
    if share is None or share >= _LEAST_FINITE:
        return [ordinary, special]
    finite = _special(ordinary, seed, _FINITE)
    few = sum(1 for _ in module.walk()) <= _FEW_OPS
    return [ordinary, finite, special] if few else [ordinary, finite]


def fitted(inputs: Sequence[Array], function: FuncOp) -> list[Array]:
    """Copies of inputs in the dtypes that a function takes now: types may have been legalized."""
    wanted = [from_ir(type.element_type).numpy for type in input_types(function)]
    return [np.array(a, dtype, order="C") for a, dtype in zip(inputs, wanted, strict=True)]


def other_inputs(inputs: Sequence[Array]) -> list[Array]:
    """Inputs that differ from these in every element; as indices they are in range, most likely."""
    return [
        ~array
        if array.dtype.kind == "b"
        else np.where(array == 0, 1, 0).astype(array.dtype)
        if array.dtype.kind in "iu"
        else np.where(np.isfinite(array), array * -0.75 + 0.25, 0.5).astype(array.dtype)
        for array in inputs
    ]


def as_declared(outputs: Sequence[Array], types: Sequence[AnyTensor]) -> list[Array]:
    """Results in the integers that a function declared at first: uint8 is held as i8, say."""
    return [
        output.astype(wanted.numpy) if wanted.is_int and output.dtype.kind in "iu" else output
        for output, wanted in zip(outputs, map(dtype_of, types), strict=True)
    ]


def _ordinary(function: FuncOp, seed: int) -> list[Array]:
    types = input_types(function)
    best: list[Array] = []
    for low, high in _INT_RANGES:
        rng = np.random.default_rng(seed)
        best = [_draw(rng, type.get_shape(), from_ir(type.element_type), low, high)
                for type in types]  # fmt: skip
        share = _finite_share(function, best)
        if share is not None:
            return _made_smaller(function, _made_positive(function, best, share))
    return best


def _made_smaller(function: FuncOp, inputs: list[Array]) -> list[Array]:
    """The inputs, with smaller floats where error bounds explode on these; of tensors only.

    A deep network with large random weights is ill-conditioned: bounds grow by a factor from layer
    to layer until everything is undetermined, and validating it says nothing.
    """
    if not all(isinstance(type, TensorType) for type in input_types(function)):
        return inputs
    best, least = inputs, np.inf
    for scale in _SCALES:
        # What NumPy computes of an array of rank 0 is none any more.
        smaller = [np.asarray(a * scale, a.dtype) if is_float_array(a) else a for a in inputs]
        try:
            found = expect(function, [array.copy() for array in smaller], CPU)
        except IndexOutOfRange:
            continue
        unsure = sum(int((bound.doubtful | ~np.isfinite(bound.error)).sum()) for bound in found)
        share = unsure / max(1, sum(bound.value.size for bound in found))
        if share < least:
            best, least = smaller, share
        if share <= _MOST_UNSURE:
            break
    return best


def _made_positive(function: FuncOp, inputs: list[Array], share: float) -> list[Array]:
    """The inputs, some of them without their signs: those that make more results finite."""
    for number, array in enumerate(inputs):
        if share == 1.0:
            break
        if is_float_array(array):
            other = [*inputs]
            other[number] = np.asarray(np.abs(array))
            better = _finite_share(function, other)
            if better is not None and better > share:
                inputs, share = other, better
    return inputs


def _finite_share(function: FuncOp, inputs: Sequence[Array]) -> float | None:
    """The share of results' floats that are finite; None where an index is out of range."""
    try:
        results = evaluate(function, [array.copy() for array in inputs], precision="float64")
    except IndexOutOfRange:
        return None
    floats = [result for result in results if is_float_array(result) and result.size]
    if not floats:
        return 1.0
    return sum(float(np.isfinite(result).mean()) for result in floats) / len(floats)


def _draw(
    rng: np.random.Generator, shape: Sequence[int], dtype: DType, low: int, high: int
) -> Array:
    if dtype.is_bool:
        return rng.random(shape) < 0.5
    if dtype.is_int:
        least = low if dtype.is_signed else max(low, 0)
        return rng.integers(least, high, shape).astype(dtype.numpy)
    row = shape[-1] if len(shape) > 1 else 1
    scale = min(1.0, (_WIDE_ROW / max(row, 1)) ** 0.5)
    return np.asarray(rng.normal(0.0, scale, shape), np.float32).astype(dtype.numpy)


def _special(inputs: Sequence[Array], seed: int, values: Sequence[float]) -> list[Array]:
    """Copies of the inputs with special values at random places."""
    rng = np.random.default_rng([seed, 1])
    found = [array.copy() for array in inputs]
    places: list[tuple[Array, int]] = []
    for array in found:
        if is_float_array(array) and array.size:
            flat = array.reshape(-1)
            count = max(1, int(flat.size * _SPECIAL_SHARE))
            places += [(flat, int(place)) for place in rng.choice(flat.size, count, replace=False)]
    chosen = rng.choice(values, len(places))
    certain = [value for value in (np.nan, np.inf) if value in values]
    for value, number in zip(certain, rng.permutation(len(places)), strict=False):
        chosen[number] = value
    for (flat, place), value in zip(places, chosen, strict=True):
        flat[place] = value
    return found
