"""Workers that examine programs side by side, replaced when they die, hang or grow."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from picograd.check.fuzz.counts import Counts
from picograd.check.fuzz.findings import Finding, Findings
from picograd.check.fuzz.worker import Extension, Order, Report, Settings, work
from picograd.quick_dataclasses import dataclass

# A child of a process with threads, or with a GPU, must not be forked.
_SPAWN = multiprocessing.get_context("spawn")

MOST_PROGRAMS = 150
"""A worker is replaced after so many programs, whatever it has piled up,"""
MOST_RESIDENT = 2 * 1024**3
"""… or when it holds so many bytes."""
_START_SECONDS = 120.0
_PATIENCE = 8
"""A case that has not computed for half of its time is given so many times as much: the machine is
busy with other things, or the case waits for what never comes."""
_HANGS = "it hangs"
_LOG_LINES = 12
_SEED = re.compile(r"^(//|#) seed: (?P<name>.*)$", re.MULTILINE)


@dataclass
class _Worker:
    """A process and what it is doing."""

    process: SpawnProcess
    connection: Connection
    running: Path
    deadline: float = 0.0
    computed_before: float = 0.0
    number: int | None = None
    done: int = 0
    resident: int = 0

    @property
    def is_used_up(self) -> bool:
        return self.done >= MOST_PROGRAMS or self.resident > MOST_RESIDENT

    def end(self) -> None:
        """Ask it to stop, then insist."""
        if self.process.is_alive():
            with suppress(OSError):  # it may have gone in the meantime
                self.connection.send(None)
            self.process.join(2.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


@dataclass
class Pool:
    """Examines programs in `jobs` processes; files of theirs lie in `folder` meanwhile."""

    settings: Settings
    jobs: int
    folder: Path
    findings: Findings
    _workers: list[_Worker] = field(default_factory=list["_Worker"])
    _started: int = 0

    def run(self, numbers: Iterator[int], until: float) -> Iterator[Report | None]:
        """A report for each program that was examined before the time `until`, in any order.

        None comes every second or so when there is no report, so that somebody may look at a clock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            while True:
                self._hand_out(numbers, until)
                busy = {w.connection: w for w in self._workers if w.number is not None}
                if not busy:
                    return
                ready = wait(list(busy), timeout=1.0)
                reports = [self._receive(busy[connection]) for connection in ready]  # pyright: ignore
                reports += [self._too_late(w) for w in busy.values() if w.number is not None]
                found = [report for report in reports if report is not None]
                yield from found or [None]
        finally:
            for worker in self._workers:
                worker.end()

    def _hand_out(self, numbers: Iterator[int], until: float) -> None:
        """Give each idle worker a program, as long as there is time."""
        for place in range(self.jobs):
            if place < len(self._workers) and self._workers[place].number is not None:
                continue
            number = next(numbers, None) if time.monotonic() < until else None
            if number is None:
                continue
            if place == len(self._workers):
                self._workers.append(self._start())
            elif self._workers[place].is_used_up or not self._workers[place].process.is_alive():
                self._workers[place].end()
                self._workers[place] = self._start()
            worker = self._workers[place]
            worker.number = number
            extra = _START_SECONDS if not worker.done else 0.0
            worker.deadline = time.monotonic() + self.settings.case_seconds + extra
            worker.computed_before = _computed_seconds(worker.process.pid)
            worker.connection.send(Order(number, self.findings.known))

    def _start(self) -> _Worker:
        self._started += 1
        running = self.folder / f"running-{self._started}.mlir"
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=work, args=(self.settings, theirs, running), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, running)

    def _receive(self, worker: _Worker) -> Report | None:
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            return self._lost(worker, _how_it_ended(worker.process.exitcode))
        if isinstance(message, Extension):
            worker.deadline = time.monotonic() + message.seconds
            return None
        assert isinstance(message, Report)
        worker.number, worker.resident = None, message.resident_bytes
        worker.done += 1
        return message

    def _too_late(self, worker: _Worker) -> Report | None:
        late = time.monotonic() - worker.deadline
        if late < 0:
            return None
        most = self.settings.case_seconds
        computed = _computed_seconds(worker.process.pid) - worker.computed_before
        if computed < most / 2 and late < _PATIENCE * most:
            return None
        worker.process.kill()
        worker.process.join()
        return self._lost(worker, _HANGS)

    def _lost(self, worker: _Worker, reason: str) -> Report:
        """The report that a worker does not give any more."""
        assert worker.number is not None
        number, worker.number = worker.number, None
        log = _tail(worker.running.with_suffix(".log"))
        text = worker.running.read_text("utf-8") if worker.running.exists() else ""
        counts = Counts()
        counts.count("cases", "lost")
        return Report(number, counts, (_lost_case(text, reason, log, number),), 0)


def _lost_case(text: str, reason: str, log: list[str], number: int) -> Finding:
    """What is known of a case that ended its process: the file that it wrote before."""
    marker = "// failure: CRASH in "
    head, _, tail = text.partition(marker)
    culprit, _, rest = tail.partition("\n")
    found = _SEED.search(text)
    name = found["name"] if found else f"program {number}, before its first pass"
    if tail:
        detail = "".join(f"//   {line}\n" for line in [reason, *log])
        replay, suffix = f"{head}{marker}{culprit}\n{detail}{rest}", ".mlir"
    else:
        replay, suffix = text + "".join(f"# {line}\n" for line in [reason, *log]), ".py"
    family = f"CRASH in {culprit.partition('{')[0] or 'a program'}: {reason}"
    headline = " ".join([family, *log[:1]])
    # To see whether a smaller case hangs takes as long as a case may take, each time.
    return Finding(family, family, name, headline, replay, suffix, ended=reason != _HANGS)


def _computed_seconds(process: int | None) -> float:
    """The time that all threads of a process have computed; infinite where nobody tells."""
    stat = Path(f"/proc/{process}/stat")
    try:
        # The name of the program, in parentheses, may hold blanks.
        fields = stat.read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0 if process is None else float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with {code}"


def _tail(log: Path) -> list[str]:
    """The end of what a worker said; of Python's own report on where it was, the beginning."""
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [n for n, line in enumerate(lines) if line.startswith(("Fatal Python", "Timeout ("))]
    return lines[starts[-1] :][:_LOG_LINES] if starts else lines[-_LOG_LINES:]
