"""Let the last block of a loop run past the loop's end, with loads and stores that stop there.

Before:
```mlir
builtin.module {
  loop.kernel @double(%x: memref<20xf32>, %y: memref<20xf32>) {
    loop.parallel %i0 = 0 to 20 step 8 {
      loop.parallel %i = %i0 to min(%i0 + 8, 20) {
        %v = loop.load %x[%i] : memref<20xf32>
        %d = arith.addf %v, %v : f32
        loop.store %d, %y[%i] : f32, memref<20xf32>
      }
    }
  }
}
```

After:
```mlir
builtin.module {
  loop.kernel @double(%x: memref<20xf32>, %y: memref<20xf32>) {
    loop.parallel %i0 = 0 to 20 step 8 {
      loop.parallel %i = %i0 to %i0 + 8 {
        %v = loop.load %x[%i] pad : memref<20xf32>
        %d = arith.addf %v, %v : f32
        loop.store %d, %y[%i] clip : f32, memref<20xf32>
      }
    }
  }
}
```

On a GPU the threads of the last block run anyway; letting them work on nothing keeps every register
tile the same size, where exact tails would need other code for other threads of one workgroup.

Requires: blocks made by tile_loops: a parallel loop from a block's start to the least of the
block's end and the old bound.

Does not: round up reductions (their extra iterations would count) or loops whose body fills
local buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.ir import SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    AllocOp,
    CheckedIndexOp,
    Dim,
    LoadOp,
    LoopOp,
    ParallelOp,
    StoreOp,
    tile_shape,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import inner_first, kernels, set_dims
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class RoundUpLoops(Pass):
    """The guard moves from the loop's bound to the loads (`pad`) and stores (`clip`) inside it."""

    name: ClassVar[str] = "round_up_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    requires: ClassVar[frozenset[str]] = frozenset({"tiled"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            for loop in inner_first(kernel, ParallelOp):
                round_up(loop)


def round_up(loop: ParallelOp) -> None:
    """Round up the dimensions of one parallel loop that are blocks, and guard what is inside."""
    rounded = [rounded_dim(dim) for dim in loop.dims]
    grown = {new.variable for new, old in zip(rounded, loop.dims, strict=True) if new != old}
    facts = LoopFacts()
    if not grown or not _may_grow(loop, grown) or not _is_clipped(loop, facts):
        return
    if not applies(round_up, loop):
        return
    set_dims(loop, rounded)
    facts = LoopFacts()
    for op in loop.walk():
        if isinstance(op, LoadOp | StoreOp) and not _inside(op, facts):
            op.properties["pad" if isinstance(op, LoadOp) else "clip"] = UnitAttr()


def rounded_dim(dim: Dim) -> Dim:
    """The dimension up to its block's end only; itself if it is no block."""
    ends = [upper for upper in dim.uppers if (upper - dim.lower).is_constant]
    if len(dim.uppers) < 2 or len(ends) != 1 or dim.lower.is_constant:
        return dim
    return replace(dim, uppers=(ends[0],))


def _may_grow(loop: ParallelOp, grown: set[SSAValue]) -> bool:
    """Whether more iterations do no harm: no local buffers, no loops or data depend on them."""
    for op in loop.walk():
        if op is loop:
            continue
        if isinstance(op, CheckedIndexOp):
            return False
        if isinstance(op, StoreOp) and isinstance(op.memref.owner, AllocOp):
            return False
        if isinstance(op, LoopOp) and any(value in grown for value in op.operands):
            return False
    return True


def _is_clipped(loop: ParallelOp, facts: LoopFacts) -> bool:
    """Whether what the additional iterations store lies outside of memory. Inside, it would be an
    element of a neighbouring block, which is that block's to write.
    """
    stores = [op for op in loop.walk() if isinstance(op, StoreOp)]
    return all(
        _leaves(store, dim.variable, upper, facts)
        for store in stores
        for dim in loop.dims
        if rounded_dim(dim) != dim
        for upper in dim.uppers
        if upper not in rounded_dim(dim).uppers
    )


def _leaves(store: StoreOp, variable: SSAValue, upper: Linear, facts: LoopFacts) -> bool:
    """Whether a store is out of bounds from `upper` of a variable on."""
    for index, extent in zip(store.indices, memref_shape(store.memref.type), strict=True):
        coefficient = index.terms.get(variable, 0)
        if coefficient <= 0:
            continue
        rest = index - Linear({variable: coefficient})
        if variable not in rest.values():
            least = facts.bounds(rest + upper * coefficient, _lanes(store))[0]
            if least is not None and least >= extent:
                return True
    return False


def _inside(op: LoadOp | StoreOp, facts: LoopFacts) -> bool:
    shape = memref_shape(op.memref.type)
    lanes = _lanes(op)
    return all(facts.within(index, n, lanes) for index, n in zip(op.indices, shape, strict=True))


def _lanes(op: LoadOp | StoreOp) -> Sequence[int]:
    return tile_shape(op.result.type if isinstance(op, LoadOp) else op.value.type)
