"""Locks that a forked child finds open.

A process forks one thread. What another thread had locked at that moment would stay locked in the
child for ever; the child gets fresh locks instead. They guard what is consistent between any two
steps of the interpreter: caches, and functions that are to be compiled once.
"""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """A lock for a `with` block."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        if self._lock.locked():  # in a child that was forked inside of the block it is a fresh one
            self._lock.release()

    def after_fork(self) -> None:
        """Be open, whoever held it."""
        self._lock = threading.Lock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _open_all() -> None:
    for lock in _locks:
        lock.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
