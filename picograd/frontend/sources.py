"""Where the inputs of compiled code come from at each call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from picograd.frontend.arguments import Call
from picograd.frontend.cells import Cell, Value
from picograd.frontend.core import TensorCore
from picograd.frontend.eager import EagerMode
from picograd.frontend.modes import RuntimeValue


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
