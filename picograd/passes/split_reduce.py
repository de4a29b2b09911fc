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

Requires: nothing.

Does not: touch reductions inside of loops (which have work for all threads if they are long), such
as write memory, or those whose results are tiles already; kernels with loops that are mapped to
threads already. On a GPU map_to_grid does the like for workgroups.

Source: two-stage reductions, as PyTorch's and Kokkos's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    AllocOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    constant_dim,
    tile_rank,
)
from picograd.passes.base import Level, Pass
from picograd.passes.mapping.reductions import copy_reduction, reduction_of_parts
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import clone_body, kernels, replace_op, substitute_indices

# Elements: chunks of whole vectors and cache lines.
_EVEN = 64

MOST_PARTS = 256
"""They lie on the stack, and one thread reduces them."""


@dataclass(frozen=True)
class SplitReduce(Pass):
    """Reductions of at least `shortest` elements become chunks of `chunk` or a little less.

    Chunks are longer where there would be more than MOST_PARTS of them.
    """

    name: ClassVar[str] = "split_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    chunk: int = 1 << 15
    shortest: int = 1 << 17

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            if any(isinstance(o, ParallelOp) and o.mapping is not None for o in kernel.walk()):
                continue  # it is decided already what runs where
            for reduction in list(kernel.body.block.ops):
                if isinstance(reduction, ReduceOp):
                    rows = self.rows_of_a_chunk(reduction)
                    if rows and applies(split, reduction):
                        split(reduction, rows)

    def rows_of_a_chunk(self, reduction: ReduceOp) -> int:
        """How many iterations of the outermost dimension to take at once; 0 to leave it whole."""
        if not all(dim.is_constant and dim.step == 1 for dim in reduction.dims):
            return 0
        outer, *inner = [dim.extent or 0 for dim in reduction.dims]
        row = prod(inner)
        if outer * row < self.shortest or any(isinstance(o, StoreOp) for o in reduction.walk()):
            return 0
        if any(tile_rank(result.type) for result in reduction.outputs):
            return 0  # memory holds elements
        rows = max(1, self.chunk // row, -(-outer // (MOST_PARTS - 1)))
        return _divisor_near(outer, rows, row) or (rows if 2 * rows <= outer else 0)


def _divisor_near(outer: int, rows: int, row: int) -> int:
    """What divides the outermost dimension, between half and twice the rows of a chunk.

    Without a chunk that is left over there is less code. 0 if nothing does.
    """
    counts = range(max(2, outer // (2 * rows)), min(MOST_PARTS, 2 * outer // rows) + 1)
    return max(
        (outer // n for n in counts if outer % n == 0 and outer // n * row % _EVEN == 0), default=0
    )


def split(reduction: ReduceOp, rows: int) -> None:
    """Reduce chunks of so many rows each, then the results."""
    outer = reduction.dims[0].extent or 0
    chunks, rest = divmod(outer, rows)
    count = chunks + (rest > 0)
    parts = [AllocOp((count,), result.type) for result in reduction.outputs]
    for part, result in zip(parts, reduction.outputs, strict=True):
        part.memref.name_hint = f"{result.name_hint or 'chunk'}_parts"
    memrefs = [part.memref for part in parts]
    stage = ParallelOp([constant_dim("chunk", chunks)])
    chunk = Linear.of(stage.induction_variables[0])
    shared = _part(reduction, chunk * rows, rows)
    stage.body.block.add_ops([shared, *_stores(shared, memrefs, chunk), YieldOp()])
    left: list[Operation] = []
    if rest:
        last = _part(reduction, Linear.of(chunks * rows), rest)
        left = [last, *_stores(last, memrefs, Linear.of(chunks))]
    root = reduction_of_parts(reduction, constant_dim("part", count), memrefs, reduction.inits)
    replace_op(reduction, [*parts, stage, *left, root], list(root.outputs))


def _part(reduction: ReduceOp, start: Linear, rows: int) -> ReduceOp:
    """The same reduction over `rows` iterations of the outermost dimension, from `start` on."""
    outer, *inner = reduction.dims
    dims = [replace(outer, lower=Linear.of(0), uppers=(Linear.of(rows),), iv=None), *inner]
    part = copy_reduction(reduction, dims, clone_body(reduction))
    variable = part.induction_variables[0]
    first = start + outer.lower
    substitute_indices(part.body.block, {variable: first + Linear.of(variable)})
    return part


def _stores(part: ReduceOp, memrefs: Sequence[SSAValue], place: Linear) -> list[StoreOp]:
    return [
        StoreOp(value, memref, [place]) for value, memref in zip(part.outputs, memrefs, strict=True)
    ]
