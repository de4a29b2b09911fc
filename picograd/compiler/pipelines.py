"""The compiler, as lists: for each device the passes that a module goes through, in order.

Every pass has a page in docs/passes; `picograd opt --list` describes them in a line each.
"""

from collections.abc import Callable

from picograd.compiler.pass_list import Pipeline
from picograd.errors import DeviceError
from picograd.passes.base import Pass
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.choose_schedules import ChooseSchedules
from picograd.passes.cse import CSE
from picograd.passes.dce import DCE
from picograd.passes.expand_math import ExpandMath
from picograd.passes.fuse import Fuse
from picograd.passes.hoist_reduce import HoistReduce
from picograd.passes.insert_barriers import InsertBarriers
from picograd.passes.legalize_types import LegalizeTypes
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.lower_reduce import LowerReduce
from picograd.passes.map_to_grid import MapToGrid
from picograd.passes.merge_axes import MergeAxes
from picograd.passes.merge_launches import MergeLaunches
from picograd.passes.merge_reduce import MergeReduce
from picograd.passes.outline_kernels import OutlineKernels
from picograd.passes.pack_constants import PackConstants
from picograd.passes.parallelize_loops import ParallelizeLoops
from picograd.passes.plan_buffers import PlanBuffers
from picograd.passes.prefetch_rows import PrefetchRows
from picograd.passes.rematerialize import Rematerialize
from picograd.passes.reuse_in_place import ReuseInPlace
from picograd.passes.round_up_loops import RoundUpLoops
from picograd.passes.split_loops import SplitLoops
from picograd.passes.split_reduce import SplitReduce
from picograd.passes.stage_operands import StageOperands
from picograd.passes.stream_stores import StreamStores
from picograd.passes.tile_loops import TileLoops
from picograd.passes.tree_reduce import TreeReduce
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.passes.vectorize_loops import VectorizeLoops


def _cpu() -> tuple[Pass, ...]:
    return (
        # Tensors: fewer and simpler ops.
        Canonicalize(),
        CSE(),
        DCE(),
        LegalizeTypes(target="cpu"),
        Rematerialize(),
        # … with weights in the layout that suits their products; what is laid out so is computed
        # by a program of its own, when a weight has changed,
        PackConstants(target="cpu"),
        # Kernels: which ops run together.
        OutlineKernels(),
        Fuse(target="cpu"),
        # Buffers: where values lie in memory.
        LowerKernelsToBuffers(),
        ReuseInPlace(),
        PlanBuffers(target="cpu"),
        # Loops: how a kernel runs.
        LowerBuffersToLoops(),
        MergeLaunches(target="cpu"),
        SplitLoops(),
        MergeAxes(),
        SplitReduce(),
        # … in blocks that fit the caches, with operands packed into local buffers,
        TileLoops(target="cpu"),
        HoistReduce(target="cpu"),
        StageOperands(target="cpu"),
        # … a row stored and reduced in one loop, all in register tiles,
        MergeReduce(target="cpu"),
        TileLoops(exact=True, target="cpu"),
        VectorizeLoops(target="cpu"),
        LowerReduce(target="cpu"),
        ExpandMath(target="cpu"),
        PrefetchRows(target="cpu"),
        StreamStores(target="cpu"),
        # … shared by threads, and in machine vectors.
        ParallelizeLoops(target="cpu"),
        UnrollTiles(target="cpu"),
    )


def _gpu() -> tuple[Pass, ...]:
    return (
        Canonicalize(),
        CSE(),
        DCE(),
        LegalizeTypes(target="gpu"),
        Rematerialize(),
        OutlineKernels(),
        Fuse(target="gpu"),
        LowerKernelsToBuffers(),
        ReuseInPlace(),
        PlanBuffers(target="gpu"),
        LowerBuffersToLoops(),
        # A block for each workgroup, staged in its memory, and a register tile for each thread,
        TileLoops(target="gpu"),
        RoundUpLoops(),
        HoistReduce(target="gpu"),
        StageOperands(target="gpu"),
        TileLoops(exact=True, target="gpu"),
        # … then the loops that are left: what runs where, and who waits for whom.
        MapToGrid(target="gpu"),
        TreeReduce(target="gpu"),
        InsertBarriers(),
        # The code of one thread.
        VectorizeLoops(target="gpu"),
        LowerReduce(target="gpu"),
        ExpandMath(target="gpu"),
        UnrollTiles(target="gpu"),
    )


def _reference() -> tuple[Pass, ...]:
    # The reference runs tensor ops as they are.
    return ()


_PIPELINES: dict[str, Callable[[], tuple[Pass, ...]]] = {
    "cpu": _cpu,
    "gpu": _gpu,
    "reference": _reference,
}


def pipeline(device: str) -> Pipeline:
    """The passes for a device: "cpu", "gpu" or "reference", which has none.

    Passes of one's own are put among them with `before` and `after`:
    `compile(f, passes=pipeline("cpu").after("canonicalize", MyPass()))`. Raises DeviceError for a
    name that is no device's.
    """
    if device not in _PIPELINES:
        raise DeviceError(
            f"there is no pipeline for a device called {device!r}",
            code="PG301",
            expected="one of " + ", ".join(repr(name) for name in _PIPELINES),
            found=repr(device),
            hint="name one of these devices",
        )
    return Pipeline(_PIPELINES[device]())


def tuned_pipeline(device: str, choices: str) -> Pipeline:
    """The passes for a device, with choices for the schedules of kernels if there are any.

    The CPU's only. They are noted where the loops of a kernel are still what it computes.
    """
    steps = pipeline(device)
    return steps.after(BEFORE_SCHEDULES, ChooseSchedules(choices)) if choices else steps


BEFORE_SCHEDULES = "merge_axes"
"""The last pass of the CPU's pipeline to which the cost model has nothing to say."""


def unfused(passes: Pipeline) -> Pipeline:
    """The same passes without the one that joins kernels: each op stays a kernel of its own."""
    return Pipeline(step for step in passes if not isinstance(step, Fuse))
