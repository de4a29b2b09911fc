"""Where the inputs of compiled code come from at each call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from picograd.backends.runtime import Buffer
from picograd.frontend.cells import Cell
from picograd.frontend.core import TensorCore
from picograd.frontend.eager import EagerMode
from picograd.frontend.modes import RuntimeValue


@dataclass(frozen=True)
class FromArgument:
    """The storage of a tensor among the arguments."""

    index: int


@dataclass(frozen=True)
class FromCell:
    """Storage that the function reached by itself: parameters, state, captured tensors."""

    cell: Cell


@dataclass(frozen=True)
class FromGrad:
    """The `.grad` that a tensor has when the call begins."""

    tensor: TensorCore


@dataclass(frozen=True)
class FromPython:
    """A number that Python supplies: an argument, a learning rate, a random state."""

    value: RuntimeValue


Source: TypeAlias = FromArgument | FromCell | FromGrad | FromPython


def fetch(
    source: Source, tensors: Sequence[TensorCore], numbers: Sequence[float], mode: EagerMode
) -> Buffer:
    """The buffer to hand to the compiled code."""
    match source:
        case FromArgument(index):
            value = mode.read(tensors[index].cell)
        case FromCell(cell):
            value = mode.read(cell)
        case FromGrad(tensor):
            assert tensor.grad_slot is not None
            value = tensor.grad_slot.read().value
        case FromPython(number):
            value = mode.constant(number.array(numbers))
    return cast(Buffer, value)
