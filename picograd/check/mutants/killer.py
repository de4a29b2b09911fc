"""What looks for faults: a seeded run that ends with the first one, or without."""

from __future__ import annotations

from typing import Protocol

from picograd.compiler.validation.fault import Fault
from picograd.errors import PassError, PicogradError, VerificationError
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The end of a killer's run."""

    cases: int
    """How many it looked at, the fatal one included."""
    fault: Fault | None = None
    """As what it saw the first fault; None where it saw none."""
    culprit: str = ""
    """The pass, device or test that it names."""
    detail: str = ""
    """What it says, in a line."""


class Killer(Protocol):
    """One of the tools that users have, with everything that it draws fixed by a seed."""

    def hunt(self) -> Verdict:
        """Run until the first fault, or to the end."""
        ...

    @property
    def kind(self) -> str:
        """The tool, in a word or two."""
        ...

    def __str__(self) -> str: ...


def fault_of(error: BaseException) -> Fault:
    """What an exception tells about the code it came from."""
    if isinstance(error, AssertionError):
        return Fault.VALUES
    if isinstance(error, VerificationError):
        return Fault.INVALID
    if isinstance(error, PassError):
        broken = isinstance(error.__cause__, VerificationError)
        return Fault.INVALID if broken or error.__cause__ is None else Fault.CRASH
    return Fault.CRASH


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    text = error.message if isinstance(error, PicogradError) else str(error)
    lines = text.strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
