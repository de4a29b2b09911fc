"""The way into a program for those who know that what they give is right, and call often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, cast

from xdsl.dialects.builtin import TensorType

from picograd.backends.runtime import Device, Program
from picograd.dialects.dtypes import DType
from picograd.errors import IndexOutOfRange

Entry: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Takes buffers and numbers, gives the results' buffers. It raises IndexOutOfRange."""


def fast_entry(
    device: Device,
    program: Program,
    outputs: Sequence[TensorType[Any]],
    donated: Mapping[int, int],
    allocate: Callable[[], Sequence[Any]],
    numbers: Sequence[DType | None],
) -> Entry | None:
    """The entry; None where the program has none.

    Where `numbers` has a dtype, the input is given as Python's number. `donated` tells which of the
    results, whose types are `outputs`, are stored in which input's memory; `allocate` takes memory
    for the others.
    """
    count, in_place = len(numbers), sorted(donated.items())
    launch = program.launch
    if in_place or any(numbers):
        same = {count + result: place for result, place in in_place}
        launch = program.launch_with([*numbers, *(None for _ in outputs)], same)
    if launch is None:
        return None
    if len(outputs) == 1 and not in_place and not any(numbers):
        return _for_one_result(launch, device.maker(outputs[0]))
    found = launch
    fresh = iter(range(count, count + len(outputs)))
    places = [donated[n] if n in donated else next(fresh) for n in range(len(outputs))]
    chosen = items_at(places)
    given_numbers = [place for place, number in enumerate(numbers) if number is not None]
    buffers_of = items_at([place for place in range(count) if place not in given_numbers])

    def enter(inputs: Sequence[Any]) -> Sequence[Any]:
        own = allocate()
        buffers = buffers_of(inputs) if given_numbers else inputs
        words = [buffer.address for buffer in buffers]
        for place in given_numbers:  # in rising order, so each ends where it belongs
            words.insert(place, inputs[place])
        failure = found(*words, *[output.address for output in own])
        if failure:
            raise IndexOutOfRange.in_data(*cast("tuple[int, int]", failure))
        return chosen([*inputs, *own]) if in_place else own

    return enter


def items_at(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What gives the items at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: [items[place] for place in places]


def _for_one_result(launch: Callable[..., Any], make: Callable[[], Any]) -> Entry:
    """For buffers alone, and one result in memory of its own."""

    def enter(inputs: Sequence[Any]) -> Sequence[Any]:
        output: Any = make()
        failure = launch(*[given.address for given in inputs], output.address)
        if failure:
            raise IndexOutOfRange.in_data(*cast("tuple[int, int]", failure))
        return (output,)

    return enter
