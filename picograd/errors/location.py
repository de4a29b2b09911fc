"""Where in the user's code an error came from, down to the expression."""

from __future__ import annotations

import inspect
import linecache
import sysconfig
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Self

from picograd.quick_dataclasses import dataclass

_PACKAGE = str(Path(__file__).resolve().parents[1]) + "/"
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
# Packages that people install may lie inside the standard library's folder, under these names.
_INSTALLED = ("/site-packages/", "/dist-packages/")
# What pip makes of the entry point of the command.
_LAUNCHER = str(Path(sysconfig.get_path("scripts")) / "picograd")

_INDENT = "    "
_MOST_LINES = 6
"""Lines of an expression that are shown; a longer one is cut off."""


@dataclass(frozen=True)
class Location:
    """An expression in a user's source file; without columns, a whole line.

    Lines count from 1. Columns are those of Python's `co_positions`: bytes of UTF-8, from 0, the
    last one past the end.
    """

    file: str
    line: int
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None

    @property
    def text(self) -> str:
        """The source text of the line, stripped; empty when the source is not available."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return "\n".join([f"{self.file}:{self.line}", *self.source()])

    def source(self) -> list[str]:
        """The lines of the expression, each with carets under its part of it.

        Nothing when the source is not available, the line alone when the columns are not known.
        """
        if not self.text:
            return []
        if self.column is None or self.end_line is None or self.end_column is None:
            return [_INDENT + self.text]
        past = min(self.end_line, self.line + _MOST_LINES - 1) + 1
        numbers = range(self.line, past)
        lines = [linecache.getline(self.file, number).rstrip() for number in numbers]
        margin = min((_margin(line) for line in lines if line), default=0)
        shown: list[str] = []
        for number, line in zip(numbers, lines, strict=True):
            start = _column(line, self.column) if number == self.line else _margin(line)
            end = _column(line, self.end_column) if number == self.end_line else len(line)
            shown.append(_INDENT + line[margin:])
            if start < end:
                blank = _blank(line[margin:start])
                shown.append(_INDENT + blank + "^" * _width(line[start:end]))
        return [*shown, *([f"{_INDENT}…"] if past <= self.end_line else [])]


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _column(line: str, offset: int) -> int:
    """The character of the line at a number of bytes."""
    return len(line.encode()[:offset].decode(errors="ignore"))


def _blank(text: str) -> str:
    """Blanks as wide as the text; tabs stay, because their width depends on the terminal."""
    return "".join("\t" if letter == "\t" else " " * _width(letter) for letter in text)


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
    return wide + sum(not unicodedata.combining(letter) for letter in text)


class Place(str):
    """A line as IR names it, `model.py:12`, that remembers the expression which was traced there.

    It is a text like another: IR that was printed and parsed has lost the rest.
    """

    def __new__(cls, frame: FrameType) -> Self:
        place = super().__new__(cls, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        place._traced = frame.f_code, frame.f_lasti, frame.f_lineno
        return place

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    @property
    def location(self) -> Location:
        """The expression, found when it is asked for: most are never in an error."""
        return _location(*self._traced)

    _traced: tuple[CodeType, int, int]


def source_of(places: Iterable[str]) -> str:
    """The source lines with carets of those places that remember them, to go behind their names."""
    lines = [line for one in places if isinstance(one, Place) for line in one.location.source()]
    return "".join(f"\n{line}" for line in lines[:_MOST_LINES])


def user_location() -> Location | None:
    """The expression that the innermost frame outside picograd and the standard library evaluates.

    Returns None where there is none (the command, or a thread that picograd itself started).
    """
    frame = inspect.currentframe()
    while frame is not None:
        if _is_the_users(frame.f_code.co_filename):
            return location_in(frame)
        frame = frame.f_back
    return None


def location_in(frame: FrameType) -> Location:
    """The expression that a frame evaluates now."""
    return _location(frame.f_code, frame.f_lasti, frame.f_lineno)


def locations_of(trace: TracebackType | None) -> Iterator[Location]:
    """The expressions that led to an exception, the one that raised it last."""
    while trace is not None:
        yield _location(trace.tb_frame.f_code, trace.tb_lasti, trace.tb_lineno)
        trace = trace.tb_next


def origin_of(trace: TracebackType | None) -> Location | None:
    """Where an exception came from: the innermost expression of the user's files, else picograd's.

    What either of them called in an installed package or in Python's own library is not shown.
    """
    places = list(locations_of(trace))
    users = [place for place in places if _is_the_users(place.file) and not _installed(place.file)]
    own = [place for place in places if place.file.startswith(_PACKAGE)]
    return (users or own or places or [None])[-1]


def _location(code: CodeType, instruction: int, fallback: int) -> Location:
    # Two bytes an instruction. Python may have been told to keep no columns.
    found = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    line, end_line, column, end_column = found
    if line is None:
        return Location(code.co_filename, fallback)
    return Location(code.co_filename, line, column, end_line, end_column)


def _installed(file: str) -> bool:
    return any(folder in file for folder in _INSTALLED)


def _is_the_users(file: str) -> bool:
    if file.startswith(_STANDARD_LIBRARY):
        return _installed(file)
    return not file.startswith((_PACKAGE, "<frozen ")) and file != _LAUNCHER
