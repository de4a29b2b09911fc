"""Random options for passes: those that name loops and buffers are drawn from the module at hand.

With their defaults the loop passes ask the facts of the machine, and a machine has little to say
about modules of a few hundred elements. So here loops are tiled, staged and split at random.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from random import Random
from typing import Any, TypeAlias

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, Operation

from picograd.dialects.loop import KernelOp, LoadOp, LoopOp, ParallelOp, ReduceOp
from picograd.passes import Pass
from picograd.passes.schedule.choices import MENU, Choices
from picograd.targets import lookup

Options: TypeAlias = dict[str, Any]


def random_options(step: type[Pass], machine: str, module: ModuleOp, rng: Random) -> Options:
    """Options for a pass on a module. A pass may refuse them; its defaults always serve."""
    draw = _RULES.get(step.name)
    if step.name in _ONLY_ON and lookup(machine).kind != _ONLY_ON[step.name]:
        draw = None
    return default_options(step, machine) | (draw(module, rng) if draw is not None else {})


def default_options(step: type[Pass], machine: str) -> Options:
    """The defaults of a pass, for a machine."""
    has_target = any(field.name == "target" for field in fields(step))
    return {"target": machine} if has_target else {}


def _fuse(module: ModuleOp, rng: Random) -> Options:
    choices = [{}, {"max_buffers": 4}, {"siblings": False}, {"epilogue": False}, {"keep": 0}]
    return rng.choice(choices)


def _rematerialize(module: ModuleOp, rng: Random) -> Options:
    return {"above": 0, "most_work": rng.choice((2, 16, 64))}


def _pack_constants(module: ModuleOp, rng: Random) -> Options:
    return {"columns": rng.choice((1, 2, 3, 4))}


def _merge_launches(module: ModuleOp, rng: Random) -> Options:
    return {"least": 1, "most": rng.choice((128, 512))}


def _tile_loops(module: ModuleOp, rng: Random) -> Options:
    names = _names(module, (ParallelOp, ReduceOp))
    chosen = rng.sample(names, min(len(names), rng.randint(1, 3)))
    sizes = " ".join(f"{name}={rng.choice((2, 3, 4))}" for name in chosen)
    return {"sizes": sizes, "exact": rng.random() < 0.5}


def _hoist_reduce(module: ModuleOp, rng: Random) -> Options:
    """A reduction and a parallel loop around it: of two that have nothing to do with each other
    the pass says so, and does nothing.
    """
    pairs = [
        (dim.name, outer.name)
        for op in module.walk()
        if isinstance(op, ReduceOp) and len(op.dims) == 1
        for dim in op.dims
        for loop in _around(op)
        for outer in loop.dims
    ]
    if not pairs:
        return {}
    loop, above = rng.choice(list(dict.fromkeys(pairs)))
    return {"loop": loop, "above": above}


def _around(op: Operation) -> list[ParallelOp]:
    """The parallel loops around an op without others in between, from the inside out."""
    found: list[ParallelOp] = []
    parent = op.parent_op()
    while isinstance(parent, ParallelOp):
        found.append(parent)
        parent = parent.parent_op()
    return found


def _stage_operands(module: ModuleOp, rng: Random) -> Options:
    loads = [
        op
        for op in module.walk()
        if isinstance(op, LoadOp)
        and isinstance(op.memref, BlockArgument)
        and _places(op)
        and op.memref.name_hint is not None
    ]
    # Every load of the name is staged, and one layout seldom fits two of them.
    names = Counter(load.memref.name_hint for load in loads)
    single = [load for load in loads if names[load.memref.name_hint] == 1]
    if not single:
        return {}
    load = rng.choice(single)
    places = _places(load)
    rng.shuffle(places)
    layout = " ".join(f"{name}={rng.choice((1, 2, 3))}" for name in places)
    return {"operand": load.memref.name_hint, "layout": layout}


def _vectorize_loops(module: ModuleOp, rng: Random) -> Options:
    names = _names(module, (ReduceOp,))
    return {"reduce": f"{rng.choice(names)}={rng.choice((2, 4))}"} if names else {}


def _tree_reduce(module: ModuleOp, rng: Random) -> Options:
    return {"threads": rng.choice((2, 4, 7)), "shortest": 2, "fan_in": rng.choice((2, 4))}


def _parallelize_loops(module: ModuleOp, rng: Random) -> Options:
    return {"grain": rng.choice((0, 1)), "serial_below": 0}


def _split_loops(module: ModuleOp, rng: Random) -> Options:
    return {"least": rng.choice((1, 2, 5))}


def _split_reduce(module: ModuleOp, rng: Random) -> Options:
    return {"chunk": rng.choice((1, 2, 5)), "shortest": 2}


def _merge_reduce(module: ModuleOp, rng: Random) -> Options:
    return {"rows": rng.choice((1, 2)), "whole_lines": rng.choice((False, True, True))}


def _choose_schedules(module: ModuleOp, rng: Random) -> Options:
    return {"choices": f"*: {random_choices(rng)}"}


def random_choices(rng: Random) -> Choices:
    """Up to four choices for the schedule of a kernel."""
    drawn = rng.sample(fields(Choices), rng.randint(1, 4))
    return Choices(**{each.name: rng.choice(each.metadata[MENU]) for each in drawn})


def _unroll_tiles(module: ModuleOp, rng: Random) -> Options:
    return {"width": rng.choice((1, 1, 2))}


_RULES: Mapping[str, Callable[[ModuleOp, Random], Options]] = {
    "choose_schedules": _choose_schedules,
    "rematerialize": _rematerialize,
    "pack_constants": _pack_constants,
    "merge_launches": _merge_launches,
    "fuse": _fuse,
    "tile_loops": _tile_loops,
    "hoist_reduce": _hoist_reduce,
    "stage_operands": _stage_operands,
    "vectorize_loops": _vectorize_loops,
    "tree_reduce": _tree_reduce,
    "parallelize_loops": _parallelize_loops,
    "merge_reduce": _merge_reduce,
    "split_loops": _split_loops,
    "split_reduce": _split_reduce,
    "unroll_tiles": _unroll_tiles,
}


_ONLY_ON: Mapping[str, str] = {
    # WGSL has no vectors of the widths that machines have.
    "unroll_tiles": "cpu",
    # Workgroups share nothing but a launch.
    "merge_launches": "cpu",
}
"""Options that make sense for one kind of machine."""


def _names(module: ModuleOp, kinds: tuple[type[LoopOp], ...]) -> Sequence[str]:
    """The names of loop dimensions with step 1, each once."""
    return list(
        dict.fromkeys(
            dim.name
            for op in module.walk()
            if isinstance(op, kinds)
            for dim in op.dims
            if dim.step == 1
        )
    )


def _places(load: LoadOp) -> list[str]:
    """The names of the loop variables on which the place that is read depends."""
    used = {value for index in load.indices for value in index.values()}
    names: list[str] = []
    op = load.parent_op()
    while op is not None and not isinstance(op, KernelOp):
        if isinstance(op, LoopOp):
            names += [dim.name for dim in op.dims if dim.variable in used]
        op = op.parent_op()
    return list(dict.fromkeys(names))
