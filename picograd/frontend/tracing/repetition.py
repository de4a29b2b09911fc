"""A call that is like the one before it, recognized without taking its arguments apart anew.

Most calls of a compiled function differ from the last one in what their tensors hold, and in
nothing else. A few comparisons tell that; to describe the arguments takes as long as a small
kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from picograd.frontend.core import TensorCore
from picograd.frontend.modes.ladder import LADDER
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.tracing.arguments import Call
from picograd.frontend.tracing.version import Version


class Repetition:
    """What a call looked like whose arguments were tensors, and which version served it."""

    __slots__ = ("_count", "_recording", "_rung", "_tensors", "version")

    def __init__(self, tensors: Sequence[TensorCore], version: Version) -> None:
        self.version = version
        self._tensors = [(type(one), one.cell.type, one.cell.device, one.views) for one in tensors]
        self._count = len(tensors)
        self._recording = version.key.recording
        self._rung = version.key.rung

    def call(self, arguments: Sequence[Any]) -> Call | None:
        """The call with these positional arguments, if it is like that one, and the version fits.

        Nothing else may have been given.
        """
        if len(arguments) != self._count or SETTINGS.recording is not self._recording:
            return None
        if LADDER.rung is not self._rung:
            return None
        cells: list[object] = []
        for given, (kind, type_, device, views) in zip(arguments, self._tensors, strict=True):
            if given.__class__ is not kind or given.history.node is not None:
                return None
            cell = given.cell
            if cell.type is not type_ and cell.type != type_:
                return None
            if cell.device != device or given.views != views or cell in cells:
                return None
            cells.append(cell)
        call = Call()
        call.tensors += arguments
        return call if self.version.mismatch(call) is None else None


def repetition_of(arguments: Sequence[object], call: Call, version: Version) -> Repetition | None:
    """What to recognize calls by that are like this one; None where its arguments were others than
    tensors with storages of their own that no gradient is recorded for.
    """
    tensors = [given for given in arguments if isinstance(given, TensorCore)]
    if len(tensors) != len(arguments) or len(call.cells) != len(tensors):
        return None
    if any(tensor.history.node is not None for tensor in tensors):
        return None
    return Repetition(tensors, version)
