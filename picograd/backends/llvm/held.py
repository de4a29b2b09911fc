"""Whether containers hold what they held, asked in machine code.

A compiled function depends on dozens of attributes and variables, each of which may have been bound
anew before any call. To look at one takes Python four times as long as to find it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from picograd.backends.llvm.python_functions import PythonFunction, can_launch
from picograd.backends.llvm.standing import held
from picograd.backends.llvm.standing.code import ENTRY_CODE

_HELD = PythonFunction(held.NAME, ENTRY_CODE.library)


def checker(slots: Sequence[tuple[Any, Any, object]]) -> Callable[[], bool] | None:
    """A function that tells whether each container still holds the very object at its key.

    A closure's cell has the key None. None where Python offers no such function.
    """
    if not can_launch():
        return None
    words = [len(slots)]
    for container, key, value in slots:
        words += [id(container), 0 if key is None else id(key), id(value)]
    plan = struct.pack(f"={len(words)}Q", *words)
    return _HELD.bound(plan, tuple(slots))
