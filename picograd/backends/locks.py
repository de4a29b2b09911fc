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

    __slots__ = ("__weakref__", "now")

    def __init__(self) -> None:
        self.now = threading.Lock()
        """The lock itself, which does the same in a quarter of the time: `with lock.now:`. To be
        asked for at each block, because a child has another one.
        """
        _locks.add(self)

    def __enter__(self) -> None:
        self.now.acquire()

    def __exit__(self, *raised: object) -> None:
        if self.now.locked():  # in a child that was forked inside of the block it is a fresh one
            self.now.release()

    def after_fork(self) -> None:
        """Be open, whoever held it."""
        self.now = threading.Lock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _open_all() -> None:
    for lock in _locks:
        lock.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
