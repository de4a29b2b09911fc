"""The constants of a compiled function: computed once, and again when a weight has changed.

What depends on weights alone (a layout for the products that read them, say) is computed by a
program of its own. Every call looks whether the weights are those that the last run saw. Nobody has
to promise that they stay, as for frozen graphs, and no call ever sees what was made of old ones.

Of a weight three things are noted. Its cell's version counts what is written to it. Its buffer is
known by a weak reference: a strong one would make a training step copy the weights, because it
writes over what one cell alone holds. What neither of them tells is counted by the cell's `era`.
While NumPy arrays share a cell's memory nobody is told of what they write: then the constants are
computed in every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast
from weakref import WeakSet, ref

from picograd.backends.runtime import Buffer
from picograd.compiler.executable import Constants, when_cleared
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.tracing.sources import FromCell, Source

Stamp: TypeAlias = "tuple[Cell, int, int, int, ref[Any]]"
"""A weight's cell, its place among the inputs, its version and era, and its buffer."""


class KeptConstants:
    """The constants of one version of a function, for the weights that it saw last."""

    __slots__ = ("__weakref__", "_constants", "_memo", "_weights")

    def __init__(self, constants: Constants, sources: Sequence[Source]) -> None:
        self._constants = constants
        self._weights: list[tuple[Cell, int]] = []
        for place in constants.reads:
            source = sources[place]
            assert isinstance(source, FromCell), "an argument of the call is not marked as kept"
            self._weights.append((source.cell, place))
        # One tuple, so that threads see both parts or neither.
        self._memo: tuple[list[Stamp], list[Buffer]] | None = None
        _all.add(self)

    def of(self, inputs: Sequence[Value]) -> list[Buffer]:
        """The constants for the inputs of a call, which were fetched before."""
        memo = self._memo
        if memo is not None:
            for cell, place, version, era, buffer in memo[0]:
                if (
                    cell.version != version
                    or inputs[place] is not buffer()
                    or cell.era != era
                    or cell.__class__ is not Cell
                ):
                    break
            else:
                return memo[1]
        return self._anew(inputs)

    def _anew(self, inputs: Sequence[Value]) -> list[Buffer]:
        self._memo = None  # its memory may serve for what comes
        # Before the weights are read: what is written meanwhile has a later version.
        stamps: list[Stamp] = [
            (cell, place, cell.version, cell.era, ref(inputs[place]))
            for cell, place in self._weights
        ]
        own = all(cell.__class__ is Cell for cell, _ in self._weights)
        values = self._constants.of(cast("Sequence[Buffer]", inputs))
        if own:
            self._memo = (stamps, values)
        return values

    @property
    def values(self) -> Sequence[Buffer]:
        """What is kept now."""
        memo = self._memo
        return () if memo is None else memo[1]

    def forget(self) -> None:
        """Keep nothing until the next call."""
        self._memo = None


_all: WeakSet[KeptConstants] = WeakSet()


def _forget_all() -> None:
    for kept in list(_all):
        kept.forget()


when_cleared(_forget_all)
