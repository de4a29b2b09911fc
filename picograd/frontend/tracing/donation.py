"""Which buffers a compiled function may overwrite: those that only their cell holds.

The code of a compiled function writes new parameters over the old ones. That is right as long as
nobody else looks at the old ones: but the tape may have saved them, or another cell may hold the
same buffer, because a copy that changes nothing copies nothing. Python counts who holds an object;
what is held elsewhere is copied before the call. Who takes hold of it in another thread while the
call runs comes too late: threads that share a tensor which one of them changes need a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

from picograd.backends.runtime import Buffer
from picograd.compiler.fast_entry import items_at
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.storage.cells import Cell, Value


def _counts_of(values: Sequence[object]) -> list[int]:
    """What Python counts for each."""
    return [*map(getrefcount, values)]


def _holders_of_own() -> int:
    """What Python counts for a value in a list that one cell holds as well.

    Measured as `owner_of_inputs` does, because versions of Python differ in which references count.
    """
    cell = [object()]
    inputs = [cell[0]]
    return max(_counts_of(inputs))


_OWN = _holders_of_own()


def owner_of_inputs(places: Sequence[int]) -> Callable[[list[Value], EagerMode], None]:
    """What replaces those inputs at `places` that somebody beside their cell holds by copies."""
    at_places = items_at(places)

    def own(inputs: list[Value], mode: EagerMode) -> None:
        counts = _counts_of(inputs)
        if max(at_places(counts), default=0) > _OWN:
            for place in places:
                if counts[place] > _OWN:
                    inputs[place] = mode.copy(inputs[place])

    return own


class _Held:
    """What stands for a tensor with a gradient, and for that with its storage."""

    def __init__(self, cell: object = None, grad_slot: Any = None) -> None:
        self.cell = cell
        self.grad_slot = grad_slot


def _counts(tensor: Any) -> tuple[int, int]:
    present = tensor.grad_slot
    cell = present.cell
    return getrefcount(present), getrefcount(cell)


_TENSORS, _CELLS = _counts(_Held(grad_slot=_Held(object())))
"""What Python counts for a gradient and its storage that one tensor holds, as `renew` asks."""


def renew(
    gradients: Sequence[tuple[TensorCore, int, Callable[[Buffer], TensorCore]]],
    buffers: Sequence[Buffer],
) -> None:
    """Let the tensors have new gradients: each the one in that buffer, made by that function.

    A gradient that nobody but its tensor can tell from the one of the last call gets new contents.
    """
    kind = TensorCore.result_class
    for tensor, output, make in gradients:
        present, buffer = tensor.grad_slot, buffers[output]
        if present is None:
            tensor.grad_slot = make(buffer)
            continue
        cell = present.cell
        if (
            getrefcount(present) > _TENSORS
            or getrefcount(cell) > _CELLS
            or cell.__class__ is not Cell
            or cell.type is not buffer.type
            or present.views
            or present.history.node is not None
            or present.__class__ is not kind
        ):
            tensor.grad_slot = make(buffer)
        else:
            cell.value, cell.version = buffer, 0
