"""Map the loops of each kernel to the workgroups and threads of a GPU.

Before:
```mlir
loop.kernel @scale(%x: memref<1000x7xf32>, %y: memref<1000x7xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (1000, 7) {
    %v = loop.load %x[%i, %j] : memref<1000x7xf32>
    %r = arith.addf %v, %v : f32
    loop.store %r, %y[%i, %j] : f32, memref<1000x7xf32>
  }
}
```
Options: map_to_grid{threads=128}

After:
```mlir
```

Requires: nothing; the schedule's own passes (tile_loops, stage_operands) come before it.

Does not: choose tile sizes, turn reductions into trees (tree_reduce), place barriers
(insert_barriers), or look at data types.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.loop import KernelOp, ParallelOp
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loop_facts import LoopFacts
from picograd.passes.loop_rewriting import kernels
from picograd.passes.mapping.launches import split_into_launches
from picograd.passes.mapping.nests import dims_of, mapping_of, perfect_nest, trip_counts
from picograd.passes.mapping.strategy import wants_group
from picograd.passes.mapping.threads import one_group_each, one_thread_each
from picograd.targets import lookup

DEFAULT_THREADS = 256
"""Enough to hide latency on the GPUs of today, and what WebGPU promises everywhere."""


@dataclass(frozen=True)
class MapToGrid(Pass):
    """Each top-level loop becomes one dispatch.

    `threads` is the most threads a workgroup gets where the schedule leaves it open; 0 lets the
    target decide. Source: the grid and block mapping of upstream MLIR's `gpu-map-parallel-loops`.
    """

    name: ClassVar[str] = "map_to_grid"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    establishes: ClassVar[frozenset[str]] = frozenset({"mapped"})

    threads: int = 0
    target: str = "gpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = lookup(self.target)
        limit = min(self.threads or DEFAULT_THREADS, machine.max_invocations or DEFAULT_THREADS)
        for kernel in kernels(op):
            if not any(mapping_of(inner) == "grid" for inner in kernel.body.block.ops):
                map_kernel(kernel, limit)


def map_kernel(kernel: KernelOp, threads: int) -> None:
    """Map one kernel, with at most `threads` threads where the schedule leaves it open."""
    for launch in split_into_launches(kernel, LoopFacts()):
        _map_launch(kernel, launch, threads)


def _map_launch(kernel: KernelOp, launch: ParallelOp, threads: int) -> None:
    facts = LoopFacts()
    nest = perfect_nest(launch)
    counts = trip_counts(nest, facts)
    if counts is None:
        raise PassError(
            "a parallel loop has no constant bound on its number of iterations",
            found=", ".join(dim.name for dim in dims_of(nest)),
            hint="leave loops whose bounds depend on sequential loops inside those",
            where=f"map_to_grid, kernel @{kernel.sym_name.data}",
        )
    if wants_group(nest, prod(counts), facts):
        one_group_each(nest, threads, facts)
    else:
        one_thread_each(nest, counts, threads)
