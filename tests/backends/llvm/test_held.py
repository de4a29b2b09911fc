"""What containers hold is seen as Python sees it, and nothing is held for longer."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from types import CellType
from typing import Any

import pytest

from picograd.backends.llvm import held


def checker(slots: Sequence[tuple[Any, Any, object]]) -> Callable[[], bool]:
    made = held.checker(slots)
    assert made is not None
    return made


class Thing:
    def __getitem__(self, key: str) -> object:
        raise OSError(key)


def test_each_kind_of_container_is_asked() -> None:
    value, other = object(), object()
    mapping, sequence, cell = {"a": value, 1: other}, [other, value], CellType(value)
    holds = checker([(mapping, "a", value), (sequence, 1, value), (cell, None, value)])
    changes: list[Callable[[object], None]] = [
        lambda to: mapping.__setitem__("a", to),
        lambda to: sequence.__setitem__(1, to),
        lambda to: setattr(cell, "cell_contents", to),
    ]
    assert holds()
    for change in changes:
        change(other)
        assert not holds()
        change(value)
        assert holds()


def test_what_is_gone_is_no_error() -> None:
    value = object()
    cell = CellType(value)
    del cell.cell_contents
    for container, key in (({}, "a"), ([], 0), (cell, None), (Thing(), "a"), (3, "a")):
        assert checker([(container, key, value)])() is False
        assert checker([({"a": value}, "a", value), (container, key, value)])() is False


def test_nothing_is_held_too_long() -> None:
    value, mapping = Thing(), dict[str, object]()
    mapping["a"] = value
    before = sys.getrefcount(value)
    holds = checker([(mapping, "a", value)])
    count = sys.getrefcount(value)
    for _ in range(100):
        assert holds()
    assert sys.getrefcount(value) == count
    del holds
    gc.collect()
    assert sys.getrefcount(value) == before
    ends = weakref.ref(value)
    mapping.clear()
    del value
    assert ends() is None


def test_a_value_that_ends_with_the_look() -> None:
    class Fresh:
        def __getitem__(self, key: str) -> object:
            return object()

    assert not checker([(Fresh(), "a", object())])()


def test_a_python_without_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "can_launch", lambda: False)
    assert held.checker([({}, "a", None)]) is None
