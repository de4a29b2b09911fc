"""A call that is like the one before it, recognized without taking its arguments apart anew.

Most calls of a compiled function differ from the last one in what their tensors hold, and in
nothing else. A few comparisons tell that; to describe the arguments takes as long as a small
kernel. Functions of one tensor or two get comparisons without a loop: such are the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.ladder import Rung
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.views import View
from picograd.frontend.tracing.arguments import Call, is_number
from picograd.frontend.tracing.version import Version

MISSED: Final = object()
"""Instead of a result: the call is another one."""

Kind: TypeAlias = "tuple[type[TensorCore], AnyTensor, str, tuple[View, ...]]"
"""What is alike: the tensor's class, the type and the device of its storage, and its views."""

Match: TypeAlias = Callable[[Sequence[Any]], "Sequence[Cell] | None"]
"""The storages of arguments that are alike; None for others."""


class Repetition:
    """What a call looked like whose arguments were tensors and numbers, and which version served
    it.
    """

    __slots__ = ("again", "version")

    def __init__(self, arguments: Sequence[object], version: Version) -> None:
        self.version = version
        tensors = {n: one for n, one in enumerate(arguments) if isinstance(one, TensorCore)}
        kinds = [(type(one), one.cell.type, one.cell.device, one.views) for one in tensors.values()]
        match = _MATCHES.get(len(kinds), _match_any)(*kinds)
        numbers = {n: type(one) for n, one in enumerate(arguments) if n not in tensors}
        if numbers:
            self.again = _again_with_numbers(match, tuple(tensors), numbers, version)
        else:
            self.again = _again(match, len(kinds), version)
        """The result for these positional arguments, or `MISSED` if the call is not like that one,
        or the version does not fit any more. Nothing else may have been given.
        """


def _again(match: Match, count: int, version: Version) -> Callable[[Sequence[Any]], object]:
    recording, fits, direct = version.key.recording, version.fits, version.direct(count)

    def again(arguments: Sequence[Any]) -> object:
        # In the mode `compiled`, outside of traces, eager operations are planned.
        if not SETTINGS.planned or SETTINGS.recording is not recording or len(arguments) != count:
            return MISSED
        cells = match(arguments)
        if cells is None or not fits():
            return MISSED
        if direct is not None:
            return direct(cells)
        return version.run(Call.again(arguments))

    return again


def _again_with_numbers(
    match: Match, tensors: Sequence[int], numbers: Mapping[int, type], version: Version
) -> Callable[[Sequence[Any]], object]:
    """The same where tensors have some places, and numbers of these classes the others."""
    recording, fits, count = version.key.recording, version.fits, len(tensors) + len(numbers)

    def again(arguments: Sequence[Any]) -> object:
        if not SETTINGS.planned or SETTINGS.recording is not recording or len(arguments) != count:
            return MISSED
        for place, kind in numbers.items():
            if arguments[place].__class__ is not kind:
                return MISSED
        given = [arguments[place] for place in tensors]
        if match(given) is None or not fits():
            return MISSED
        return version.run(Call.again(given, [arguments[place] for place in numbers]))

    return again


def _match_one(kind: Kind) -> Match:
    class_, type, device, views = kind

    def match(arguments: Sequence[Any]) -> Sequence[Cell] | None:
        (given,) = arguments
        if given.__class__ is not class_ or given.history.node is not None:
            return None
        cell = given.cell
        if (
            (cell.type is not type and cell.type != type)
            or cell.device != device
            or (given.views is not views and given.views != views)
            or cell.trace is not None
        ):
            return None
        return (cell,)

    return match


def _match_two(first: Kind, second: Kind) -> Match:
    class_a, type_a, device_a, views_a = first
    class_b, type_b, device_b, views_b = second

    def match(arguments: Sequence[Any]) -> Sequence[Cell] | None:
        a, b = arguments
        if (
            a.__class__ is not class_a
            or b.__class__ is not class_b
            or a.history.node is not None
            or b.history.node is not None
        ):
            return None
        cell_a, cell_b = a.cell, b.cell
        if (
            cell_a is cell_b
            or (cell_a.type is not type_a and cell_a.type != type_a)
            or (cell_b.type is not type_b and cell_b.type != type_b)
            or cell_a.device != device_a
            or cell_b.device != device_b
            or (a.views is not views_a and a.views != views_a)
            or (b.views is not views_b and b.views != views_b)
            or cell_a.trace is not None
            or cell_b.trace is not None
        ):
            return None
        return (cell_a, cell_b)

    return match


def _match_any(*kinds: Kind) -> Match:
    def match(arguments: Sequence[Any]) -> Sequence[Cell] | None:
        cells: list[Cell] = []
        for given, (class_, type, device, views) in zip(arguments, kinds, strict=True):
            if given.__class__ is not class_ or given.history.node is not None:
                return None
            cell = given.cell
            if (
                (cell.type is not type and cell.type != type)
                or cell.device != device
                or (given.views is not views and given.views != views)
                or cell.trace is not None
                or cell in cells
            ):
                return None
            cells.append(cell)
        return cells

    return match


_MATCHES: dict[int, Callable[..., Match]] = {1: _match_one, 2: _match_two}


def repetition_of(arguments: Sequence[object], call: Call, version: Version) -> Repetition | None:
    """What to recognize calls by that are like this one; None in modes below `compiled`, and where
    its arguments were others than numbers, and tensors with storages of their own that no gradient
    is recorded for.
    """
    tensors = [given for given in arguments if isinstance(given, TensorCore)]
    if len(tensors) + sum(map(is_number, arguments)) != len(arguments):
        return None
    if len(call.cells) != len(tensors) or version.key.rung is not Rung.COMPILED:
        return None
    if any(tensor.history.node is not None for tensor in tensors):
        return None
    return Repetition(arguments, version)
