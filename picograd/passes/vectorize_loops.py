"""Turn the loops that are mapped to lanes, and long reductions, into code on register tiles.

Before:

```mlir
builtin.module {
  loop.kernel @total(%x: memref<4x40xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %sum = loop.reduce add %k = 0 to 40 : f32 {
        %v = loop.load %x[%i, %k] : memref<4x40xf32>
        loop.yield %v : f32
      }
      loop.store %sum, %y[%i] : f32, memref<4xf32>
    }
  }
}
```

Options: vectorize_loops{reduce="k=16"}

After:

```mlir
builtin.module {
  loop.kernel @total(%x: memref<4x40xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %sum = loop.reduce add %k = 0 to 32 step 16 : vector<16xf32> {
        %v = loop.load %x[%i, %k + t0] : memref<4x40xf32> to vector<16xf32>
        loop.yield %v : vector<16xf32>
      }
      %sum_1 = loop.fold add %sum : vector<16xf32> to f32
      %v_1 = loop.load %x[%i, t0 + 32] : memref<4x40xf32> to vector<8xf32>
      %sum_2 = loop.fold add %v_1 : vector<8xf32> to f32
      %sum_3 = arith.addf %sum_1, %sum_2 : f32
      loop.store %sum_3, %y[%i] : f32, memref<4xf32>
    }
  }
}
```

A loop mapped to lanes disappears: its induction variable becomes its lower bound plus a lane. The
last of its dimensions becomes machine vectors: that along which reductions in it read memory. A
reduction keeps an accumulator for each lane, folds them at the end, and takes what is left over as
one smaller tile; one with a combiner of its own (argmax) keeps a tile of each of its values. The
order in which elements meet is told in `tiles/reductions.py`. A loop that stores running totals
(cumsum) goes tile by tile, in the order that `tiles/scans.py` tells: each lane is combined with
those before it in a few steps, then with the total of the tiles before.

Requires: for a loop, constant extents. Without `reduce`, the facts of `target` choose which
reductions become tiles, and their sizes.

Does not: touch bodies whose lanes would go different ways. These stay scalar, and say why in an
attribute `scalar`, which `scalar_hot_loops` reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Leaf, Linear, LinearLike
from picograd.dialects.loop import ForOp, KernelOp, LoadOp, ParallelOp, ReduceOp, tile_rank
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import NotVectorizable, analyze_lanes
from picograd.passes.loops.nest_shape import local_stride
from picograd.passes.loops.scalar_loops import SCALAR
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    check_names,
    copy_hint,
    inner_first,
    kernels,
    parse_sizes,
    replace_op,
    substitute_indices,
    take_ops,
)
from picograd.passes.schedule.choose_tiles import reduce_sizes
from picograd.passes.tiles.reductions import tile_reduction
from picograd.passes.tiles.scans import Scan, scan_of, tile_scan
from picograd.passes.tiles.vectorizer import Vectorizer
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup

TILE_LIMIT = 4096
"""The most elements of one tile; a greater one would not fit into any registers."""


@dataclass(frozen=True)
class VectorizeLoops(Pass):
    """`reduce` names dimensions of reductions and the number of accumulators for each."""

    name: ClassVar[str] = "vectorize_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    establishes: ClassVar[frozenset[str]] = frozenset({"vectorized"})

    reduce: str = ""
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        named = parse_sizes("reduce", self.reduce)
        check_names("reduce", named, op)
        for kernel in kernels(op):
            for loop in inner_first(kernel, ParallelOp):
                lanes = loop.mapping is not None and loop.mapping.data == "lanes"
                if lanes and applies(vectorize_loop, loop):
                    vectorize_loop(loop)
            for loop in inner_first(kernel, ForOp):
                scan = scan_of(loop, target)
                if scan is not None and applies(vectorize_scan, loop):
                    vectorize_scan(scan)
            for reduction, sizes in reductions(kernel, named, self.target).items():
                if applies(vectorize_reduction, reduction):
                    vectorize_reduction(reduction, *sizes)


def reductions(
    kernel: KernelOp, named: dict[str, int], target: str
) -> dict[ReduceOp, tuple[str, int]]:
    """The scalar reductions that are to become tiles: the dimension and its tile size."""
    scalar = [
        reduction
        for reduction in inner_first(kernel, ReduceOp)
        if not tile_rank(reduction.outputs[0].type)
    ]
    if not named:
        chosen = reduce_sizes(scalar, lookup(target))
        return {reduction: chosen[reduction] for reduction in scalar if reduction in chosen}
    return {
        reduction: (dim.name, named[dim.name])
        for reduction in scalar
        for dim in reduction.dims
        if dim.name in named
    }


def vectorize_loop(op: ParallelOp) -> None:
    """Turn a parallel loop into tiles, or note why it stays."""
    op = run_along_memory(op)
    dims = op.dims
    extents = [dim.extent if dim.is_constant and dim.step == 1 else None for dim in dims]
    known = [extent for extent in extents if extent is not None]
    try:
        if len(known) < len(extents):
            raise NotVectorizable("its extents are not constant")
        if prod(known) > TILE_LIMIT:
            raise NotVectorizable(f"a tile has at most {TILE_LIMIT} elements")
        if 0 in known:
            replace_op(op, [], [])
            return
        new = tiles(op, known)
    except NotVectorizable as reason:
        op.attributes[SCALAR] = StringAttr(str(reason))
        return
    replace_op(op, new, [])


def run_along_memory(op: ParallelOp) -> ParallelOp:
    """The loop with the dimension last along which the loads of its reductions are contiguous.

    Machine vectors are made along the last one; where that leads through memory in strides, and
    another does not, the two change places.
    """
    loads = [
        load
        for inner in op.walk()
        if isinstance(inner, ReduceOp)
        for load in inner.body.block.ops
        if isinstance(load, LoadOp)
    ]
    dims = [dim for dim in op.dims if dim.extent != 1]
    runs = [d for d in dims if any(local_stride(load, d.variable) == 1 for load in loads)]
    if not runs or dims[-1] in runs:
        return op
    order = [*(dim for dim in op.dims if dim is not runs[-1]), runs[-1]]
    new = ParallelOp([replace(dim, iv=None) for dim in order], op.mapping and op.mapping.data)
    moved: dict[Leaf, LinearLike] = {}
    for dim, variable in zip(order, new.induction_variables, strict=True):
        moved[dim.variable] = copy_hint(variable, dim.variable)
    substitute_indices(op.body.block, moved)
    new.body.block.add_ops(take_ops(op.body.block))
    new.attributes |= op.attributes
    replace_op(op, [new], [])
    return new


def tiles(op: ParallelOp, extents: Sequence[int]) -> list[Operation]:
    """The body of a parallel loop as straight-line code on tiles."""
    indices: dict[SSAValue, Linear] = {}
    lanes: dict[SSAValue, frozenset[int]] = {}
    wide = [extent for extent in extents if extent > 1]
    axis = 0
    for dim, extent in zip(op.dims, extents, strict=True):
        indices[dim.variable] = dim.lower
        if extent > 1:
            indices[dim.variable] = dim.lower + Lane(axis)
            lanes[dim.variable] = frozenset({axis})
            axis += 1
    axes = analyze_lanes(op.body.block, lanes)
    block = Block()
    Vectorizer(wide, indices, axes, LoopFacts()).block(op.body.block, block)
    return take_ops(block)


def vectorize_reduction(op: ReduceOp, name: str, size: int) -> None:
    """Turn one dimension of a scalar reduction into tiles, or note why it stays."""
    try:
        tile_reduction(op, name, size)
    except NotVectorizable as reason:
        op.attributes[SCALAR] = StringAttr(str(reason))


def vectorize_scan(scan: Scan) -> None:
    """Turn a loop that stores running totals into tiles, or note why it stays."""
    try:
        tile_scan(scan)
    except NotVectorizable as reason:
        scan.loop.attributes[SCALAR] = StringAttr(str(reason))
