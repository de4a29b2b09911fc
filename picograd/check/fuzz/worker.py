"""A process that examines cases. It may crash, hang or outgrow its memory: the run goes on."""

from __future__ import annotations

import faulthandler
import os
import resource
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from picograd.backends.disk.settings import SWITCH
from picograd.check.fuzz.counts import Counts
from picograd.check.fuzz.examiner import ALL_THEMES, Examiner, Plan
from picograd.check.fuzz.findings import Finding
from picograd.check.fuzz.routes import Scope
from picograd.check.fuzz.settle import settle
from picograd.check.fuzz.shorten import FrontEndFailure, settle_front_end
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.registry import Registry
from picograd.passes import Pass
from picograd.quick_dataclasses import dataclass

MOST_MEMORY = 6 * 1024**3
"""Bytes of data that a worker may have: a case that needs more has lost its way."""

REDUCE_SECONDS = 60.0
"""For making a failure small."""


@dataclass(frozen=True)
class Settings:
    """A run, in a form that can be sent to another process."""

    seed: int
    devices: tuple[str, ...]
    prepare: Callable[[], Mapping[str, type[Pass]]]
    """Loads the user's files and gives the passes that are known then."""
    passes: str = ""
    loads: tuple[str, ...] = ()
    themes: tuple[str, ...] = ALL_THEMES
    case_seconds: float = 120.0
    """A case that takes longer hangs."""

    def plan(self) -> Plan:
        """The run, with its passes looked up."""
        known = self.prepare()
        wanted = as_passes(self.passes, known)
        scope = Scope(self.devices, passes_to_draw(known, wanted), wanted)
        return Plan(self.seed, scope, self.themes, self.loads)


def passes_to_draw(known: Mapping[str, type[Pass]], wanted: Pipeline) -> Mapping[str, type[Pass]]:
    """The passes that chance may bring in, of those that are known.

    What a file of the user's defines comes by chance where no pass is named. Else it runs where it
    is named, and with the options named; of the others only those come that establish what the
    named ones require.
    """
    if not wanted:
        return known
    installed = Registry()
    brought = [name for name in known if name not in installed]
    required = {fact for step in wanted for fact in step.requires}
    needed = set[str]()
    while more := [n for n in brought if n not in needed and known[n].establishes & required]:
        needed.update(more)
        required |= {fact for name in more for fact in known[name].requires}
    return {name: known[name] for name in known if name in installed or name in needed}


@dataclass(frozen=True)
class Order:
    """What a worker is told to do: one program, knowing which kinds of failures are known."""

    number: int
    known: frozenset[str]


@dataclass(frozen=True)
class Extension:
    """A worker asks for so many seconds from now on: it has found something."""

    seconds: float


@dataclass(frozen=True)
class Report:
    """What a worker tells of one program."""

    number: int
    counts: Counts
    findings: tuple[Finding, ...]
    resident_bytes: int


def work(settings: Settings, connection: Connection, running: Path) -> None:
    """Examine what the connection orders, until it orders None. `running` tells which case it is.

    What native code prints while it dies ends up beside it, in a file that ends in `.log`.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    # No file of a core: what is needed to repeat a crash is known.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    os.environ[SWITCH] = "0"  # programs that are never asked for again, and it is compiling we try
    with running.with_suffix(".log").open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 2)
        faulthandler.enable(log)
        plan = settings.plan()
        examiner = Examiner(plan, running)
        while (order := connection.recv()) is not None:
            # To load everything took its time. Where it hangs is known before it is killed.
            connection.send(Extension(settings.case_seconds))
            faulthandler.dump_traceback_later(0.9 * settings.case_seconds, file=log)
            counts, failures = examiner.examine(order.number)
            faulthandler.cancel_dump_traceback_later()
            findings: list[Finding] = []
            for failed in failures:
                connection.send(Extension(2 * REDUCE_SECONDS + settings.case_seconds))
                if isinstance(failed, FrontEndFailure):
                    findings.append(settle_front_end(failed, order.known, REDUCE_SECONDS))
                else:
                    findings.append(settle(*failed, order.known, REDUCE_SECONDS))
            connection.send(Report(order.number, counts, tuple(findings), resident_bytes()))


def resident_bytes() -> int:
    """The memory that this process holds; 0 where nobody tells."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[1]) * resource.getpagesize()
