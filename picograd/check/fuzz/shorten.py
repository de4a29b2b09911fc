"""Programs of the front end that fail: how, in words, and how few of their lines it takes.

Lines are left out in runs of falling length, as delta debugging does (A. Zeller and R. Hildebrandt,
*Simplifying and Isolating Failure-Inducing Input*, 2002), then results and arguments, as long as
what is left fails in the same way on the same device.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from picograd.check.fuzz.findings import Finding
from picograd.check.fuzz.front_end import FRONT_END, FrontEndProgram, complaints
from picograd.check.oracle import reason_of
from picograd.errors import PicogradError
from picograd.quick_dataclasses import dataclass

_LONGEST_RUN = 4


@dataclass(frozen=True)
class FrontEndFailure:
    """A program that goes wrong on a device. `name` draws it again; `wrong` says what is wrong."""

    program: FrontEndProgram
    device: str
    name: str
    wrong: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Equal for failures that are alike: how it ran, where, and which exception it was."""
        return f"{FRONT_END} on {self.device}: {reason_of(self.wrong[0].partition(':')[0])}"

    def finding(self) -> Finding:
        """What is told and kept of it."""
        headline = "; ".join(self.wrong)
        text = self.program.script(self.device, headline)
        return Finding(self.kind, self.kind, self.name, headline, text, suffix=".py")


def fail(program: FrontEndProgram, device: str, name: str) -> FrontEndFailure | None:
    """How a program fails on a device, if it does. Raises PicogradError where it is refused."""
    try:
        wrong = complaints(program.function(), program.inputs, device)
    except PicogradError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to see it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        wrong = [f"{type(error).__name__} on {device} at {place}: {error}"]
    return FrontEndFailure(program, device, name, tuple(wrong)) if wrong else None


def shorten(failure: FrontEndFailure, seconds: float) -> FrontEndFailure:
    """The same failure of a shorter program; it looks for one for so many seconds."""
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for candidate in _shorter(failure.program):
            if time.monotonic() > end:
                return failure
            found = _still(failure, candidate)
            if found is not None:
                failure, progress = found, True
                break
    return failure


def settle_front_end(failure: FrontEndFailure, known: Collection[str], seconds: float) -> Finding:
    """The finding that a failure is; one of a kind in `known` is not made shorter."""
    short = failure if failure.kind in known else shorten(failure, seconds)
    return short.finding()


def _still(failure: FrontEndFailure, candidate: FrontEndProgram) -> FrontEndFailure | None:
    try:
        found = fail(candidate, failure.device, failure.name)
    except PicogradError:
        return None
    return found if found is not None and found.kind == failure.kind else None


def _shorter(program: FrontEndProgram) -> Iterator[FrontEndProgram]:
    """Programs with something left out, those that lose most first."""
    for length in range(min(_LONGEST_RUN, len(program.lines)), 0, -1):
        for start in range(len(program.lines) - length, -1, -1):
            lines = program.lines[:start] + program.lines[start + length :]
            left = _without(program.returned, program.lines[start : start + length])
            yield replace(program, lines=lines, returned=left)
    # The first results are the arguments as they are left, which are looked at in any case.
    count = program.parameters
    for place in range(count, len(program.returned)):
        rest = program.returned[:place] + program.returned[place + 1 :]
        yield replace(program, returned=rest)
    if count > 1 and f"x{count - 1}" not in " ".join(program.lines):
        rest = program.returned[: count - 1] + program.returned[count:]
        yield FrontEndProgram(count - 1, program.lines, rest, program.inputs[:-1])


def _without(returned: Sequence[str], gone: Sequence[str]) -> tuple[str, ...]:
    """The results that lines which are left out do not define."""
    names = {line.partition(" = ")[0] for line in gone}
    return tuple(name for name in returned if name not in names)
