"""Map the loops of each kernel to the workgroups and threads of a GPU.

Before:
```mlir
builtin.module {
  loop.kernel @double(%x: memref<500x7xf32>, %y: memref<500x7xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (500, 7) {
      %v = loop.load %x[%i, %j] : memref<500x7xf32>
      %d = arith.addf %v, %v : f32
      loop.store %d, %y[%i, %j] : f32, memref<500x7xf32>
    }
  }
  loop.kernel @center(%x: memref<3x900xf32>, %y: memref<3x900xf32>) {
    loop.parallel %i = 0 to 3 {
      %most = loop.reduce max %k = 0 to 900 : f32 {
        %v = loop.load %x[%i, %k] : memref<3x900xf32>
        loop.yield %v : f32
      }
      loop.parallel %j = 0 to 900 {
        %v_1 = loop.load %x[%i, %j] : memref<3x900xf32>
        %c = arith.subf %v_1, %most : f32
        loop.store %c, %y[%i, %j] : f32, memref<3x900xf32>
      }
    }
  }
}
```

Options: map_to_grid{threads=128}

After:
```mlir
builtin.module {
  loop.kernel @double(%x: memref<500x7xf32>, %y: memref<500x7xf32>) {
    loop.parallel %group = 0 to 3500 step 128 mapping grid {
      loop.parallel %thread = %group to min(%group + 128, 3500) mapping workgroup {
        loop.parallel (%i, %j) = (%thread floordiv 7, %thread mod 7) to (%thread floordiv 7 + 1, %thread mod 7 + 1) {
          %v = loop.load %x[%i, %j] : memref<500x7xf32>
          %d = arith.addf %v, %v : f32
          loop.store %d, %y[%i, %j] : f32, memref<500x7xf32>
        }
      }
    }
  }
  loop.kernel @center(%x: memref<3x900xf32>, %y: memref<3x900xf32>) {
    loop.parallel %i = 0 to 3 mapping grid {
      %most = loop.reduce max %k = 0 to 900 : f32 {
        %v = loop.load %x[%i, %k] : memref<3x900xf32>
        loop.yield %v : f32
      }
      loop.parallel %thread = 0 to 128 mapping workgroup {
        loop.parallel %j = %thread to 900 step 128 {
          %v_1 = loop.load %x[%i, %j] : memref<3x900xf32>
          %c = arith.subf %v_1, %most : f32
          loop.store %c, %y[%i, %j] : f32, memref<3x900xf32>
        }
      }
    }
  }
}
```

Each top-level loop becomes one dispatch. Where the work of an iteration is short it gets one
thread, and the number of a thread tells its place in the nest; where it is long (a row with
reductions, or a block staged in workgroup memory) it gets a workgroup, whose threads share the
loops inside. Bounds that do not divide leave threads without work, never code of another shape.

Requires: nothing; the schedule's own passes (tile_loops, stage_operands) come before it.

Does not: choose tile sizes, turn reductions into trees (tree_reduce), place barriers
(insert_barriers), or look at data types.
"""  # noqa: E501

from __future__ import annotations

from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.loop import KernelOp, ParallelOp
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.launches import split_into_launches
from picograd.passes.mapping.nests import dims_of, mapping_of, perfect_nest, trip_counts
from picograd.passes.mapping.reductions import split_full_reductions
from picograd.passes.mapping.strategy import wants_group
from picograd.passes.mapping.threads import one_group_each, one_thread_each
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.quick_dataclasses import dataclass
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
            mapped = any(mapping_of(inner) == "grid" for inner in kernel.body.block.ops)
            if not mapped and applies(map_kernel, kernel):
                map_kernel(kernel, limit)


def map_kernel(kernel: KernelOp, threads: int) -> None:
    """Map one kernel, with at most `threads` threads where the schedule leaves it open."""
    for op in kernel.walk():
        if isinstance(op, ParallelOp) and mapping_of(op) == "threads":
            # It was meant for a CPU's threads: its iterations are independent, and that is all.
            del op.properties["mapping"]
    split_full_reductions(kernel)
    for launch in split_into_launches(kernel, LoopFacts()):
        _map_launch(kernel, launch, threads)


def _map_launch(kernel: KernelOp, launch: ParallelOp, threads: int) -> None:
    facts = LoopFacts()
    nest = perfect_nest(launch)
    counts = trip_counts(nest, facts)
    if counts is None:
        raise PassError(
            "a parallel loop has no constant bound on its number of iterations",
            code="PG609",
            expected="bounds that are known when the kernel starts",
            found=", ".join(dim.name for dim in dims_of(nest)),
            hint="leave loops whose bounds depend on sequential loops inside those",
            where=f"map_to_grid, kernel @{kernel.sym_name.data}",
        )
    if wants_group(nest, prod(counts), facts):
        one_group_each(nest, threads)
    else:
        one_thread_each(nest, counts, threads)
