"""Which buffers a compiled function may overwrite: those that only their cell holds.

The code of a compiled function writes new parameters over the old ones. That is right as long as
nobody else looks at the old ones: but the tape may have saved them, or another cell may hold the
same buffer, because a copy that changes nothing copies nothing. Python counts who holds an object;
what is held elsewhere is copied before the call. Who takes hold of it in another thread while the
call runs comes too late: threads that share a tensor which one of them changes need a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any

from picograd.backends.runtime import Buffer
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.storage.cells import Cell, Value


def _counts_of(values: Sequence[object]) -> list[int]:
    """What Python counts for each."""
    return [*map(getrefcount, values)]


def _holders_of_own() -> int:
    """What Python counts for a value in a list that one cell holds as well.

    Measured as `own_inputs` counts, because versions of Python differ in which references count.
    """
    cell = [object()]
    inputs = [cell[0]]
    return max(_counts_of(inputs))


_OWN = _holders_of_own()


def own_inputs(inputs: list[Value], places: Sequence[int], mode: EagerMode) -> None:
    """Replace those inputs at `places` that somebody beside their cell holds by copies."""
    counts = _counts_of(inputs)
    for place in places:
        if counts[place] > _OWN:
            inputs[place] = mode.copy(inputs[place])


class _Held:
    """What stands for a tensor with a gradient, and for that with its storage."""

    def __init__(self, cell: object = None, grad_slot: Any = None) -> None:
        self.cell = cell
        self.grad_slot = grad_slot


def _counts(present: Any) -> tuple[int, int]:
    cell = present.cell
    return getrefcount(present), getrefcount(cell)


def _holders_of_gradient() -> tuple[int, int]:
    """What Python counts for a gradient and its storage that one tensor holds."""
    tensor = _Held(grad_slot=_Held(object()))
    present = tensor.grad_slot
    return _counts(present)


_TENSORS, _CELLS = _holders_of_gradient()


def renewed(present: TensorCore, buffer: Buffer) -> bool:
    """Put new contents into a gradient that is made anew, where nobody but its tensor can tell
    that it is still the one of the last call; False if somebody could.
    """
    cell = present.cell
    if (
        getrefcount(present) > _TENSORS
        or getrefcount(cell) > _CELLS
        or cell.__class__ is not Cell
        or cell.type is not buffer.type
        or present.views
        or present.history.node is not None
        or present.__class__ is not TensorCore.result_class
    ):
        return False
    cell.value, cell.version = buffer, 0
    return True
