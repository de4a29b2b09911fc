"""The errors that picograd raises, and where in the user's code they came from.

Every error says what went wrong, what was expected, what was found, and what to do about it; each
of these is a field, so that a front end or a command line may lay them out as it likes. Subclasses
also derive from the exception that PyTorch raises in the same place, so that code written for
PyTorch catches them.
"""

from __future__ import annotations

import inspect
import linecache
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PACKAGE = str(Path(__file__).resolve().parent) + "/"
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
# Packages that people install may lie inside the standard library's folder, under these names.
_INSTALLED = ("/site-packages/", "/dist-packages/")
# What pip makes of the entry point of the command.
_LAUNCHER = str(Path(sysconfig.get_path("scripts")) / "picograd")


@dataclass(frozen=True)
class Location:
    """One line of a user's source file."""

    file: str
    line: int

    @property
    def text(self) -> str:
        """The source text of the line, stripped; empty when the source is not available."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        text = self.text
        return f"{self.file}:{self.line}" + (f"\n    {text}" if text else "")


def user_location() -> Location | None:
    """The innermost frame of the current call stack outside picograd and the standard library.

    Returns None where there is none (the command, or a thread that picograd itself started).
    """
    frame = inspect.currentframe()
    while frame is not None:
        if _is_the_users(frame.f_code.co_filename):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _is_the_users(file: str) -> bool:
    if file.startswith(_STANDARD_LIBRARY):
        return any(folder in file for folder in _INSTALLED)
    return not file.startswith((_PACKAGE, "<frozen ")) and file != _LAUNCHER


class PicogradError(Exception):
    """Base of all errors that picograd raises on purpose.

    `message` is one sentence; `expected`, `found` and `hint` (what to do) are phrases; `where`
    names the op, pass or source line. Absent parts are empty strings.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: object = "",
        found: object = "",
        hint: str = "",
        where: object = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = str(expected)
        self.found = str(found)
        self.hint = hint
        self.where = "" if where is None else str(where)

    def __str__(self) -> str:
        parts = [
            ("expected", self.expected),
            ("found", self.found),
            ("help", self.hint),
            ("at", self.where),
        ]
        lines = [f"  {name + ':':<10}{text}" for name, text in parts if text]
        return "\n".join([self.message, *lines])


class ShapeError(PicogradError, RuntimeError, ValueError):
    """Shapes that do not fit the operation; PyTorch raises either, losses a ValueError."""


class DTypeError(PicogradError, RuntimeError):
    """An element type that the operation does not take."""


class OperandError(DTypeError, TypeError):
    """Something else where a tensor, or a number, is needed, or a dtype without the operation."""


class DeviceError(PicogradError, RuntimeError):
    """A device that is absent, or values on devices that differ."""


class AxisError(PicogradError, IndexError, RuntimeError):
    """An axis outside the rank of the tensor, named twice, or without elements where some are
    needed; PyTorch raises either.
    """


class IndexOutOfRange(PicogradError, IndexError, RuntimeError):
    """An index value outside the axis that it indexes; PyTorch raises either."""

    @classmethod
    def in_data(cls, index: int, size: int, *, place: str = "", where: object = "") -> Self:
        """An index that was read from a tensor, for an axis of `size`; `place` is where it stood.

        Every device and evaluator says it with these words.
        """
        return cls(
            f"index {index} read from a tensor is out of range for an axis of size {size}",
            expected=f"0 <= index < {size}",
            found=f"{index} {place}".rstrip(),
            hint="check the labels or indices that gather, scatter or embedding are given",
            where=where,
        )


class GradientError(PicogradError, RuntimeError):
    """A backward pass that cannot be taken."""


class StateError(PicogradError, RuntimeError):
    """A saved state that does not fit the module or optimizer, or cannot be read."""


class TraceError(PicogradError, RuntimeError):
    """Code that cannot be traced, such as a Python branch on a traced value."""


class MissingName(PicogradError, AttributeError):
    """A name of PyTorch's that picograd does not have."""


class PassError(PicogradError):
    """A pass that failed, or left IR behind that does not verify."""


class PipelineError(PicogradError):
    """Passes in an order that their levels or requirements forbid."""


class OptionError(PicogradError, ValueError, RuntimeError):
    """An unknown option, or an option value that does not parse; PyTorch raises either."""


class ParseFailure(PicogradError):
    """Malformed IR text; `where` holds line and column."""


class VerificationError(PicogradError):
    """IR that breaks a rule of its dialect."""


class LimitError(PicogradError):
    """A kernel that exceeds a limit of its device."""


class CompileError(PicogradError):
    """A failure of code generation."""
