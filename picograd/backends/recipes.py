"""Recipes for objects with slots that are made over and over.

A small operation spends more of its time on the objects that stand for its result (a buffer, a
storage cell, a tensor) than on the result: Python takes a frame for each constructor, and a step of
its interpreter for each attribute. What such objects hold is known beforehand but for a word or
two. A recipe tells it, for a device that can do better (`Device.object_maker`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Argument:
    """What the call is given at this place."""

    number: int


@dataclass(frozen=True)
class Earlier:
    """The item of this number in the recipe; or what lies in a slot of it."""

    number: int
    slot: str = ""


@dataclass(frozen=True)
class Constant:
    """The same in every call."""

    value: object


Source: TypeAlias = Argument | Earlier | Constant


@dataclass(frozen=True)
class Made:
    """An object of a class whose slots hold these. Its constructors are not called."""

    kind: type
    slots: Mapping[str, Source]


@dataclass(frozen=True)
class Taken:
    """What a function gives; where that raises an error, what the other one gives."""

    first: Callable[[], object]
    other: Callable[[], object]
    kind: type


Item: TypeAlias = Made | Taken
