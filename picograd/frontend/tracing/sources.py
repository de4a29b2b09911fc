"""Where the inputs of compiled code come from at each call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.modes.mode import RuntimeValue
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.tracing.arguments import Call


class Source(ABC):
    """One input of compiled code."""

    @abstractmethod
    def fetch(self, call: Call, mode: EagerMode) -> Value:
        """The buffer to hand to the compiled code."""


@dataclass(frozen=True)
class FromArgument(Source):
    """The storage of a tensor among the arguments."""

    index: int

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        return mode.read(call.tensors[self.index].cell)


@dataclass(frozen=True)
class FromCell(Source):
    """Storage that the function reached by itself: parameters, state, captured tensors."""

    cell: Cell

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        return mode.read(self.cell)


@dataclass(frozen=True)
class FromGrad(Source):
    """The `.grad` that a tensor has when the call begins."""

    tensor: TensorCore

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        assert self.tensor.grad_slot is not None
        return self.tensor.grad_slot.read().value


@dataclass(frozen=True)
class FromPython(Source):
    """A number that Python supplies: an argument, a learning rate, a random state."""

    value: RuntimeValue

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        return mode.constant(self.value.array(call.numbers))


class Inputs:
    """All inputs of compiled code, fetched together.

    Most are cells that outlive every trace; those are read without asking the mode.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.cells = [source.cell for source in sources if isinstance(source, FromCell)]
        self._others = [
            (n, source) for n, source in enumerate(sources) if not isinstance(source, FromCell)
        ]

    def fetch(self, call: Call, mode: EagerMode) -> list[Value]:
        """The buffers to hand to the compiled code, in order."""
        values = [cell.value for cell in self.cells]
        for place, source in self._others:  # in rising order, so each ends where it belongs
            values.insert(place, source.fetch(call, mode))
        return values
