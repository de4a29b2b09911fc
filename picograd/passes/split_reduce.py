"""Cut a long reduction that few loops are around into parts that threads can share.

Before:

```mlir
builtin.module {
  loop.kernel @mean(%x: memref<11x64xf32>, %y: memref<f32>) {
    %sum = loop.reduce add (%i, %j) = (0, 0) to (11, 64) : f32 {
      %v = loop.load %x[%i, %j] : memref<11x64xf32>
      loop.yield %v : f32
    }
    %n = arith.constant 7.040000e+02 : f32
    %mean = arith.divf %sum, %n : f32
    loop.store %mean, %y[] : f32, memref<f32>
  }
}
```

Options: split_reduce{chunk=256 shortest=512}

After:

```mlir
builtin.module {
  loop.kernel @mean(%x: memref<11x64xf32>, %y: memref<f32>) {
    %sum_parts = loop.alloc : memref<3xf32, "stack">
    loop.parallel %chunk = 0 to 2 {
      %sum = loop.reduce add (%i, %j) = (0, 0) to (4, 64) : f32 {
        %v = loop.load %x[%chunk * 4 + %i, %j] : memref<11x64xf32>
        loop.yield %v : f32
      }
      loop.store %sum, %sum_parts[%chunk] : f32, memref<3xf32, "stack">
    }
    %sum_1 = loop.reduce add (%i, %j) = (0, 0) to (3, 64) : f32 {
      %v_1 = loop.load %x[%i + 8, %j] : memref<11x64xf32>
      loop.yield %v_1 : f32
    }
    loop.store %sum_1, %sum_parts[2] : f32, memref<3xf32, "stack">
    %sum_2 = loop.reduce add %part = 0 to 3 : f32 {
      %0 = loop.load %sum_parts[%part] : memref<3xf32, "stack">
      loop.yield %0 : f32
    }
    %n = arith.constant 7.040000e+02 : f32
    %mean = arith.divf %sum_2, %n : f32
    loop.store %mean, %y[] : f32, memref<f32>
  }
}
```

The chunks are equally long and cut by the shape alone, so that the result is the same on any number
of threads; what is left over, if anything, is a chunk of its own. Sums also become more accurate:
each part has fewer terms.

A reduction inside of a parallel loop at the top is cut where the loop leaves threads without work:
it has few iterations, or its iterations are the columns of a matrix whose rows are added to one
another, which is best read row by row. The chunks of all iterations come first; then the loop
reduces their results. What stands before the reduction is computed in both.

Requires: nothing.

Does not: touch reductions deeper inside of loops, or inside of those that have work for all
threads; such as write memory, or those whose results are tiles already; kernels with loops that
are mapped to threads already. On a GPU map_to_grid does the like for workgroups.

Source: two-stage reductions, as PyTorch's and Kokkos's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    AllocOp,
    Dim,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    constant_dim,
)
from picograd.passes.base import Level, Pass
from picograd.passes.mapping.reductions import copy_reduction, reduction_of_parts
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    clone_body,
    insert_before,
    kernels,
    replace_op,
    substitute_indices,
    take_ops,
)
from picograd.passes.schedule.reduce_chunks import rows_at_top, rows_in_nest
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class SplitReduce(Pass):
    """Reductions of at least `shortest` elements become chunks of `chunk` or a little less.

    Chunks are longer where there would be too many of them (`schedule/reduce_chunks.py`).
    """

    name: ClassVar[str] = "split_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    chunk: int = 1 << 15
    shortest: int = 1 << 17

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            if any(isinstance(o, ParallelOp) and o.mapping is not None for o in kernel.walk()):
                continue  # it is decided already what runs where
            for each in list(kernel.body.block.ops):
                if isinstance(each, ReduceOp):
                    rows = rows_at_top(each, self.chunk, self.shortest)
                    if rows and applies(split, each):
                        split(each, rows)
                elif isinstance(each, ParallelOp):
                    self.split_inside(each)

    def split_inside(self, loop: ParallelOp) -> None:
        """Split the reduction of a loop that has one."""
        reductions = [op for op in loop.body.block.ops if isinstance(op, ReduceOp)]
        if len(reductions) == 1:
            rows = rows_in_nest(loop, reductions[0], self.chunk, self.shortest)
            if rows and applies(split_nest, loop):
                split_nest(loop, reductions[0], rows)


def split(reduction: ReduceOp, rows: int) -> None:
    """Reduce chunks of so many rows each, then the results."""
    chunks, rest, memrefs, before = _parts_of(reduction, rows, ())
    stage = ParallelOp([constant_dim("chunk", chunks)])
    chunk = Linear.of(stage.induction_variables[0])
    shared = _part(reduction, chunk * rows, rows)
    stage.body.block.add_ops([shared, *_stores(shared, memrefs, [chunk]), YieldOp()])
    left: list[Operation] = []
    if rest:
        last = _part(reduction, Linear.of(chunks * rows), rest)
        left = [last, *_stores(last, memrefs, [Linear.of(chunks)])]
    dim = constant_dim("part", chunks + (rest > 0))
    root = reduction_of_parts(reduction, dim, memrefs, reduction.inits)
    replace_op(reduction, [*before, stage, *left, root], list(root.outputs))


def split_nest(loop: ParallelOp, reduction: ReduceOp, rows: int) -> None:
    """The same for each iteration of a loop: all chunks first, then the loop with their results."""
    inside = [dim.extent or 0 for dim in loop.dims]
    chunks, rest, memrefs, before = _parts_of(reduction, rows, inside)
    chunk = constant_dim(_name_beside(loop.dims), chunks)
    stages = [_stage(loop, reduction, memrefs, chunk, rows)]
    if rest:
        last = Dim(Linear.of(chunks), (Linear.of(chunks + 1),), 1, chunk.name)
        stages.append(_stage(loop, reduction, memrefs, last, rows, rest))
    insert_before(loop, [*before, *stages])
    dim = constant_dim("part", chunks + (rest > 0))
    places = [Linear.of(dim.variable) - dim.lower for dim in loop.dims]
    root = reduction_of_parts(reduction, dim, memrefs, reduction.inits, places)
    replace_op(reduction, [root], list(root.outputs))


def _name_beside(dims: Sequence[Dim]) -> str:
    """A name for chunks: a loop of chunks may be cut once more."""
    names = {dim.name for dim in dims}
    numbered = (f"chunk_{number}" for number in count(2))
    return next(name for name in chain(["chunk"], numbered) if name not in names)


def _stage(
    loop: ParallelOp,
    reduction: ReduceOp,
    memrefs: Sequence[SSAValue],
    chunk: Dim,
    rows: int,
    rest: int = 0,
) -> ParallelOp:
    """The chunks of a reduction in all iterations of the loop around it, or the `rest` of it."""
    alone = rest > 0
    dims = [replace(dim, iv=None) for dim in loop.dims]
    stage = ParallelOp(dims if alone else [chunk, *dims])
    variables = stage.induction_variables[0 if alone else 1 :]
    number = chunk.lower if alone else Linear.of(stage.induction_variables[0])
    at = list(loop.body.block.ops).index(reduction)
    body = clone_body(loop)
    ops = list(body.ops)
    for op in reversed(ops[at + 1 :]):
        op.detach()
        op.erase()
    whole = ops[at]
    assert isinstance(whole, ReduceOp)
    part = _part(whole, number * rows, rest or rows)
    replace_op(whole, [part], list(part.outputs))
    for op in reversed(ops[:at]):
        if not any(result.uses.get_length() for result in op.results):
            op.detach()
            op.erase()
    substitute_indices(body, dict(zip(body.args, map(Linear.of, variables), strict=True)))
    stage.body.block.add_ops(take_ops(body))
    places = [
        Linear.of(variable) - dim.lower for variable, dim in zip(variables, dims, strict=True)
    ]
    stage.body.block.add_ops([*_stores(part, memrefs, [number, *places]), YieldOp()])
    return stage


def _parts_of(
    reduction: ReduceOp, rows: int, inside: Sequence[int]
) -> tuple[int, int, list[SSAValue], list[Operation]]:
    """How many whole chunks there are, the rows that are left, and memory for their results."""
    chunks, rest = divmod(reduction.dims[0].extent or 0, rows)
    shape = (chunks + (rest > 0), *inside)
    parts = [AllocOp(shape, result.type) for result in reduction.outputs]
    for part, result in zip(parts, reduction.outputs, strict=True):
        part.memref.name_hint = f"{result.name_hint or 'chunk'}_parts"
    return chunks, rest, [part.memref for part in parts], [*parts]


def _part(reduction: ReduceOp, start: Linear, rows: int) -> ReduceOp:
    """The same reduction over `rows` iterations of the outermost dimension, from `start` on."""
    outer, *inner = reduction.dims
    dims = [replace(outer, lower=Linear.of(0), uppers=(Linear.of(rows),), iv=None), *inner]
    part = copy_reduction(reduction, dims, clone_body(reduction))
    variable = part.induction_variables[0]
    first = start + outer.lower
    substitute_indices(part.body.block, {variable: first + Linear.of(variable)})
    return part


def _stores(part: ReduceOp, memrefs: Sequence[SSAValue], place: Sequence[Linear]) -> list[StoreOp]:
    return [
        StoreOp(value, memref, place) for value, memref in zip(part.outputs, memrefs, strict=True)
    ]
