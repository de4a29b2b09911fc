"""Errors that point at the user's own line."""

from __future__ import annotations

from typing import TypeVar

from picograd.errors import PicogradError, user_location

E = TypeVar("E", bound=PicogradError)


def located(error: E) -> E:
    """The error; unless it names a place already, `where` tells the user's line."""
    if not error.where:
        error.where = str(user_location() or "")
    return error
