"""Looking at a case: how it fails and which rewrite is to blame, here or in a process of its own.

Code that a back end made may end the process, or never come to an end. In a child process both are
failures like others, with a name of their own, so they can be reduced too.
"""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

from picograd.check.blame import blame
from picograd.check.oracle import Case, Failure, cause_of, examine
from picograd.check.reduce.search import REFUSALS
from picograd.check.twins import OnTwin, twins
from picograd.compiler.validation.fault import Fault
from picograd.errors import DeviceError, PicogradError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import Excess


class NativeCrash(DeviceError):
    """Generated code, or what it calls, ended the process."""


class Endless(DeviceError):
    """A case took longer than it was given."""


@dataclass(frozen=True)
class Seen:
    """A failure, and what `blame` says of it in short: the rule, and the op it is wrong about."""

    failure: Failure
    family: str


Look: TypeAlias = Callable[[Case, Failure | None], Seen | None]
"""How a case fails; None where it does not, or not like the failure that is given."""


def look_here(case: Case, like: Failure | None = None) -> Seen | None:
    """Look at a case in this process."""
    failure = examine(case)
    if failure is None or (like is not None and not like.alike(failure)):
        return None
    return Seen(failure, family_of(case, failure))


def look_at_twin(case: Case, like: Failure | None = None) -> tuple[OnTwin, Seen] | None:
    """Look at the twin of a large module: what fails there, and how; None where nothing does."""
    for small in twins(case):
        seen = look_here(small.case, like)
        if seen is not None and small.may_stand_for(seen.failure):
            return small, seen
    return None


def family_of(case: Case, failure: Failure | None = None) -> str:
    """The rule that is to blame and the op that it is wrong about; "" where nobody can tell.

    `failure` is how the case fails, where that is known.
    """
    try:
        blamed = blame(case, failure)
    except REFUSALS:
        return ""
    return "" if blamed is None else blamed.family


def look_apart(seconds: float) -> Look:
    """Looks at cases in child processes, each of which has so many seconds.

    The child is a copy of this process, so passes that were loaded are there. A GPU must not have
    been used before: a copy of its driver's threads does not work, which the driver says.
    """
    context = multiprocessing.get_context("fork")

    def look(case: Case, like: Failure | None = None) -> Seen | None:
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(case, like, there))
        child.start()
        there.close()
        try:
            answer = here.recv() if here.poll(seconds) else None
        except EOFError:
            child.join()
            answer = child.exitcode
        except KeyboardInterrupt:
            child.kill()  # it might never come to an end
            raise
        finally:
            here.close()
        if child.is_alive():
            child.kill()
        child.join()
        seen = _seen(case, answer, seconds)
        return None if seen and like and not like.alike(seen.failure) else seen

    return look


@dataclass(frozen=True)
class _Answer:
    """What a child says; an exception itself may not be fit for being sent, its class is."""

    fault: Fault
    culprit: str
    stage: int
    detail: str
    excess: Excess | None
    of_constants: bool
    kind: type[BaseException] | None
    code: str
    message: str
    family: str


def _child(case: Case, like: Failure | None, there: Connection) -> None:
    found = None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and sees to this
    try:
        found = look_here(case, like)
    except REFUSALS:
        there.send("refused")
        return
    if found is None:
        there.send("right")
        return
    failure = found.failure
    error = cause_of(failure.error)
    kind = None if error is None else type(error)
    own = isinstance(error, PicogradError)
    there.send(
        _Answer(
            failure.fault,
            failure.culprit,
            failure.stage,
            failure.detail,
            failure.excess,
            failure.of_constants,
            kind,
            error.code if own else "",
            error.message if own else "",
            found.family,
        )
    )


def _seen(case: Case, answer: object, seconds: float) -> Seen | None:
    if isinstance(answer, _Answer):
        error = None if answer.kind is None else answer.kind.__new__(answer.kind)
        if isinstance(error, PicogradError):
            error.code, error.message = answer.code, answer.message
        failure = Failure(
            answer.fault,
            answer.culprit,
            answer.stage,
            answer.detail,
            answer.excess,
            error,
            answer.of_constants,
        )
        return Seen(failure, answer.family)
    if isinstance(answer, str):
        return None
    if answer is None:
        slow = Endless(
            f"it came to no end in {seconds:g} seconds",
            code="PG904",
            expected="a program that ends",
            found=f"{seconds:g} seconds without a result",
            hint="look at the bounds of its loops; a large case may need more seconds",
        )
        return _native(case, slow)
    assert isinstance(answer, int)
    name = signal.Signals(-answer).name if answer < 0 else f"status {answer}"
    crash = NativeCrash(
        f"the process ended with {name}",
        code="PG904",
        expected="a program that returns",
        found=name,
        hint="run it with --sanitize, which names the access that leaves its memory",
    )
    return _native(case, crash)


def _native(case: Case, error: DeviceError) -> Seen:
    """The failure of a process that could not say anything any more."""
    culprit = case.device if case.device != "reference" else str(case.passes)
    failure = Failure(Fault.CRASH, culprit, len(case.passes), error.message, None, error)
    return Seen(failure, f"{type(error).__name__} of {case.device}")
