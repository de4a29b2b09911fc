"""Which passes a program goes through: a device's pipeline, varied, or any legal order.

Passes are run while they are drawn, because options such as the names of loops come from the module
at hand. What they raise meanwhile ends the drawing; the passes up to there are the route, and
whoever examines it finds out what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field, replace
from random import Random

from picograd.check.fuzz.programs import Program
from picograd.check.generation.orders import Walk
from picograd.check.oracle import NEEDED, REFUSALS
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.errors import PipelineError
from picograd.passes import Level, Pass
from picograd.passes.legalize_types import LegalizeTypes
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup

MACHINES: Mapping[str, Sequence[str]] = {
    "cpu": (
        "cpu",
        "cpu",
        "cpu:vector_bits=128,vector_registers=8,cores=1",
        "cpu:vector_bits=256,vector_registers=16,cores=5",
        "cpu:vector_bits=128,vector_registers=16,cores=3,l1_bytes=512,l2_bytes=1024,l3_bytes=4096",
        "cpu:vector_bits=512,vector_registers=4,l1_bytes=256,l2_bytes=256,l3_bytes=256",
        "cpu:vector_bits=64,cores=2,fma=false",
    ),
    "gpu": (
        "gpu",
        "gpu",
        "gpu:storage_buffers=3",
        "gpu:storage_buffers=4,workgroup_bytes=4096",
        "gpu:workgroup_bytes=1024,max_invocations=32",
        "gpu:vector_registers=8,cores=1,l1_bytes=512",
        "gpu:storage_buffers=4,max_invocations=64,workgroup_bytes=512,l2_bytes=2048",
    ),
}
"""For each kind of machine: the device as it is, and ones with less of one thing or another."""

SCHEDULE = frozenset({"tile_loops", "round_up_loops", "hoist_reduce", "stage_operands"})
"""Passes that come before `map_to_grid`, as its page says: they know nothing of grids, and put
loops around those that are mapped. The evaluators do not mind, a GPU's back end refuses the kernel.
"""

_DEPTH = {level: depth for depth, level in enumerate(Level)}
_SHARE_AS_IS, _SHARE_FREE = 0.3, 0.2


@dataclass(frozen=True)
class Scope:
    """What a run is about."""

    devices: tuple[str, ...]
    known: Mapping[str, type[Pass]]
    """The passes to draw from."""
    wanted: Pipeline = field(default_factory=Pipeline)
    """Passes that every case runs, one after the other; none: whatever chance brings."""

    @property
    def names(self) -> frozenset[str]:
        """Of the wanted passes."""
        return frozenset(step.name for step in self.wanted)

    @property
    def starts_at_once(self) -> bool:
        """Whether the wanted passes may run on a program as it is drawn."""
        return all(s.level_in == Level.TENSOR and not s.requires for s in self.wanted[:1])


Watch = Callable[[Sequence[Pass]], None]


@dataclass(frozen=True)
class Route:
    """Passes for a program, and what was seen while they were drawn."""

    passes: Pipeline
    error: Exception | None
    """What the last one of them raised, if it did."""
    effective: frozenset[str]
    """The names of the wanted passes that changed the program, or raised what no refusal is."""

    @property
    def failed(self) -> bool:
        """Whether a pass raised what no refusal is."""
        return self.error is not None and not isinstance(self.error, (*REFUSALS, PipelineError))


def draw_route(
    program: Program,
    device: str,
    scope: Scope,
    rng: Random,
    machines: Sequence[str],
    watch: Watch,
    *,
    directly: bool = False,
) -> Route:
    """Passes for a program.

    On `reference` they end anywhere; on a device they end where its back end begins. `machines` are
    the kinds of machine that `reference` may pretend to be. With `directly` the wanted passes run
    as soon as they may.
    """
    tried: list[Pass] = []

    def note(passes: Sequence[Pass]) -> None:
        tried[:] = passes
        watch(passes)

    kind = device if device in MACHINES else rng.choice(machines)
    module = program.module.clone()
    walk = Walk(module, rng.choice(MACHINES[kind]), rng, known=scope.known, watch=note)
    wanted = _Wanted(scope.wanted, directly, directly and scope.starts_at_once)
    is_narrow = any(dtype.is_narrow for dtype in program.dtypes)
    try:
        if device == "reference":
            _wander(walk, wanted, rng, is_narrow)
        else:
            _go_down(walk, device, wanted, rng, is_narrow)
    except Exception as error:  # noqa: BLE001 - any pass may raise anything; it is examined later
        route = Route(Pipeline(tried), error, frozenset(wanted.effective))
        if not route.failed or wanted.running is None:
            return route
        return replace(route, effective=route.effective | {wanted.running.name})
    return Route(Pipeline(walk.passes), None, frozenset(wanted.effective))


@dataclass
class _Wanted:
    """The wanted passes, and what became of them."""

    passes: Pipeline
    directly: bool
    """Whether they run as soon as they may, and whether that is at once."""
    at_once: bool
    effective: set[str] = field(default_factory=set[str])
    running: Pass | None = None

    def run(self, walk: Walk) -> None:
        """Run them one after the other."""
        for step in self.passes:
            self.running = step
            if walk.take(step):
                self.effective.add(step.name)
        self.running = None


def _wander(walk: Walk, wanted: _Wanted, rng: Random, is_narrow: bool) -> None:
    if wanted.passes:
        if not wanted.at_once:
            walk.lead_to(type(wanted.passes[0]))
        wanted.run(walk)
    else:
        _descend(walk, rng.choice((*Level, Level.LOOP, Level.LOOP)), is_narrow)


def _descend(walk: Walk, level: Level, is_narrow: bool, without: Collection[str] = ()) -> None:
    """Any legal order down to a level; lowerings need types that some machine computes with."""
    if is_narrow and level == Level.LOOP:
        walk.wander()
        walk.run(LegalizeTypes)
    walk.descend(level, without=without)


def _go_down(walk: Walk, device: str, wanted: _Wanted, rng: Random, is_narrow: bool) -> None:
    steps = pipeline(device)
    if wanted.passes:
        _run_through(walk, steps, wanted, rng)
    elif rng.random() < _SHARE_FREE:
        level = rng.choice((Level.TENSOR, Level.KERNEL, Level.BUFFER, Level.LOOP))
        walk.run(LegalizeTypes)
        _descend(walk, level, is_narrow, without=("map_to_grid",))
        walk.vary(_rest(steps, level), keep=NEEDED)
    elif rng.random() < _SHARE_AS_IS:
        walk.follow(steps)
    else:
        walk.vary(steps, keep=NEEDED)


def _run_through(walk: Walk, steps: Pipeline, wanted: _Wanted, rng: Random) -> None:
    """The pipeline with the wanted passes where the first of them may run."""
    first, level, facts = wanted.passes[0], Level.TENSOR, set[str]()
    maps = any("mapped" in step.establishes for step in wanted.passes)
    schedules = any(step.name in SCHEDULE for step in wanted.passes)
    places: list[int] = []
    for number, step in enumerate((*steps, None)):
        too_soon = maps and any(later.name in SCHEDULE for later in steps[number:])
        too_late = schedules and "mapped" in facts
        legal = level == first.level_in and first.requires <= facts
        if legal and not too_soon and not too_late:
            places.append(number)
        if step is not None:
            level, facts = step.level_out, facts | step.establishes
    if places:
        place = places[0] if wanted.directly else rng.choice(places)
        walk.vary(steps[:place], type(first), keep=NEEDED)
        rest = Pipeline(steps[place:])
    else:
        walk.lead_to(type(first))
        rest = steps
    wanted.run(walk)
    walk.vary(_rest(rest, wanted.passes[-1].level_out), keep=NEEDED)


def _rest(steps: Sequence[Pass], level: Level) -> Pipeline:
    """The passes of a pipeline that do not work above a level."""
    return Pipeline(step for step in steps if _DEPTH[step.level_in] >= _DEPTH[level])


def kinds_of_machines(*, wide_integers: bool, doubles: bool) -> tuple[str, ...]:
    """The kinds of machines that a program may be compiled for, by what its values are."""
    return tuple(
        kind
        for kind in MACHINES
        if (lookup(kind).int64 or not wide_integers) and (lookup(kind).float64 or not doubles)
    )
