"""Timing several ways of doing one thing so that they can be compared."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from picograd.quick_dataclasses import dataclass

Action = Callable[[], object]
Clock = Callable[[], float]

# What the contender is called that passes of the user's have compiled.
OWN_PASSES = "with own passes"

# What keeps a process on one thread: NumPy's BLAS in its usual builds, and picograd's own pool. The
# libraries read these when they are loaded, so they must be set before Python starts.
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PICOGRAD_NUM_THREADS": "1",
}

# Long enough for the clock, short enough that a busy machine disturbs all contenders alike.
SECONDS_A_TURN = 0.02


def on_one_thread(argv: Sequence[str]) -> int | None:
    """Run the `picograd` command again on one thread; None when this process already is on one."""
    if all(os.environ.get(name) == value for name, value in ONE_THREAD.items()):
        return None
    done = subprocess.run(
        [sys.executable, "-m", "picograd", *argv], check=False, env={**os.environ, **ONE_THREAD}
    )
    return done.returncode


@dataclass(frozen=True)
class Spread:
    """Seconds of one call: the median over the turns, and between what half of them lie."""

    median: float
    low: float
    high: float
    turns: int

    @staticmethod
    def of(seconds: Sequence[float]) -> "Spread":
        """The spread of the turns' times."""
        if len(seconds) == 1:
            return Spread(seconds[0], seconds[0], seconds[0], 1)
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return Spread(median, low, high, len(seconds))

    def is_above(self, other: "Spread") -> bool:
        """Whether it took longer by more than the turns scatter."""
        return self.median > other.median and self.low > other.high


def interleave(
    contenders: Mapping[str, Action], rounds: int, *, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Median seconds of one call of each contender; see `spreads`."""
    found = spreads(contenders, rounds, clock=clock)
    return {name: spread.median for name, spread in found.items()}


def _nothing() -> None:
    pass


def spreads(
    contenders: Mapping[str, Action],
    rounds: int,
    *,
    finish: Callable[[], None] = _nothing,
    patience: float = float("inf"),
    clock: Clock = time.perf_counter,
) -> dict[str, Spread]:
    """How long one call of each contender takes.

    They take turns within a round, and every other round in the opposite order, so that neither
    warming up nor another process favours one of them. `finish` waits for what calls only
    submitted; it is called once a turn. Who has used up its `patience`, in seconds, sits out the
    rounds that are left; everybody has one turn at least. A `clock` of processor time leaves out
    what other processes take, and is right for work of this thread alone.
    """
    calls: dict[str, int] = {}
    times: dict[str, list[float]] = {}
    used: dict[str, float] = {}
    for name, action in contenders.items():
        calls[name], seconds = _calls_a_turn(action, finish, clock)
        # What is this slow needs no warming up, and no second turn.
        slow = seconds > patience
        times[name], used[name] = ([seconds / calls[name]], seconds) if slow else ([], 0.0)
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            if used[name] > patience:
                continue
            seconds = _turn(contenders[name], calls[name], finish, clock)
            used[name] += seconds
            times[name].append(seconds / calls[name])
        order.reverse()
    return {name: Spread.of(values) for name, values in times.items()}


def _turn(action: Action, repeat: int, finish: Callable[[], None], clock: Clock) -> float:
    """Seconds of so many calls."""
    start = clock()
    for _ in range(repeat):
        action()
    finish()
    return clock() - start


def _calls_a_turn(action: Action, finish: Callable[[], None], clock: Clock) -> tuple[int, float]:
    """How many calls fill a turn, and the seconds it took; calls made to find out are warm-up."""
    _turn(action, 1, finish, clock)
    repeat = 1
    while (seconds := _turn(action, repeat, finish, clock)) < SECONDS_A_TURN:
        repeat *= 2
    return repeat, seconds
