"""Random legal orders of passes, from what they declare: levels, requirements, facts established.

An order is legal when each pass finds the module at its level and with the facts that it requires.
Most orders are drawn freely; the others are the machine's own pipeline with passes left out or
repeated, because passes deep down have little to do in an order that chance made. Orders are
carried out while they are drawn: options such as loop names come from the module at hand.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from random import Random

from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.effects import has_effect
from picograd.check.generation.options import Options, default_options, random_options
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.errors import OptionError, PassError, PipelineError
from picograd.passes import PASSES, Level, Pass
from picograd.targets import lookup

# Passes that are meant for one kind of machine.
_KIND_OF_MACHINE: Mapping[str, str] = {
    "merge_reduce": "cpu",
    "parallelize_loops": "cpu",
    "prefetch_rows": "cpu",
    "stream_stores": "cpu",
    "map_to_grid": "gpu",
    "tree_reduce": "gpu",
    "insert_barriers": "gpu",
}
# A pass that writes notes for others, of which `tests/passes/test_choose_schedules.py` draws some.
_BY_NAME = ("choose_schedules",)
# What prepares the ground for a pass, though it is legal without, and with which options.
_PREPARES: Mapping[str, Sequence[tuple[str, Options]]] = {
    "hoist_reduce": (("tile_loops", {"exact": False}),),
    "round_up_loops": (("tile_loops", {"exact": False}),),
    # Reductions that begin with a value: those whose blocks have moved outwards.
    "vectorize_loops": (("tile_loops", {"exact": False}), ("hoist_reduce", {})),
    "stage_operands": (),
    # Tiles of a few elements, as chance would have them, leave no reduction that pays for a tree.
    "tree_reduce": (("tile_loops", {"sizes": ""}),),
    "insert_barriers": (("tile_loops", {"sizes": ""}), ("map_to_grid", {}), ("tree_reduce", {})),
    "unroll_tiles": (
        ("tile_loops", {"exact": True}),
        ("vectorize_loops", {}),
        ("lower_reduce", {}),
    ),
}


def suits(step: type[Pass], machine: str) -> bool:
    """Whether a pass is meant for a machine."""
    kind = lookup(machine).kind
    return _KIND_OF_MACHINE.get(step.name, kind) == kind


class Walk:
    """A module on its way through random passes; `passes` tells which.

    `known` are the passes to draw from. `watch` is called with the passes up to one that is about
    to run, so that somebody knows which it was when it never comes back.
    """

    def __init__(
        self,
        module: ModuleOp,
        machine: str,
        rng: Random,
        *,
        known: Mapping[str, type[Pass]] = PASSES,
        watch: Callable[[Sequence[Pass]], None] | None = None,
    ) -> None:
        self.module = module
        self.passes: list[Pass] = []
        self._machine = machine
        self._rng = rng
        self._known = known
        self._watch = watch
        self._level = Level.TENSOR
        self._facts: set[str] = set()

    def lead_to(self, step: type[Pass]) -> None:
        """Run a legal order of passes after which `step` may run.

        Raises PipelineError when there is none: nothing establishes what the pass requires.
        """
        known = pipeline(lookup(self._machine).kind)
        places = [index for index, other in enumerate(known) if isinstance(other, step)]
        if places and self._rng.random() < (0.2 if step.name in _PREPARES else 0.5):
            self.vary(known[: places[-1]], step)
        else:
            self.descend(step.level_in)
            for name, options in _PREPARES.get(step.name, ()):
                if self._rng.random() < 0.9 and PASSES[name].requires <= self._facts:
                    self.run(PASSES[name], options)
            self._establish(step.requires)

    def vary(
        self,
        steps: Iterable[Pass],
        goal: type[Pass] | None = None,
        *,
        keep: Collection[str] = (),
    ) -> None:
        """Run passes of a pipeline, some of them not at all or twice or with other options, as far
        as that is legal; and so that `goal` may run after them. None in `keep` is left out.
        """
        waiting = list(steps)
        needed = goal.requires if goal is not None else frozenset[str]()
        while waiting:
            other = waiting.pop(0)
            required = needed.union(*(later.requires for later in waiting))
            times = self._rng.choice((0, 1, 1, 1, 1, 2))
            if other.establishes & required or other.name in keep:
                times = max(1, times)
            for _ in range(1 if other.is_lowering() else times):
                self._run_as_in_pipeline(other)

    def follow(self, steps: Iterable[Pass]) -> None:
        """Run all passes of a pipeline with the options that they have in it."""
        for step in steps:
            self._run_with_its_options(step)

    def take(self, step: Pass) -> bool:
        """Run a pass with the options that it has; whether it did anything (`effects`)."""
        return has_effect(lambda: self._apply(step, self.module), self.module)

    def descend(self, level: Level, *, without: Collection[str] = ()) -> None:
        """Run lowerings down to a level, with other passes before, between and after them, but none
        of those in `without`.
        """
        self.wander(without=without)
        while self._level != level:
            self.run(self._rng.choice([s for s in self._legal() if s.is_lowering()]))
            self.wander(without=without)

    def run(self, step: type[Pass], fixed: Options | None = None) -> None:
        """Run a pass with random options, or, where it refuses those, with its defaults."""
        options = random_options(step, self._machine, self.module, self._rng) | (fixed or {})
        attempt = self.module.clone()
        try:
            self._apply(step(**options), attempt)
        except (PassError, OptionError):
            options = default_options(step, self._machine)
            attempt = self.module.clone()
            self._apply(step(**options), attempt)
        self.module = attempt

    def _apply(self, step: Pass, module: ModuleOp) -> None:
        if self._watch is not None:
            self._watch((*self.passes, step))
        step.apply(new_context(), module)
        self.passes.append(step)
        self._level = step.level_out
        self._facts |= step.establishes

    def wander(self, *, without: Collection[str] = ()) -> None:
        """Run up to three passes that stay on the level, none of those in `without`."""
        for _ in range(self._rng.randint(0, 3)):
            legal = [step for step in self._legal() if step.name not in without]
            staying = [step for step in legal if not step.is_lowering()]
            if staying:
                self.run(self._rng.choice(staying))

    def _run_as_in_pipeline(self, step: Pass) -> None:
        """Run a pass with random options, or those that it has in the pipeline."""
        if self._rng.random() < 0.5:
            self.run(type(step))
        else:
            self._run_with_its_options(step)

    def _run_with_its_options(self, step: Pass) -> None:
        options = {field.name: getattr(step, field.name) for field in fields(step)}
        self._apply(type(step)(**options | default_options(type(step), self._machine)), self.module)

    def _establish(self, wanted: Iterable[str]) -> None:
        """Run passes that establish facts, and what those require."""
        for fact in sorted(wanted):
            if fact in self._facts:
                continue
            makers = [
                step
                for step in self._known.values()
                if fact in step.establishes
                and step.level_in == self._level
                and suits(step, self._machine)
            ]
            if not makers:
                raise PipelineError(
                    f"no pass establishes {fact!r} at {self._level} level",
                    code="PG705",
                    expected="a pass that declares it under `establishes`",
                    found=f"none for {self._machine}",
                    hint="declare the fact under `establishes` of the pass that makes it true",
                )
            step = self._rng.choice(makers)
            self._establish(step.requires)
            self.run(step)

    def _legal(self) -> list[type[Pass]]:
        return [
            step
            for step in self._known.values()
            if step.level_in == self._level
            and step.requires <= self._facts
            and suits(step, self._machine)
            and not step.adds_results
            and step.name not in _BY_NAME
        ]
