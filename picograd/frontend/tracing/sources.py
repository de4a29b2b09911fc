"""Where the inputs of compiled code come from at each call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from picograd.dialects.dtypes import DType
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.modes.mode import RuntimeValue
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.tracing.arguments import Call
from picograd.quick_dataclasses import dataclass


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
        cell = call.tensors[self.index].cell
        return cell.value if cell.trace is None else mode.read(cell)


@dataclass(frozen=True)
class FromCell(Source):
    """Storage that the function reached by itself: parameters, state, captured tensors."""

    cell: Cell

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        return self.cell.value


@dataclass(frozen=True)
class FromGrad(Source):
    """The `.grad` that a tensor has when the call begins."""

    tensor: TensorCore

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        grad = self.tensor.grad_slot
        assert grad is not None
        cell = grad.cell
        return grad.read().value if grad.views or cell.trace is not None else cell.value


@dataclass(frozen=True)
class FromPython(Source):
    """A number that Python supplies: an argument, a learning rate, a random state."""

    value: RuntimeValue

    def fetch(self, call: Call, mode: EagerMode) -> Value:
        return mode.constant(self.value.array(call.numbers))

    @property
    def number(self) -> DType | None:
        """The dtype, if it is a number and no array."""
        return None if self.value.shape else self.value.dtype


@dataclass(frozen=True)
class NumberFromPython(Source):
    """A number that Python supplies, for code that takes Python's numbers."""

    value: RuntimeValue

    def fetch(self, call: Call, mode: EagerMode) -> Any:
        return self.value.make(call.numbers)


def number_dtypes(sources: Sequence[Source]) -> list[DType | None]:
    """The dtypes of those inputs that are numbers."""
    return [source.number if isinstance(source, FromPython) else None for source in sources]


class Inputs:
    """All inputs of compiled code, fetched together.

    Most are cells that outlive every trace; those are read without asking the mode.
    """

    def __init__(self, sources: Sequence[Source], pass_numbers: bool = False) -> None:
        """`pass_numbers` gives Python's numbers as they are, and not as buffers."""
        self.cells = [source.cell for source in sources if isinstance(source, FromCell)]
        self._others: list[tuple[int, Source]] = []
        for place, source in enumerate(sources):
            if isinstance(source, FromPython) and pass_numbers and source.number is not None:
                self._others.append((place, NumberFromPython(source.value)))
            elif not isinstance(source, FromCell):
                self._others.append((place, source))
        arguments = [source.index for source in sources if isinstance(source, FromArgument)]
        self.arguments = arguments if len(arguments) == len(sources) else None
        """Which arguments of the call they are, if they are all arguments."""

    def fetch(self, call: Call, mode: EagerMode) -> list[Value]:
        """What to hand to the compiled code, in order."""
        if self.arguments is not None:
            cells = [call.tensors[index].cell for index in self.arguments]
            return [cell.value if cell.trace is None else mode.read(cell) for cell in cells]
        values = [cell.value for cell in self.cells]
        for place, source in self._others:  # in rising order, so each ends where it belongs
            values.insert(place, source.fetch(call, mode))
        return values
