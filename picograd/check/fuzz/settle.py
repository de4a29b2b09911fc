"""A failure made ready to be kept: blamed, and made small."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from picograd.check.blame import blame
from picograd.check.fuzz.findings import Finding, kind_of
from picograd.check.oracle import Case, Failure, examine
from picograd.check.reduce.look import look_apart
from picograd.check.reduce.reducer import reduce
from picograd.check.replay import Expected, Replay, is_replay, read
from picograd.compiler.validation.fault import Fault
from picograd.passes import Pass

_MOST_LINES = 40
"""Of a failure's words, a file holds so many lines."""


def settle(replay: Replay, failure: Failure, known: Collection[str], seconds: float) -> Finding:
    """The finding that a failure is; one of a family in `known` is not looked into further.

    Whatever the tools that look into it raise, the failure itself is kept, with a word about that.
    """
    kind = kind_of(failure)
    if kind in known:
        return _finding(kind, kind, replay, failure)
    family, notes = kind, list[str]()
    try:
        blamed = blame(replay.case)
        if blamed is not None and failure.fault != Fault.CRASH:
            family = f"{kind}: {blamed.family}"
    except Exception as error:  # noqa: BLE001 - the failure matters, not what blame thinks of it
        notes.append(f"blame: {type(error).__name__}: {error}")
    if family in known:
        return _finding(kind, family, replay, failure)
    try:
        replay, failure = _reduced(replay, failure, seconds)
    except Exception as error:  # noqa: BLE001 - as above
        notes.append(f"reduce: {type(error).__name__}: {error}")
    return _finding(kind, family, replay, failure, notes)


def settle_ended(
    text: str, known: Mapping[str, type[Pass]], seconds: float, case_seconds: float
) -> str:
    """The file of a case that ended its process, with a small case where one does so too.

    `known` are the passes by name. Each look at a case takes a process of its own, for at most
    `case_seconds`. The text is left as it is where the case alone is right: then it needs what ran
    before it.
    """
    if not is_replay(text):
        return text
    replay = read(text, known=known)
    look = look_apart(case_seconds)
    seen = look(replay.case, None)
    if seen is None:
        return text
    start = time.monotonic()
    small = reduce(replay.case, seen.failure, seconds=seconds, look=look)
    seed = f"{replay.seed} (made small in {time.monotonic() - start:.0f} s)"
    return str(replace(replay, case=small, seed=seed))


def _reduced(replay: Replay, failure: Failure, seconds: float) -> tuple[Replay, Failure]:
    """A small case that fails in the same way, and how."""
    start = time.monotonic()
    small: Case = reduce(replay.case, failure, seconds=seconds)
    again = examine(small)
    if again is None or not again.alike(failure):
        return replay, failure
    seed = f"{replay.seed} (made small in {time.monotonic() - start:.0f} s)"
    return replace(replay, case=small, seed=seed), again


def _finding(
    kind: str, family: str, replay: Replay, failure: Failure, notes: Collection[str] = ()
) -> Finding:
    expected = Expected.of(failure)
    lines = [*expected.detail.splitlines()[:_MOST_LINES], *" \n".join(notes).splitlines()]
    expected = replace(expected, detail="\n".join(lines))
    told = failure.detail.partition("\n  help:")[0]
    headline = " ".join(f"{failure.fault.name} in {failure.culprit}: {told}".split())
    name = replay.seed.partition(" (")[0]
    return Finding(kind, family, name, headline, str(replace(replay, failure=expected)))
