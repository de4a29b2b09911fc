"""Programs in memory: those that were used last, and any that somebody still holds.

A program that leaves is gone when its last user lets go of it, its machine code too; a thread that
runs it is such a user. Who looks it up before that finds it as if it had never left.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from picograd.backends.locks import Lock

T = TypeVar("T")

LIMIT = 64 << 20
"""Bytes that programs which nobody else holds may take together."""


class Recent(Generic[T]):
    """Values by key, with the bytes that they are said to take. Any thread may use it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.nbytes = 0
        """What those that nobody else needs to hold take together."""
        self._held: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._alive: weakref.WeakValueDictionary[Hashable, T] = weakref.WeakValueDictionary()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        """The value, which counts as used now; None if it is gone."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
            return self._alive.get(key)

    def add(self, key: Hashable, value: T, nbytes: int, *, replace: bool = False) -> T:
        """Hold a value; the one to use: what another thread has added meanwhile comes first."""
        with self._lock:
            known = self._alive.get(key)
            if known is not None and not replace:
                value = known
            _, before = self._held.pop(key, (None, 0))
            self._held[key] = (value, nbytes)
            self._alive[key] = value
            self.nbytes += nbytes - before
            leaving: list[T] = []  # what goes with them is done without the lock
            while self.nbytes > self.limit and len(self._held) > 1:
                _, (last, its) = self._held.popitem(last=False)
                self.nbytes -= its
                leaving.append(last)
        return value

    def clear(self) -> None:
        """Forget all, those that somebody holds too."""
        with self._lock:
            leaving = (list(self._held.values()), list(self._alive.values()))
            self._held.clear()
            self._alive.clear()
            self.nbytes = 0
        del leaving

    def __len__(self) -> int:
        return len(self._held)
