"""Measuring a row: every contender gets the operands, shows that it is right, and takes turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu import limits
from picograd.study.benches.cpu.contenders import (
    OURS,
    PICOGRAD,
    Contender,
    caches_in,
    environment,
)
from picograd.study.benches.cpu.conversation import Conversation, LostError
from picograd.study.benches.cpu.rows import Row
from picograd.study.benches.cpu.turns import Reading, Times, ratio, take_turns
from picograd.study.benches.cpu.workloads import WORKLOADS

Array = NDArray[Any]


CLOCKS = ("wall", "processor")


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 15
    turn: float = 0.02
    """Seconds of a contender's turn: long for the clock, short for a busy machine's moods."""
    patience: float = 8.0
    """Seconds of turns after which a slow contender sits out."""
    preparing: float = 240.0
    """Seconds that a contender may take to compile a row."""
    pause: float = 0.05
    """Seconds between turns on several threads: OpenBLAS's workers spin for a while."""
    clock: str = CLOCKS[0]


QUICK = Effort(rounds=5, turn=0.01, patience=2.0, preparing=60.0)


@dataclass(frozen=True)
class Limit:
    """What the machine managed in the same turns."""

    name: str
    work: int
    """Operations or bytes of a call."""
    times: Times


@dataclass(frozen=True)
class Result:
    """All that was measured of a row."""

    row: Row
    threads: int
    times: Mapping[str, Times]
    shares: Mapping[str, float]
    """Of the error that each result may have."""
    first_calls: Mapping[str, float]
    """Seconds, compiling included."""
    lost: Mapping[str, str]
    """Why a contender has no times."""
    limits: Sequence[Limit]

    @property
    def work(self) -> int:
        """Operations of a call, or else bytes."""
        return self.row.flops() or self.row.nbytes() or 0

    @property
    def ours(self) -> Times | None:
        """picograd's turns."""
        return self.times.get(OURS)

    @property
    def rate(self) -> float | None:
        """picograd's, in operations or bytes a second."""
        return self.work / self.ours.median if self.ours else None

    def ratios(self) -> dict[str, float]:
        """How many times as long each peer takes."""
        ours = self.ours
        if ours is None:
            return {}
        found = {name: ratio(one, ours) for name, one in self.times.items() if name != OURS}
        return {name: value for name, value in found.items() if value is not None}

    def best(self) -> tuple[str, float] | None:
        """The fastest peer, and the ratio to it."""
        return min(self.ratios().items(), key=lambda pair: pair[1], default=None)

    def share_of_limit(self) -> float | None:
        """picograd's rate as a share of the machine's best in the same rounds."""
        if self.ours is None:
            return None
        shares = [
            (self.work / limit.work) * both
            for limit in self.limits
            if (both := ratio(limit.times, self.ours)) is not None
        ]
        return min(shares, default=None)

    def holds(self) -> bool | None:
        """Whether the row reaches what is asked; None where nothing is, or it cannot be told."""
        asked = self.row.asks(self.threads)
        verdicts: list[bool] = []
        if asked.share is not None:
            share = self.share_of_limit()
            verdicts.append(share is not None and share >= asked.share)
        if asked.times is not None:
            found = self.ratios()
            times = found.get(asked.peer) if asked.peer else min(found.values(), default=None)
            if times is None:
                return None if self.ours else False
            verdicts.append(times >= asked.times)
        return all(verdicts) if verdicts else None


