"""The passes, in the order in which a pipeline runs them. README.md holds the laws for writing one.

Adding a pass is adding a row here: its name is how the command line and the dumps spell it.
"""

if __name__ != "picograd.passes":
    raise ImportError(
        f"import picograd.passes, not {__name__}: the folder at the top of the tree is a link for "
        "readers, and importing through it would load every module a second time"
    )


from picograd.passes.base import Level, Pass, level_of
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.choose_schedules import ChooseSchedules
from picograd.passes.cse import CSE
from picograd.passes.dce import DCE
from picograd.passes.differentiate import Differentiate
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

PASSES: dict[str, type[Pass]] = {
    step.name: step
    for step in (
        # Tensor level.
        Differentiate,
        Canonicalize,
        CSE,
        DCE,
        LegalizeTypes,
        Rematerialize,
        PackConstants,
        OutlineKernels,
        # Kernel level.
        Fuse,
        LowerKernelsToBuffers,
        # Buffer level.
        ReuseInPlace,
        PlanBuffers,
        LowerBuffersToLoops,
        # Loop level.
        MergeLaunches,
        SplitLoops,
        MergeAxes,
        ChooseSchedules,
        SplitReduce,
        TileLoops,
        HoistReduce,
        StageOperands,
        MergeReduce,
        RoundUpLoops,
        MapToGrid,
        TreeReduce,
        InsertBarriers,
        VectorizeLoops,
        LowerReduce,
        ExpandMath,
        PrefetchRows,
        StreamStores,
        ParallelizeLoops,
        UnrollTiles,
    )
}

__all__ = ["PASSES", "Level", "Pass", "level_of"]
