"""Turns: who takes part does so many calls, then the next; and what the times tell."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.conversation import LostError


@dataclass(frozen=True)
class Reading:
    """Of some calls together."""

    seconds: float
    busy: float
    """Seconds on all processors together."""
    faults: int
    """Pages that the system had to find."""


Timer = Callable[[int], Reading]
"""Makes so many calls. Raises LostError."""


@dataclass
class Times:
    """One contender's turns. Each round has a place; None where it sat out."""

    calls: int = 1
    seconds: list[float | None] = field(default_factory=list[float | None])
    """Of one call."""
    busy: float = 0.0
    elapsed: float = 0.0
    faults: int = 0
    lost: str = ""
    """Why it could not go on."""

    def add(self, reading: Reading) -> None:
        """A turn that was taken."""
        self.seconds.append(reading.seconds / self.calls)
        self.busy += reading.busy
        self.elapsed += reading.seconds
        self.faults += reading.faults

    @property
    def taken(self) -> list[float]:
        """The turns that it took."""
        return [one for one in self.seconds if one is not None]

    @property
    def median(self) -> float:
        """Seconds of one call."""
        return statistics.median(self.taken)

    @property
    def processors(self) -> float:
        """How many it kept busy."""
        return self.busy / self.elapsed if self.elapsed else 0.0

    @property
    def faults_a_call(self) -> float:
        """Pages that the system had to find for one call."""
        return self.faults / (self.calls * max(1, len(self.taken)))


def take_turns(
    timers: Mapping[str, Timer],
    rounds: int,
    *,
    turn: float,
    patience: float,
    pause: float = 0.0,
) -> dict[str, Times]:
    """Time the contenders in turns of about `turn` seconds, in alternating order.

    Who has used up its patience, in seconds, sits out the rounds that are left, but has one turn.
    `pause` is how long threads that wait for work may spin on after a turn.
    """
    found = {name: Times() for name in timers}
    for name, timer in timers.items():
        _calibrate(found[name], timer, turn, patience)
    order = list(timers)
    for _ in range(rounds):
        for name in order:
            times = found[name]
            if times.lost or times.elapsed > patience:
                times.seconds.append(None)
                continue
            if pause:
                time.sleep(pause)
            try:
                if pause:
                    timers[name](1)  # wakes its threads
                times.add(timers[name](times.calls))
            except LostError as error:
                times.lost = str(error)
                times.seconds.append(None)
        order.reverse()
    return found


def _calibrate(times: Times, timer: Timer, turn: float, patience: float) -> None:
    """Find how many calls fill a turn."""
    try:
        while (reading := timer(times.calls)).seconds < turn:
            # Never more than ten times as many: the first call may have been a slow one.
            grow = turn / max(reading.seconds, turn / 10)
            times.calls = max(times.calls + 1, int(1.1 * times.calls * grow))
    except LostError as error:
        times.lost = str(error)
        return
    if reading.seconds > patience:
        times.add(reading)  # no second turn for what is this slow


def ratio(theirs: Times, ours: Times) -> float | None:
    """How many times as long they take: the median over the rounds that both took part in.

    Where there are none, of the medians. None if either was never timed.
    """
    pairs = [a / b for a, b in zip(theirs.seconds, ours.seconds, strict=False) if a and b]
    if pairs:
        return statistics.median(pairs)
    return theirs.median / ours.median if theirs.taken and ours.taken else None


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Between what half of the values lie."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
