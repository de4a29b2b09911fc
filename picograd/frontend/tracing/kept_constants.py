"""The constants of a compiled function: computed once, and again when a weight has changed.

What depends on weights alone (a layout for the products that read them, say) is computed by a
program of its own. Every call looks whether the weights are those that the last run saw. Nobody has
to promise that they stay, as for frozen graphs, and no call ever sees what was made of old ones.

Of a weight three things are noted. Its cell's version counts what is written to it. Its buffer is
known by a weak reference: a strong one would make a training step copy the weights, because it
writes over what one cell alone holds. What neither of them tells is counted by the cell's `era`.
While NumPy arrays share a cell's memory nobody is told of what they write: then the constants are
computed in every call.

Weights that change before every call are no constants. Once as much time was lost to computing
them for a single call each as compiling takes, the function is better off with a program that does
without; when the weights have stayed for some calls, it goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, TypeAlias, cast
from weakref import WeakSet, ref

from picograd.backends.runtime import Buffer
from picograd.compiler.executable import Constants, when_cleared
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.tracing.sources import FromCell, Source

Stamp: TypeAlias = "tuple[Cell, int, int, int, ref[Any]]"
"""A weight's cell, its place among the inputs, its version and era, and its buffer."""


SETTLED = 32
"""So many calls in a row see the same weights until they are taken for constants again."""


class KeptConstants:
    """The constants of one version of a function, for the weights that it saw last."""

    __slots__ = ("__weakref__", "_constants", "_lost", "_memo", "_price", "_same", "_weights")

    def __init__(self, constants: Constants, sources: Sequence[Source], price: float) -> None:
        """`price` is what a program without constants costs, in seconds."""
        self._constants = constants
        self._price = price
        self._lost = 0.0
        """Seconds that went into constants which served one call, since some served more."""
        self._same = 0
        """How many calls in a row saw the weights that the memo is for."""
        self._weights: list[tuple[Cell, int]] = []
        for place in constants.reads:
            source = sources[place]
            assert isinstance(source, FromCell), "an argument of the call is not marked as kept"
            self._weights.append((source.cell, place))
        # One tuple, so that threads see both parts or neither.
        self._memo: tuple[list[Stamp], list[Buffer]] | None = None
        _all.add(self)

    def of(self, inputs: Sequence[Value]) -> list[Buffer] | None:
        """The constants for the inputs of a call, which were fetched before.

        None where the weights change all the time: the program without constants is to be run.
        """
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
                self._same += 1
                if memo[1] or self._same < SETTLED:
                    return memo[1] or None
                self._lost = 0.0
            if memo[1] and self._same:
                self._lost = 0.0
        self._memo = memo = None  # its memory may serve for what comes
        return self._anew(inputs)

    def _anew(self, inputs: Sequence[Value]) -> list[Buffer] | None:
        self._same = 0
        # Before the weights are read: what is written meanwhile has a later version.
        stamps: list[Stamp] = [
            (cell, place, cell.version, cell.era, ref(inputs[place]))
            for cell, place in self._weights
        ]
        own = all(cell.__class__ is Cell for cell, _ in self._weights)
        values: list[Buffer] = []
        if self._lost < self._price:
            start = perf_counter()
            values = self._constants.of(cast("Sequence[Buffer]", inputs))
            self._lost += perf_counter() - start
        if own:
            self._memo = (stamps, values)
        return values or None

    @property
    def values(self) -> Sequence[Buffer]:
        """What is kept now."""
        memo = self._memo
        return () if memo is None else memo[1]

    @property
    def pays(self) -> bool:
        """Whether constants are computed at all, as weights seem to stay."""
        return self._lost < self._price or bool(self.values)

    def insist(self) -> None:
        """Compute constants whatever they cost: there is no program without them."""
        self._price = float("inf")
        self._memo = None

    def forget(self) -> None:
        """Keep nothing until the next call."""
        self._memo = None


_all: WeakSet[KeptConstants] = WeakSet()


def _forget_all() -> None:
    for kept in list(_all):
        kept.forget()


when_cleared(_forget_all)
