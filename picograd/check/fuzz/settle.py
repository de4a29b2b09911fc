"""A failure made ready to be kept: blamed, and made small."""

from __future__ import annotations

from collections.abc import Collection

from picograd.check.fuzz.findings import Finding, family_of
from picograd.check.oracle import Failure
from picograd.check.replay import Replay


def settle(replay: Replay, failure: Failure, known: Collection[str], seconds: float) -> Finding:
    """The finding that a failure is; one of a kind in `known` is not looked into further."""
    family = family_of(failure)
    headline = " ".join(f"{failure.fault.name} in {failure.culprit}: {failure.detail}".split())
    return Finding(family, replay.seed, headline, str(replay))
