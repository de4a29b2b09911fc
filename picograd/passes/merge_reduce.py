"""Reduce a row in the loop that computes and stores it, not in a loop that reads it again.

Before:

```mlir
builtin.module {
  loop.kernel @powers(%x: memref<64x40xf32>, %y: memref<64x40xf32>, %z: memref<64xf32>) {
    loop.parallel %i = 0 to 64 {
      loop.parallel %j = 0 to 40 {
        %v = loop.load %x[%i, %j] : memref<64x40xf32>
        %p = math.exp %v : f32
        loop.store %p, %y[%i, %j] : f32, memref<64x40xf32>
      }
      %sum = loop.reduce add %k = 0 to 40 : f32 {
        %q = loop.load %y[%i, %k] : memref<64x40xf32>
        loop.yield %q : f32
      }
      loop.store %sum, %z[%i] : f32, memref<64xf32>
    }
  }
}
```

After:

```mlir
builtin.module {
  loop.kernel @powers(%x: memref<64x40xf32>, %y: memref<64x40xf32>, %z: memref<64xf32>) {
    loop.parallel %i = 0 to 64 {
      %sum = loop.reduce add %k = 0 to 40 : f32 {
        %v = loop.load %x[%i, %k] : memref<64x40xf32>
        %p = math.exp %v : f32
        loop.store %p, %y[%i, %k] : f32, memref<64x40xf32>
        loop.yield %p : f32
      }
      loop.store %sum, %z[%i] : f32, memref<64xf32>
    }
  }
}
```

A softmax adds up the powers that it keeps for a division. Where rows begin anywhere in a line of
the cache, what has just been stored is best taken from a register: most vectors are loaded in two
steps, and of what a mask has stored a load waits until the line has come from memory. As many
elements are added up side by side as suits the longer body.

Requires: nothing. Nothing stands between the loop and the reduction but arithmetic. Both run over
the same range and along memory; what each iteration of the reduction reads of the buffers that the
loop stores to, the same iteration of the loop has stored. Loops around them run `rows` times or
more, so that threads have work without those of the loop.

Does not: merge loops over rows that are whole lines: a second loop over what is in the first cache
takes next to no time then, and stores have more of it; loops that hold others, are mapped, check
indices, or could not become tiles.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    Dim,
    IndexOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
)
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.lane_analysis import NotVectorizable, analyze_lanes
from picograd.passes.loops.nest_shape import begins_on_lines, local_stride, place_in
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import inner_first, is_pure, kernels, take_ops
from picograd.passes.schedule.column_fetches import item_bytes
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class MergeReduce(Pass):
    """`rows` is how often loops around must run at least.

    With `whole_lines`, loops over rows that begin with lines are merged too.
    """

    name: ClassVar[str] = "merge_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    rows: int = 32
    whole_lines: bool = False
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.rows < 1:
            raise OptionError(
                "merge_reduce needs a number of rows",
                code="PG703",
                expected="1 or more",
                found=self.rows,
                hint="leave `rows` out for 32",
            )
        if lookup(self.target).kind != "cpu":
            return
        for kernel in kernels(op):
            for reduction in inner_first(kernel, ReduceOp):
                loop = storing_loop(reduction)
                if loop is None or _rows_around(reduction) < self.rows:
                    continue
                if (self.whole_lines or not _has_whole_lines(loop)) and applies(merge, reduction):
                    merge(loop, reduction)


def storing_loop(reduction: ReduceOp) -> ParallelOp | None:
    """The loop before a reduction that stores what it reads, if the two can be one."""
    loop = reduction.prev_op
    while loop is not None and not isinstance(loop, ParallelOp):
        if loop.regions or not is_pure(loop):
            return None
        loop = loop.prev_op
    if loop is None or loop.mapping is not None:
        return None
    if len(loop.dims) != 1 or len(reduction.dims) != 1:
        return None
    (stored, read) = loop.dims[0], reduction.dims[0]
    if not _is_same_range(stored, read) or not _reads_what_is_stored(loop, reduction):
        return None
    for body, dim in ((loop.body.block, stored), (reduction.body.block, read)):
        try:
            analyze_lanes(body, {dim.variable: frozenset({0})})
        except NotVectorizable:
            return None
    return loop


def _is_same_range(one: Dim, other: Dim) -> bool:
    return (one.lower, one.uppers, one.step) == (other.lower, other.uppers, other.step)


def _reads_what_is_stored(loop: ParallelOp, reduction: ReduceOp) -> bool:
    """Whether each iteration of a reduction reads what the same one of a loop has stored."""
    variable, other = loop.dims[0].variable, reduction.dims[0].variable
    stored: dict[SSAValue, list[Linear]] = {}
    for op in (*loop.body.block.ops, *reduction.body.block.ops):
        if isinstance(op, LoadOp | StoreOp):
            if op.properties.keys() & {"pad", "clip"}:
                return False
            own = variable if op.parent_op() is loop else other
            if local_stride(op, own) not in (0, 1):
                return False
        elif op.regions or not (isinstance(op, IndexOp | YieldOp) or is_pure(op)):
            return False
    for op in loop.body.block.ops:
        if isinstance(op, StoreOp):
            if op.memref in stored:
                return False
            stored[op.memref] = [index.substitute({variable: other}) for index in op.indices]
    loads = [op for op in reduction.body.block.ops if isinstance(op, LoadOp)]
    found = [load for load in loads if load.memref in stored]
    return bool(found) and all(list(op.indices) == stored[op.memref] for op in found)


def _has_whole_lines(loop: ParallelOp) -> bool:
    """Whether all rows that a loop stores begin where lines of the cache begin."""
    for op in loop.body.block.ops:
        if isinstance(op, StoreOp):
            place = place_in(op)
            row = None if place is None else place.substitute({loop.dims[0].variable: 0})
            if row is None or not begins_on_lines(row, item_bytes(op)):
                return False
    return True


def _rows_around(op: Operation) -> int:
    """How often the parallel loops around run together; a loop that nobody knows counts once."""
    facts = LoopFacts()
    trips: list[int] = []
    around = op.parent_op()
    while around is not None:
        if isinstance(around, ParallelOp):
            trips += [facts.trips(dim) or 1 for dim in around.dims]
        around = around.parent_op()
    return prod(trips)


def merge(loop: ParallelOp, reduction: ReduceOp) -> None:
    """Let a reduction do what the loop before it does, and take from it what it has stored."""
    loop.dims[0].variable.replace_all_uses_with(reduction.dims[0].variable)
    ops = take_ops(loop.body.block)
    ops.pop().erase()
    first = reduction.body.block.first_op
    assert first is not None
    values = {op.memref: op.value for op in ops if isinstance(op, StoreOp)}
    Rewriter.insert_op(ops, InsertPoint.before(first))
    for op in list(reduction.body.block.ops):
        if isinstance(op, LoadOp) and op not in ops and op.memref in values:
            Rewriter.replace_op(op, [], [values[op.memref]])
    loop.detach()
    loop.erase()
