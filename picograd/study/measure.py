"""Timing several ways of doing one thing so that they can be compared."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

Action = Callable[[], object]

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


def interleave(contenders: Mapping[str, Action], rounds: int) -> dict[str, float]:
    """Median seconds of one call of each contender.

    They take turns within a round, and every other round in the opposite order, so that neither
    warming up nor another process favours one of them.
    """
    calls = {name: _calls_a_turn(action) for name, action in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            action, repeat = contenders[name], calls[name]
            start = time.perf_counter()
            for _ in range(repeat):
                action()
            times[name].append((time.perf_counter() - start) / repeat)
        order.reverse()
    return {name: statistics.median(values) for name, values in times.items()}


def _calls_a_turn(action: Action) -> int:
    """How many calls fill a turn; the calls made to find out are the warm-up."""
    action()
    repeat = 1
    while True:
        start = time.perf_counter()
        for _ in range(repeat):
            action()
        if time.perf_counter() - start >= SECONDS_A_TURN:
            return repeat
        repeat *= 2
