"""Following recipes for objects (`backends.recipes`) in machine code.

One function, called like those built into Python, takes the memory for each object as Python's own
constructors do, and fills its slots. Where a slot lies in an object is not read from Python's
internals but seen: an object is filled with others that are found in its memory again. Where that
does not work, there is no such function, and objects are made as everywhere.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from picograd.backends.llvm.python_functions import PythonFunction, can_launch
from picograd.backends.llvm.standing import make
from picograd.backends.llvm.standing.code import ENTRY_CODE
from picograd.backends.recipes import Argument, Constant, Item, Taken

_MAKE = PythonFunction(make.NAME, ENTRY_CODE.library)


def maker(recipe: Sequence[Item], arguments: int = 0) -> Callable[..., Any] | None:
    """A function that gives the last item of a recipe, made anew; None where Python offers none."""
    offsets = [offsets_in(item.kind) for item in recipe]
    if not can_launch() or any(known is None for known in offsets):
        return None
    if len(recipe) + arguments > make.MOST:
        return None
    kept: list[object] = []

    def held(value: object) -> int:
        kept.append(value)
        return id(value)

    words = [len(recipe), arguments]
    for item in recipe:
        if isinstance(item, Taken):
            words += [make.TAKEN, held(item.first), held(item.other)]
            continue
        own = offsets_in(item.kind) or {}
        words += [make.MADE, held(item.kind), len(item.slots)]
        for name, source in item.slots.items():
            if isinstance(source, Constant):
                what = (make.CONSTANT, held(source.value), 0)
            elif isinstance(source, Argument):
                what = (make.ITEM, source.number, 0)
            elif not source.slot:
                what = (make.ITEM, arguments + source.number, 0)
            else:
                there = offsets_in(recipe[source.number].kind) or {}
                what = (make.SLOT, arguments + source.number, there[source.slot])
            words += [own[name], *what]
    plan = struct.pack(f"={len(words)}Q", *words)
    return _MAKE.bound(plan, tuple(kept))


class _Mark:
    """What is looked for in an object's memory."""


@cache
def offsets_in(kind: type[Any]) -> Mapping[str, int] | None:
    """Where the slots of a class's objects lie; None if they are not found."""
    if not can_launch():
        return None
    # A derived class may have a property of the same name: what counts is the slot.
    slots: dict[str, Any] = {
        name: vars(base)[name] for base in kind.__mro__ for name in _slots_of(base)
    }
    probe: Any = object.__new__(kind)
    marks = {name: _Mark() for name in slots}
    for name, slot in slots.items():
        slot.__set__(probe, marks[name])
    memory = ctypes.string_at(id(probe), kind.__basicsize__)
    for slot in slots.values():
        slot.__delete__(probe)
    found: dict[str, int] = {}
    for name, mark in marks.items():
        word = struct.pack("=Q", id(mark))
        place = memory.find(word)
        if place % 8 or memory.count(word) != 1:
            return None
        found[name] = place
    return found


def _slots_of(kind: type) -> Sequence[str]:
    slots: Any = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return [name for name in names if name not in ("__weakref__", "__dict__")]
