"""Runs mutants and their killers, each in a process of its own, so that no cache knows of another.

The control is every killer on picograd as it is: it must see nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import asdict

from picograd.check.mutants.killer import Verdict
from picograd.check.mutants.mutant import Mutant, applied
from picograd.compiler.validation.fault import Fault
from picograd.quick_dataclasses import dataclass

LIMIT = 20.0
"""Seconds of processor time that a killer may take: its run is short enough to be run often."""

_PATIENCE = 180.0
"""Seconds after which a process is ended: a mutant may loop for ever, and others may be running."""

Work = tuple[Mutant, bool]
"""A mutant to run, or (True) the control: its killer alone."""


@dataclass(frozen=True)
class Run:
    """What a killer said of a mutant, or of picograd as it is."""

    mutant: Mutant
    verdict: Verdict
    seconds: float
    """Of processor time, the start of the process apart."""
    control: bool = False

    @property
    def problem(self) -> str:
        """What is not as it ought to be; "" when the mutant died as expected, or nothing did."""
        verdict, mutant = self.verdict, self.mutant
        if self.control:
            if verdict.fault is not None:
                return f"found {verdict.fault.name} where nothing is wrong: {verdict.detail}"
        elif verdict.fault is None:
            return f"survived {verdict.cases} cases"
        elif verdict.fault != mutant.fault:
            return f"seen as {verdict.fault.name}, not {mutant.fault.name}: {verdict.detail}"
        elif mutant.blames and verdict.culprit != mutant.blames:
            return f"blamed on {verdict.culprit}, not {mutant.blames}"
        if self.seconds > LIMIT:
            return f"took {self.seconds:.0f} s of processor time; {LIMIT:.0f} s are allowed"
        return ""


def run_here(mutant: Mutant, *, control: bool = False) -> Run:
    """Run a killer in this process, with the mutant or, as a control, without."""
    start = time.process_time()
    with nullcontext() if control else applied(mutant):
        verdict = mutant.killer.hunt()
    return Run(mutant, verdict, time.process_time() - start, control)


def run_apart(mutant: Mutant, *, control: bool = False) -> Run:
    """Run a killer in a fresh process. One that dies, or never ends, counts as a crash."""
    command = [sys.executable, "-m", "picograd.check.mutants", "--child", mutant.name]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command + ["--control"] * control,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        verdict = Verdict(0, Fault.CRASH, detail=f"no end after {_PATIENCE:.0f} s")
        return Run(mutant, verdict, time.perf_counter() - start, control)
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode or not last.startswith("{"):
        words = done.stderr.strip().rpartition("\n")[2] or "nothing"
        detail = f"the process ended with {done.returncode}, and said: {words}"
        return Run(mutant, Verdict(0, Fault.CRASH, detail=detail), 0.0, control)
    return _read(mutant, last, control)


def spelled(run: Run) -> str:
    """A run as the line that a process ends with."""
    found = asdict(run.verdict)
    found["fault"] = None if run.verdict.fault is None else run.verdict.fault.name
    return json.dumps({**found, "seconds": run.seconds})


def _read(mutant: Mutant, line: str, control: bool) -> Run:
    found = json.loads(line)
    fault = None if found["fault"] is None else Fault[found["fault"]]
    verdict = Verdict(found["cases"], fault, found["culprit"], found["detail"])
    return Run(mutant, verdict, found["seconds"], control)


def run_all(
    mutants: Sequence[Mutant], *, control: bool, jobs: int, run: Callable[..., Run] = run_apart
) -> Iterator[Run]:
    """Every mutant, and with `control` each of their killers alone, as they end."""
    work: list[Work] = [(mutant, False) for mutant in mutants]
    if control:
        work += [(mutant, True) for mutant in by_killer(mutants)]
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(run, mutant, control=alone) for mutant, alone in work]
        for done in as_completed(waiting):
            yield done.result()


def by_killer(mutants: Sequence[Mutant]) -> list[Mutant]:
    """The first mutant of each killer."""
    first: dict[object, Mutant] = {}
    for mutant in mutants:
        first.setdefault(mutant.killer, mutant)
    return list(first.values())
