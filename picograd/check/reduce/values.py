"""Simpler numbers in inputs and constants: zeros, ones, small integers, few special values."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from xdsl.ir import Operation

from picograd.check.reduce.chunks import fewest
from picograd.check.reduce.search import Program, Search
from picograd.dialects.dtypes import is_float_array
from picograd.dialects.literals import Array, array_of, literal
from picograd.dialects.tensor import ConstantOp

_ELEMENT_BY_ELEMENT = 64
"""Arrays of more elements are made simpler as a whole only."""

_SMALL = 9.0


def simpler_values(search: Search) -> None:
    """Make each array simpler: as a whole, then element by element."""
    for place in range(len(_arrays_in(search.best))):
        array = _arrays_in(search.best)[place]
        any(_put(search, place, simpler) for simpler in _simpler(array))
    for place in range(len(_arrays_in(search.best))):
        array = _arrays_in(search.best)[place]
        if array.size <= _ELEMENT_BY_ELEMENT:
            _by_elements(search, place)


def _arrays_in(program: Program) -> list[Array]:
    """The inputs, then the constants."""
    return [*program.inputs, *(array_of(op.value) for op in _constants(program.module))]


def _constants(root: Operation) -> list[ConstantOp]:
    return [op for op in root.walk() if isinstance(op, ConstantOp)]


def _put(search: Search, place: int, array: Array) -> bool:
    """Try another array in a place, if it is simpler than the one there."""
    base = search.best
    if _cost(array) >= _cost(_arrays_in(base)[place]):
        return False
    return search.accept(partial(_with, base, place, array))


def _with(program: Program, place: int, array: Array) -> Program:
    copy = program.module.clone()
    inputs = list(program.inputs)
    if place < len(inputs):
        inputs[place] = array
    else:
        constant = _constants(copy)[place - len(inputs)]
        constant.properties["value"] = literal(array)
    return Program(copy, inputs)


def _simpler(array: Array) -> Iterator[Array]:
    """Arrays of the same type, the simplest first."""
    yield np.zeros_like(array)
    yield np.ones_like(array)
    if array.dtype.kind == "b":
        return
    yield _signs(array)
    yield np.arange(1, array.size + 1).reshape(array.shape).astype(array.dtype)
    yield _rounded(array)
    yield _without_specials(array)


def _signs(array: Array) -> Array:
    """One or minus one in place of each number but zero; what is no number stays."""
    return np.sign(array.astype(np.float64)).astype(array.dtype)


def _rounded(array: Array) -> Array:
    """Whole numbers near zero; what is no number stays."""
    if is_float_array(array):
        wide = array.astype(np.float64)
        near = np.where(np.isfinite(wide), np.clip(np.rint(wide), -_SMALL, _SMALL), wide)
        return (near + 0.0).astype(array.dtype)
    least = -_SMALL if array.dtype.kind == "i" else 0
    return np.clip(array, int(least), int(_SMALL)).astype(array.dtype)


def _without_specials(array: Array) -> Array:
    """Ones in place of NaN and infinity."""
    if not is_float_array(array):
        return array
    return np.where(np.isfinite(array.astype(np.float64)), array, array.dtype.type(1))


def _by_elements(search: Search, place: int) -> None:
    """As many zeros as go; then each element that is left for itself."""
    array = _arrays_in(search.best)[place]
    others = [number for number, cost in enumerate(_costs(array)) if cost]

    def zeros_but(kept: Sequence[int]) -> bool:
        flat = np.zeros_like(array).reshape(-1)
        flat[list(kept)] = array.reshape(-1)[list(kept)]
        return _put(search, place, flat.reshape(array.shape))

    for number in fewest(others, zeros_but):
        now = _arrays_in(search.best)[place]
        for value in _simpler(now.reshape(-1)[number : number + 1]):
            changed = now.reshape(-1).copy()
            changed[number] = value[0]
            if _put(search, place, changed.reshape(now.shape)):
                break


def _cost(array: Array) -> int:
    return int(_costs(array).sum())


def _costs(array: Array) -> Array:
    """How much there is to read in each element: nothing in a zero, most in a NaN."""
    flat = array.reshape(-1).astype(np.float64)
    whole = flat == np.rint(flat)
    small = np.abs(flat) <= _SMALL
    costs = np.select(
        [
            (flat == 0) & ~np.signbit(flat),
            flat == 1,
            whole & small,
            (whole & np.isfinite(flat)) | small,
            np.isfinite(flat),
        ],
        [0, 1, 2, 3, 4],
        5,
    )
    assert costs.shape == flat.shape
    return costs