class Session:
    """The contenders' processes on so many threads. Use it as a context: they end with it."""

    def __init__(
        self, contenders: Sequence[Contender], threads: int, effort: Effort, seed: int
    ) -> None:
        self.contenders, self.threads, self.effort, self.seed = contenders, threads, effort, seed
        self.versions: dict[str, str] = {}
        self._folder = TemporaryDirectory(prefix="picograd-bench-")
        self._talks: dict[str, Conversation] = {}
        self._numbers = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for talk in self._talks.values():
            talk.close()
        self._folder.cleanup()

    def measure(self, row: Row) -> Result:
        """Prepare, check and time a row in all processes."""
        return self.measure_together([row], self.contenders)[0]

    def measure_together(
        self, rows: Sequence[Row], contenders: Sequence[Contender]
    ) -> list[Result]:
        """Several rows, whose turns are interleaved as well."""
        lost: list[dict[str, str]] = [{} for _ in rows]
        shares: list[dict[str, float]] = [{} for _ in rows]
        firsts: list[dict[str, float]] = [{} for _ in rows]
        timers: dict[str, Callable[[int], Reading]] = {}
        for number, row in enumerate(rows):
            workload = WORKLOADS[row.workload]
            operands = workload.make_operands(row.sizes, self.seed)
            exact = workload.exactly(row.sizes, operands)
            files = self._save(operands)
            for one in contenders:
                name = f"row {number}"
                try:
                    firsts[number][one.name] = self._prepare(one, name, row, files)
                    share = workload.share_of_budget(operands, exact, self._results(one, name))
                    shares[number][one.name] = share
                    if not share <= 1:
                        raise LostError(f"wrong: {share:.3g} times the error that is allowed")
                    timers[f"{number} {one.name}"] = self._timer(one, name)
                except LostError as error:
                    lost[number][one.name] = str(error)
            for file in files:
                Path(file).unlink()
        works = self._prepare_limits(rows[0], timers)
        effort = self.effort
        times = take_turns(
            timers,
            effort.rounds,
            turn=effort.turn,
            patience=effort.patience,
            pause=effort.pause if self.threads > 1 else 0.0,
        )
        for one in self.contenders:
            talk = self._talks.get(one.name)
            if talk is not None and not talk.lost:
                with suppress(LostError):  # the next row starts it again
                    for name in (*(f"row {n}" for n in range(len(rows))), *limits.LIMITS):
                        talk.ask("drop", effort.preparing, name=name)
        results: list[Result] = []
        for number, row in enumerate(rows):
            found = {
                one.name: times[key]
                for one in contenders
                if (key := f"{number} {one.name}") in times
            }
            lost[number] |= {name: one.lost for name, one in found.items() if one.lost}
            timed = {name: one for name, one in found.items() if one.taken}
            measured = [
                Limit(name, work, times[name]) for name, work in works.items() if times[name].taken
            ]
            results.append(
                Result(
                    *(row, self.threads, timed),
                    *(shares[number], firsts[number], lost[number], measured),
                )
            )
        return results

    def peak_memory(self, row: Row, contender: Contender) -> int:
        """Bytes at the peak of some calls in a new process, beyond those that it had begun with.

        Raises LostError.
        """
        workload = WORKLOADS[row.workload]
        files = self._save(workload.make_operands(row.sizes, self.seed))
        log = Path(self._folder.name) / "log of memory.txt"
        start = environment(contender, self.threads)
        patience = self.effort.preparing
        with (
            # Compiling is part of it, so nobody finds what an earlier process has compiled.
            TemporaryDirectory(dir=self._folder.name) as empty,
            Conversation(contender.words, start | caches_in(empty), log, patience) as talk,
        ):
            talk.ask("watch memory", patience)
            self._prepare_in(talk, "row", row, files)
            return talk.ask("memory", patience)["peak"]

    def _save(self, operands: Sequence[Array]) -> list[str]:
        files: list[str] = []
        for operand in operands:
            self._numbers += 1
            file = Path(self._folder.name) / f"operand{self._numbers}.npy"
            np.save(file, operand)
            files.append(str(file))
        return files

    def talk(self, contender: Contender) -> Conversation:
        """The contender's process, started where there is none. Raises LostError."""
        talk = self._talks.get(contender.name)
        if talk is None or talk.lost:
            log = Path(self._folder.name) / f"log{len(self._talks)}.txt"
            talk = Conversation(
                contender.words,
                environment(contender, self.threads) | caches_in(self._folder.name, OURS),
                log,
                self.effort.preparing,
            )
            self._talks[contender.name] = talk
            self.versions |= talk.versions
        return talk

    def _prepare(self, one: Contender, name: str, row: Row, files: Sequence[str]) -> float:
        return self._prepare_in(self.talk(one), name, row, files)

    def _prepare_in(self, talk: Conversation, name: str, row: Row, files: Sequence[str]) -> float:
        reply = talk.ask(
            "prepare",
            self.effort.preparing,
            name=name,
            workload=row.workload,
            sizes=row.sizes,
            operands=files,
        )
        return reply["first call"]

    def _results(self, one: Contender, name: str) -> list[Array]:
        with TemporaryDirectory(dir=self._folder.name) as folder:
            reply = self.talk(one).ask("check", self.effort.preparing, name=name, folder=folder)
            return [np.load(file) for file in reply["results"]]

    def _timer(self, one: Contender, name: str) -> Callable[[int], Reading]:
        return partial(self._time, one, name)

    def _time(self, one: Contender, name: str, calls: int) -> Reading:
        talk, effort = self._talks[one.name], self.effort
        reply = talk.ask("time", effort.preparing, name=name, calls=calls)
        reading = Reading(**reply)
        return replace(reading, seconds=reading.busy) if effort.clock == CLOCKS[1] else reading

    def _prepare_limits(
        self, row: Row, timers: dict[str, Callable[[int], Reading]]
    ) -> dict[str, int]:
        """What the machine is asked to do beside the row, and how much work a call of it is."""
        nbytes = row.nbytes()
        if nbytes is None:
            wanted = {limits.FMA: ([self.threads], limits.fma_flops([self.threads]))}
        else:
            # As much as the row moves, so that it finds it in the same caches.
            copy = [nbytes // 8, self.threads]
            work = 8 * limits.copied(copy)
            wanted = {limits.COPY: (copy, work), limits.STREAM: (copy, work)}
        found: dict[str, int] = {}
        for name, (sizes, work) in wanted.items():
            try:
                self.talk(PICOGRAD).ask(
                    "prepare",
                    self.effort.preparing,
                    name=name,
                    workload=name,
                    sizes=sizes,
                    operands=[],
                )
            except LostError:
                continue
            timers[name] = self._timer(PICOGRAD, name)
            found[name] = work
        return found
