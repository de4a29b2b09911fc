"""Environment variables that turn something on or off, or name a folder for it.

A word that means neither is an error: who writes `PICOGRAD_SANITIZE=ture` wants to be protected,
and would not be.
"""

from __future__ import annotations

import os
from pathlib import Path

from picograd.errors import OptionError

ON = ("1", "true", "yes", "on")
OFF = ("", "0", "false", "no", "off")


def is_on(variable: str, *, unset: bool = False) -> bool:
    """Whether a variable turns something on. Raises OptionError where it says neither yes nor no.

    Capitals are as good as small letters; `unset` is what a variable says that is not set.
    """
    if unset and not os.environ.get(variable, "").strip():
        return True
    found = _switch(variable)
    if found is None:
        raise _unknown(variable, "1 or 0, true or false, yes or no, on or off", "")
    return found


def is_on_or_folder(variable: str) -> bool:
    """As `is_on`, of a variable that may name a folder instead, which turns it on, too."""
    found = _switch(variable)
    return found if found is not None else folder_of(variable) is not None


def folder_of(variable: str) -> Path | None:
    """The folder that a variable names; None where it merely says yes or no.

    A folder that is not there yet is told from a mistyped word by a separator, as in `./wrong`.
    Raises OptionError for anything else, and for a path that can be no folder.
    """
    if _switch(variable) is not None:
        return None
    text = os.environ[variable]
    path = Path(text)
    if path.is_dir():
        return path
    separators = [mark for mark in (os.sep, os.altsep) if mark is not None and mark in text]
    if not separators:
        raise _unknown(variable, "1, 0 or a folder", f", or ./{text} for a folder of that name")
    above = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not above.is_dir():
        raise OptionError(
            f"{variable} names what can be no folder",
            code="PG801",
            expected="a folder, or a path where one can be made",
            found=f"{text!r}, and {above} is a file",
            hint="choose another place",
        )
    return path


def _switch(variable: str) -> bool | None:
    word = os.environ.get(variable, "").strip().lower()
    return True if word in ON else False if word in OFF else None


def _unknown(variable: str, expected: str, more: str) -> OptionError:
    return OptionError(
        f"the environment variable {variable} says neither yes nor no",
        code="PG801",
        expected=expected,
        found=repr(os.environ[variable]),
        hint=f"set {variable}=1, or take it away{more}",
    )
