"""How many threads run parallel loops on the CPU, for the process.

Apart from the pool itself, because the number can be asked for and set before any machine code has
been made, and without loading what makes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from picograd.errors import OptionError

VARIABLE = "PICOGRAD_NUM_THREADS"
MAX_THREADS = 1024


class _Process:
    threads: int | None = None
    """What was set, or else found when it was first asked for."""
    follow: Callable[[int], None] | None = None


def default_threads() -> int:
    """PICOGRAD_NUM_THREADS if it is set, else the number of cores that this process may use.

    Raises OptionError when the variable is not a number of threads.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        if hasattr(os, "sched_getaffinity"):
            return min(len(os.sched_getaffinity(0)), MAX_THREADS)
        return min(os.cpu_count() or 1, MAX_THREADS)
    return checked_threads(int(text) if text.isdecimal() else text, VARIABLE)


def checked_threads(threads: int | str, where: str) -> int:
    """The number, or OptionError where it is none; `where` says in the error where it stood."""
    if isinstance(threads, int) and 1 <= threads <= MAX_THREADS:
        return threads
    raise OptionError(
        f"{where} is not a number of threads",
        code="PG802",
        expected=f"a whole number from 1 to {MAX_THREADS}",
        found=repr(threads),
        hint="1 runs everything in the calling thread",
    )


def set_num_threads(threads: int) -> None:
    """How many threads run parallel loops on the CPU from now on, the caller included.

    Results do not depend on it. Raises OptionError when it is not between 1 and MAX_THREADS.
    """
    threads = checked_threads(threads, "the number of threads")
    _Process.threads = threads
    if _Process.follow is not None:
        _Process.follow(threads)


def get_num_threads() -> int:
    """How many threads run parallel loops on the CPU, the caller included.

    Raises OptionError when nobody has set it and PICOGRAD_NUM_THREADS is not a number of threads.
    """
    if _Process.threads is None:
        _Process.threads = default_threads()
    return _Process.threads


def follow(change: Callable[[int], None]) -> None:
    """Call `change` with the number whenever it is set: the process's pool asks for that."""
    _Process.follow = change
