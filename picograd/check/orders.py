"""Random legal orders of passes, from what passes declare: levels, requirements, what they establish.

An order is legal when each pass finds the module at its level and with the facts that it requires.
Half of the orders are drawn freely; the others are the device's own pipeline with passes left out,
repeated, or put in, because passes deep down have little to do in an order that chance made.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

from picograd.compiler.pipelines import pipeline
from picograd.errors import PipelineError
from picograd.passes import PASSES, Level, Pass
from picograd.targets import lookup

# Options worth trying, beside the defaults, for passes whose defaults do little on small modules.
_VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "fuse": ({}, {"max_buffers": 4}, {"siblings": False}, {"epilogue": False}),
    "tile_loops": ({}, {"exact": True}),
    "unroll_tiles": ({}, {"width": 1}, {"width": 2}),
}
# Passes that are meant for one kind of machine.
_KIND_OF_MACHINE: Mapping[str, str] = {
    "parallelize_loops": "cpu",
    "map_to_grid": "gpu",
    "tree_reduce": "gpu",
    "insert_barriers": "gpu",
}

_LEVELS = list(Level)


def prefix_of(step: type[Pass], machine: str, rng: Random) -> tuple[Pass, ...]:
    """A legal order of passes that leads from tensor level to where `step` may run.

    Raises PipelineError when none does: nothing establishes what the pass requires.
    """
    known = _pipeline_up_to(step, machine)
    if known is not None and rng.random() < 0.5:
        return _vary(known, step, machine, rng)
    order = _Order(machine, rng)
    order.descend(step.level_in)
    order.wander()
    order.establish(step.requires)
    return tuple(order.passes)


def order_to(level: Level, machine: str, rng: Random) -> tuple[Pass, ...]:
    """A legal order that ends at a level."""
    order = _Order(machine, rng)
    order.descend(level)
    order.wander()
    return tuple(order.passes)


def instance(step: type[Pass], machine: str, rng: Random) -> Pass:
    """A pass with random options, for a machine."""
    options = dict(rng.choice(_VARIANTS.get(step.name, ({},))))
    if any(field.name == "target" for field in fields(step)):
        options["target"] = machine
    return step(**options)


def suits(step: type[Pass], machine: str) -> bool:
    """Whether a pass is meant for a machine."""
    return _KIND_OF_MACHINE.get(step.name, lookup(machine).kind) == lookup(machine).kind


class _Order:
    """An order under construction: where the module stands, and what is established."""

    def __init__(self, machine: str, rng: Random) -> None:
        self._machine = machine
        self._rng = rng
        self._level = Level.TENSOR
        self._facts: set[str] = set()
        self.passes: list[Pass] = []

    def descend(self, level: Level) -> None:
        """Append lowerings down to a level, with other passes in between."""
        while self._level != level:
            self.wander()
            lowerings = [s for s in self._legal() if s.is_lowering()]
            self._append(self._rng.choice(lowerings))

    def wander(self) -> None:
        """Append up to three passes that stay on the level."""
        for _ in range(self._rng.randint(0, 3)):
            staying = [s for s in self._legal() if not s.is_lowering()]
            if staying:
                self._append(self._rng.choice(staying))

    def establish(self, wanted: Iterable[str]) -> None:
        """Append passes that establish facts, and what those require."""
        for fact in sorted(wanted):
            if fact in self._facts:
                continue
            makers = [
                step
                for step in PASSES.values()
                if fact in step.establishes
                and step.level_in == self._level
                and suits(step, self._machine)
            ]
            if not makers:
                raise PipelineError(
                    f"no pass establishes {fact!r} at {self._level} level",
                    expected="a pass that declares it under `establishes`",
                    found="none for " + self._machine,
                )
            step = self._rng.choice(makers)
            self.establish(step.requires)
            self._append(step)

    def _legal(self) -> list[type[Pass]]:
        return [
            step
            for step in PASSES.values()
            if step.level_in == self._level
            and step.requires <= self._facts
            and suits(step, self._machine)
        ]

    def _append(self, step: type[Pass]) -> None:
        self.passes.append(instance(step, self._machine, self._rng))
        self._level = step.level_out
        self._facts |= step.establishes


def _pipeline_up_to(step: type[Pass], machine: str) -> tuple[Pass, ...] | None:
    """The passes of the machine's pipeline before the last place where `step` stands in it."""
    passes = pipeline(lookup(machine).kind)
    places = [index for index, known in enumerate(passes) if isinstance(known, step)]
    return passes[: places[-1]] if places else None


def _vary(passes: Sequence[Pass], step: type[Pass], machine: str, rng: Random) -> tuple[Pass, ...]:
    """A pipeline for a machine with passes left out or repeated, as far as that stays legal."""
    varied: list[Pass] = []
    for index, known in enumerate(passes):
        retargeted = _for_machine(known, machine)
        chance = rng.random()
        keep = known.is_lowering() or _is_needed(known, passes[index + 1 :], step)
        if keep or chance > 0.15:
            varied.append(retargeted)
        if not known.is_lowering() and chance > 0.9:
            varied.append(retargeted)
    return tuple(varied)


def _is_needed(known: Pass, later: Sequence[Pass], step: type[Pass]) -> bool:
    required = step.requires.union(*(other.requires for other in later))
    return bool(known.establishes & required)


def _for_machine(step: Pass, machine: str) -> Pass:
    if any(field.name == "target" for field in fields(step)):
        return replace(step, target=machine)
    return step
