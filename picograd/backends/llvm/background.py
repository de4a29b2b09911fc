"""A thread that compiles while Python goes on.

It computes nothing that a program is asked for, so it is none of the threads that
`picograd.set_num_threads` counts; where there is a single processor it costs nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from threading import Thread

from picograd.backends.locks import Lock

_LOG = logging.getLogger("picograd")


class _ShortTurns:
    """While LLVM has threads, others keep Python's lock for a tenth of a millisecond, not for five
    of them: a thread of LLVM's asks for it a few times for each text, and is what the end of
    compiling waits for.
    """

    _SECONDS = 0.0001

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = 0
        self._usual = 0.0

    def begin(self) -> None:
        """There is one more thread."""
        with self._lock:
            if self._threads == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, self._SECONDS))
            self._threads += 1

    def end(self) -> None:
        """There is one less."""
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                sys.setswitchinterval(self._usual)

    def after_fork(self) -> None:
        """The threads are not in the child."""
        if self._threads:
            sys.setswitchinterval(self._usual)
            self._threads = 0


_TURNS = _ShortTurns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TURNS.after_fork)


def begin(work: Callable[[], None], name: str, *, daemon: bool) -> Thread | None:
    """A thread that works; an interpreter that ends waits for it unless it is a daemon.

    None where the system starts none: then the caller has to do it.
    """

    def run() -> None:
        try:
            work()
        finally:
            _TURNS.end()

    thread = Thread(target=run, name=f"picograd: {name}", daemon=daemon)
    _TURNS.begin()
    try:
        thread.start()
    except RuntimeError as error:  # Python's word for "the system has said no"
        _TURNS.end()
        _LOG.info("no thread for %s, the caller's does it: %s", name, error)
        return None
    return thread
