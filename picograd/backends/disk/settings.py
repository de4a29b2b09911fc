"""Where picograd keeps what it remembers between runs, how much of it, and whether at all."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from picograd.backends.disk.store import Store
from picograd.backends.switches import is_on
from picograd.errors import OptionError

FOLDER = "PICOGRAD_CACHE"
"""Names the folder for all that picograd remembers."""

SWITCH = "PICOGRAD_DISK_CACHE"
"""Set to 0, compiled programs are neither kept on disk nor taken from there."""

LIMIT = "PICOGRAD_CACHE_LIMIT"
"""Bytes that kept programs may take together, such as 500M or 2G."""

DEFAULT_LIMIT = 1 << 30

SCHEDULES_LIMIT = 16 << 20
"""Bytes that tuned schedules may take together: a kernel's take a few hundred."""

SHARED_LIMIT = 4 << 20
"""Bytes that may be taken by what all programs share: a processor's code takes ten thousand."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def cache_folder() -> Path:
    """Where picograd keeps what it remembers between runs: PICOGRAD_CACHE, or the user's cache."""
    own = os.environ.get(FOLDER)
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "picograd"


def program_store() -> Store | None:
    """Where compiled programs are kept; None where PICOGRAD_DISK_CACHE says that none are.

    Raises OptionError where the variable, or PICOGRAD_CACHE_LIMIT, says nothing that is understood.
    """
    if not is_on(SWITCH, unset=True):
        return None
    return _store(cache_folder() / "programs", limit())


def schedule_store() -> Store:
    """Where schedules are kept that `picograd tune` has found."""
    return _store(cache_folder() / "tuned", SCHEDULES_LIMIT, "tuned schedules")


def shared_store() -> Store | None:
    """Where is kept what all programs share, machine code and digests; None where none are kept.

    Raises OptionError where PICOGRAD_DISK_CACHE says nothing that is understood.
    """
    if not is_on(SWITCH, unset=True):
        return None
    return _store(cache_folder() / "shared", SHARED_LIMIT)


@cache
def _store(folder: Path, limit: int, holds: str = "compiled programs") -> Store:
    return Store(folder, limit, holds, warned=_warned(folder.parent, holds))


@cache
def _warned(folder: Path, holds: str) -> set[str]:
    """What has been said of a cache folder: of programs, or of what they share, is enough."""
    return set()


def limit() -> int:
    """Bytes that kept programs may take together. Raises OptionError for what is no size."""
    text = os.environ.get(LIMIT, "").strip()
    if not text:
        return DEFAULT_LIMIT
    size = re.fullmatch(r"(\d+) ?([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if size is None:
        raise OptionError(
            f"the environment variable {LIMIT} is no size",
            code="PG801",
            expected="bytes, such as 500M or 2G",
            found=repr(text),
            hint=f"set {LIMIT}=1G, or take it away",
        )
    return int(size[1]) * _UNITS[size[2].upper()]
