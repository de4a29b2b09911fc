"""Which buffers a compiled function may overwrite: those that only their cell holds.

The code of a compiled function writes new parameters over the old ones. That is right as long as
nobody else looks at the old ones: but the tape may have saved them, or another cell may hold the
same buffer, because a copy that changes nothing copies nothing. Python counts who holds an object;
what is held elsewhere is copied before the call. Who takes hold of it in another thread while the
call runs comes too late: threads that share a tensor which one of them changes need a lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getrefcount

from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.storage.cells import Value


def _holders_of_own() -> int:
    """What Python counts for a value in a list that one cell holds as well.

    Measured as `own_inputs` counts, because versions of Python differ in which references count.
    """
    cell = [object()]
    inputs = [cell[0]]
    return getrefcount(inputs[0])


_OWN = _holders_of_own()


def own_inputs(inputs: list[Value], places: Iterable[int], mode: EagerMode) -> None:
    """Replace those inputs at `places` that somebody beside their cell holds by copies."""
    for place in places:
        if getrefcount(inputs[place]) > _OWN:
            inputs[place] = mode.copy(inputs[place])
