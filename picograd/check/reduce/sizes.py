"""Smaller axes, consistently: every axis that must have one size gets the same one.

Inputs are cut. Which end of an axis shows the failure is not known, so both are tried; numbers that
say where in an axis something is are taken modulo its new size where they lie outside.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from picograd.check.reduce.search import Program, Search
from picograd.compiler.validation.resize import AxisClass, axis_classes, first_elements, resize
from picograd.dialects.dtypes import type_of
from picograd.dialects.literals import Array
from picograd.passes import Level
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of

Shape = tuple[int, ...]
Cut = Callable[[Array, Shape], Array]


def smaller_sizes(search: Search) -> None:
    """Choose sizes near 1 for the axes of tensors: first for all, then for each class of axes."""
    if level_of(search.best.module) != Level.TENSOR:
        return
    all_sizes(search)
    for place in range(len(axis_classes(search.best.module))):
        _shrink(search, place)


def all_sizes(search: Search) -> None:
    """Cut all axes to one length, where they are longer: what is small is quickly tried."""
    if level_of(search.best.module) != Level.TENSOR:
        return
    for most in (1, 2, 3, 4, 8, 16):
        choice = {axis: most for axis in _free(search.best) if axis.size > most}
        if choice and _resized(search, choice):
            return


def _free(program: Program) -> list[AxisClass]:
    return [axis for axis in axis_classes(program.module) if axis.pinned is None]


def _shrink(search: Search, place: int) -> None:
    """Make one class of axes smaller, as long as that goes."""
    while not search.over:
        axis = axis_classes(search.best.module)[place]
        if axis.pinned is not None or not any(
            _resized(search, {axis: size}) for size in _sizes_below(axis.size)
        ):
            return


def _sizes_below(size: int) -> list[int]:
    """Small sizes, then the half, then sizes that leave less and less out."""
    steps = [size // 2**power for power in range(1, size.bit_length())]
    sizes = [1, 2, 3, *(size - step for step in steps)]
    return [smaller for smaller in dict.fromkeys(sizes) if 0 < smaller < size]


def _resized(search: Search, choice: Mapping[AxisClass, int]) -> bool:
    """Try sizes, with inputs cut in each way."""
    module = resize(search.best.module, choice)
    if module is None:
        return False
    inputs = search.best.inputs
    shapes = [type_of(argument).get_shape() for argument in entry_of(module).args]

    def cut_by(cut: Cut) -> Program:
        return Program(module, [cut(a, shape) for a, shape in zip(inputs, shapes, strict=True)])

    cuts = _cuts(inputs, min(choice.values()))
    return any(search.accept(partial(cut_by, cut)) for cut in cuts)


def _cuts(inputs: Sequence[Array], least: int) -> Iterator[Cut]:
    yield first_elements
    yield _last
    if any(array.dtype.kind in "iu" for array in inputs):
        yield partial(_wrapped, least)


def _last(array: Array, shape: Shape) -> Array:
    """The elements at the end of each axis."""
    for axis, size in enumerate(shape):
        old = array.shape[axis]
        array = array.take([place % max(1, old) for place in range(old - size, old)], axis)
    return array


def _wrapped(least: int, array: Array, shape: Shape) -> Array:
    """The first elements, and integers that count the elements of an axis of the least size."""
    cut = first_elements(array, shape)
    return cut % least if cut.dtype.kind in "iu" else cut
