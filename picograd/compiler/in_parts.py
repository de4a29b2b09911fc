"""Running a pipeline whose module may be taken apart on the way: see `hoist_constants`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.driver import Instrument, count_ops, run_pipeline
from picograd.compiler.hoist_constants import NAME_OF_STEP, Hoisted, cut, hoist_constants
from picograd.compiler.records import PassRecord
from picograd.dialects.argument_notes import kept_arguments
from picograd.dialects.quick import clone
from picograd.passes.base import Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.entry import entry_of


@runtime_checkable
class WatchesHoisting(Protocol):
    """An instrument that wants to know what was taken out of the module that it watches."""

    def hoisted(self, before: ModuleOp, out: Hoisted, module: ModuleOp, record: PassRecord) -> None:
        """Called when constants were taken out of a module, which looked like `before`."""
        ...


@dataclass(frozen=True)
class Rest:
    """What was taken out of a module, and the way that is before it."""

    hoisted: Hoisted
    steps: Sequence[Pass]
    facts: frozenset[str] | None
    """What is established for it, as the driver takes it."""


@dataclass(frozen=True)
class Outcome:
    """What running a pipeline gave."""

    records: tuple[PassRecord, ...]
    rest: Rest | None
    """The constants, if there were any: no pass behind the cut has seen them yet."""


def run_in_parts(
    module: ModuleOp,
    steps: Sequence[Pass],
    *,
    instruments: Sequence[Instrument] = (),
    facts: frozenset[str] | None = frozenset(),
    verify: bool = True,
) -> Outcome:
    """As `run_pipeline`, but what kept arguments alone decide is taken out on the way.

    The instruments follow the module itself, and not what was taken out.
    """
    way, tail = run_to_parts(module, steps, instruments=instruments, facts=facts, verify=verify)
    if facts is not None:
        facts = facts.union(*(step.establishes for step in steps[: len(steps) - len(tail)]))
    records = run_pipeline(module, tail, instruments=instruments, facts=facts, verify=verify)
    return Outcome((*way.records, *records), way.rest)


def run_to_parts(
    module: ModuleOp,
    steps: Sequence[Pass],
    *,
    instruments: Sequence[Instrument] = (),
    facts: frozenset[str] | None = frozenset(),
    verify: bool = True,
) -> tuple[Outcome, Sequence[Pass]]:
    """The first half of `run_in_parts`, and the passes that are to follow in each part."""
    head, tail = cut(steps)
    if not tail or not kept_arguments(entry_of(module)):
        return Outcome((), None), steps
    types = [argument.type for argument in entry_of(module).args]
    records = run_pipeline(module, head, instruments=instruments, facts=facts, verify=verify)
    if facts is not None:
        facts = facts.union(*(step.establishes for step in head))
    watching = [one for one in instruments if isinstance(one, WatchesHoisting)]
    before = clone(module) if watching else module
    ops, start = count_ops(module), time.perf_counter()
    # Callers hand over what they were told at first: legalized types are the machine's affair.
    as_given = [argument.type for argument in entry_of(module).args] == types
    out = hoist_constants(module) if as_given else None
    if out is None:
        return Outcome(records, None), tail
    seconds = time.perf_counter() - start
    own = PassRecord(NAME_OF_STEP, NAME_OF_STEP, seconds, 0.0, ops, count_ops(module))
    for one in watching:
        one.hoisted(before, out, module, own)
    return Outcome((*records, own), Rest(out, tail, facts)), tail
