"""Make each long reduction of a workgroup a tree in workgroup memory.

Before:
```mlir
builtin.module {
  loop.kernel @row_sum(%x: memref<3x900xf32>, %y: memref<3xf32>) {
    loop.parallel %i = 0 to 3 mapping grid {
      %sum = loop.reduce add %k = 0 to 900 : f32 {
        %v = loop.load %x[%i, %k] : memref<3x900xf32>
        loop.yield %v : f32
      }
      loop.parallel %once = 0 to 1 mapping workgroup {
        loop.store %sum, %y[%i] : f32, memref<3xf32>
      }
    }
  }
}
```

Options: tree_reduce{threads=64 fan_in=8}

After:
```mlir
builtin.module {
  loop.kernel @row_sum(%x: memref<3x900xf32>, %y: memref<3xf32>) {
    loop.parallel %i = 0 to 3 mapping grid {
      %sum_parts = loop.alloc : memref<64xf32, "workgroup">
      loop.parallel %thread = 0 to 64 mapping workgroup {
        %sum = loop.reduce add %k = %thread to 900 step 64 : f32 {
          %v = loop.load %x[%i, %k] : memref<3x900xf32>
          loop.yield %v : f32
        }
        loop.store %sum, %sum_parts[%thread] : f32, memref<64xf32, "workgroup">
      }
      loop.parallel %thread_1 as thread = 0 to 8 mapping workgroup {
        %sum_1 = loop.reduce add %part = %thread_1 to 64 step 8 : f32 {
          %0 = loop.load %sum_parts[%part] : memref<64xf32, "workgroup">
          loop.yield %0 : f32
        }
        loop.store %sum_1, %sum_parts[%thread_1] : f32, memref<64xf32, "workgroup">
      }
      %sum_2 = loop.reduce add %part_1 as part = 0 to 8 : f32 {
        %1 = loop.load %sum_parts[%part_1] : memref<64xf32, "workgroup">
        loop.yield %1 : f32
      }
      loop.parallel %once = 0 to 1 mapping workgroup {
        loop.store %sum_2, %y[%i] : f32, memref<3xf32>
      }
    }
  }
}
```

Every thread reduces its share of the iterations; then a tree over the shares, each level `fan_in`
times narrower; at the root all threads reduce the last few alike, so that each has the result.

Requires: map_to_grid, whose workgroups the trees belong to.

Does not: touch reductions inside one thread's work, or place barriers between the tree's levels
(insert_barriers does).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, VectorType
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    AllocOp,
    Dim,
    KernelOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    constant_dim,
    loop_block,
)
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of, once_dims
from picograd.passes.mapping.reductions import copy_reduction, reduction_of_parts
from picograd.passes.mapping.strategy import LONG
from picograd.passes.mapping.threads import power_of_two
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    clone_body,
    inner_first,
    kernels,
    replace_op,
)
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup

DEFAULT_THREADS = 256


@dataclass(frozen=True)
class TreeReduce(Pass):
    """Reductions that group code runs become a share for each thread and a tree over the shares.

    `threads` is the most threads that take part; 0 lets the target decide. `shortest` is the length
    from which a tree pays; shorter reductions are run by every thread alike. Each level of the
    tree is `fan_in` times narrower than the one before: fewer levels mean fewer barriers. The tree
    depends on the reduction's length alone, so results are the same at every run. Source: M.
    Harris, "Optimizing Parallel Reduction in CUDA" (2007): sequential addressing, several elements
    a thread.
    """

    name: ClassVar[str] = "tree_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    requires: ClassVar[frozenset[str]] = frozenset({"mapped"})

    threads: int = 0
    shortest: int = LONG
    fan_in: int = 16
    target: str = "gpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = lookup(self.target)
        limit = min(self.threads or DEFAULT_THREADS, machine.max_invocations or DEFAULT_THREADS)
        for kernel in kernels(op):
            for reduction in group_reductions(kernel):
                if _pays(reduction, self.shortest) and applies(make_tree, reduction):
                    make_tree(reduction, limit, self.fan_in)


def group_reductions(kernel: KernelOp) -> list[ReduceOp]:
    """The reductions that all threads of a workgroup would run alike."""
    return [op for op in inner_first(kernel, ReduceOp) if _is_group_code(op)]


def _is_group_code(op: Operation) -> bool:
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, KernelOp):
        mapping = mapping_of(parent)
        if mapping == "grid":
            return True
        if mapping or isinstance(parent, ReduceOp | ParallelOp):
            return False
        parent = parent.parent_op()
    return False


def _pays(reduction: ReduceOp, shortest: int) -> bool:
    facts = LoopFacts()
    counts = [facts.trips(dim) for dim in reduction.dims]
    # Stores in the body have to leave group code, however short the reduction is.
    stores = any(isinstance(op, StoreOp) for op in reduction.walk())
    # Reductions of register tiles have their lanes already; workgroup memory holds numbers.
    tiles = any(isinstance(result.type, VectorType) for result in reduction.results)
    long = prod(n or 0 for n in counts) >= shortest
    return None not in counts and not tiles and (stores or long)


def make_tree(reduction: ReduceOp, limit: int, fan_in: int) -> None:
    """Replace a reduction by shares for the threads, a tree over them, and its root.

    The root is a short reduction that every thread runs alike: so each has the result.
    """
    facts = LoopFacts()
    counts = [facts.trips(dim) or 0 for dim in reduction.dims]
    width = min(limit, power_of_two(prod(counts)))
    parts = [AllocOp((width,), result.type, "workgroup") for result in reduction.outputs]
    for part, result in zip(parts, reduction.outputs, strict=True):
        part.memref.name_hint = f"{result.name_hint or 'share'}_parts"
    memrefs = [part.memref for part in parts]
    new: list[Operation] = [*parts, _shares(reduction, counts, width, memrefs)]
    while width > fan_in:
        below, width = width, -(-width // fan_in)
        new.append(_level(reduction, below, width, memrefs))
    root = reduction_of_parts(reduction, constant_dim("part", width), memrefs, reduction.inits)
    replace_op(reduction, [*new, root], list(root.outputs))


def _shares(
    reduction: ReduceOp, counts: Sequence[int], threads: int, memrefs: Sequence[SSAValue]
) -> ParallelOp:
    """Each thread reduces every `threads`-th iteration and stores the outcome."""
    work = ParallelOp([constant_dim("thread", threads)], "workgroup")
    thread = Linear.of(work.induction_variables[0])
    dims = reduction.dims
    if len(dims) == 1:
        (dim,) = dims
        every = Dim(dim.lower + thread * dim.step, dim.uppers, dim.step * threads, dim.name)
        share = copy_reduction(reduction, [every], clone_body(reduction))
    else:
        # One number for all dimensions, taken apart inside: a share of it has neighbours too.
        every = Dim(thread, (Linear.of(prod(counts)),), threads, "element")
        share = copy_reduction(reduction, [every], loop_block(["element"]))
        number = Linear.of(share.induction_variables[0])
        one = copy_reduction(reduction, once_dims(dims, counts, number), clone_body(reduction))
        share.body.block.add_ops([one, YieldOp(*one.outputs)])
    stores = [
        StoreOp(value, memref, [thread])
        for value, memref in zip(share.outputs, memrefs, strict=True)
    ]
    work.body.block.add_ops([share, *stores, YieldOp()])
    return work


def _level(reduction: ReduceOp, below: int, width: int, memrefs: Sequence[SSAValue]) -> ParallelOp:
    """One level of the tree: `width` threads reduce the `below` parts of the level before.

    Thread n reads the parts n, n + width, …, and writes part n, which no other thread touches.
    """
    level = ParallelOp([constant_dim("thread", width)], "workgroup")
    thread = Linear.of(level.induction_variables[0])
    some = reduction_of_parts(reduction, Dim(thread, (Linear.of(below),), width, "part"), memrefs)
    stores = [
        StoreOp(value, memref, [thread])
        for value, memref in zip(some.outputs, memrefs, strict=True)
    ]
    level.body.block.add_ops([some, *stores, YieldOp()])
    return level
