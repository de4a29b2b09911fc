"""Let threads share the outermost parallel loops that are worth it.

Before:

```mlir
builtin.module {
  loop.kernel @scale(%x: memref<4096x512xf32>, %y: memref<4096x512xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (4096, 512) step (1, 16) {
      %v = loop.load %x[%i, %j + t0] : memref<4096x512xf32> to vector<16xf32>
      %w = arith.addf %v, %v : vector<16xf32>
      loop.store %w, %y[%i, %j + t0] : vector<16xf32>, memref<4096x512xf32>
    }
  }
}
```

Options: parallelize_loops{grain=20}

After:

```mlir
builtin.module {
  loop.kernel @scale(%x: memref<4096x512xf32>, %y: memref<4096x512xf32>) {
    loop.parallel %i_chunk = 0 to 4096 step 277 mapping threads {
      loop.parallel (%i, %j) = (%i_chunk, 0) to (min(%i_chunk + 277, 4096), 512) step (1, 16) {
        %v = loop.load %x[%i, %j + t0] : memref<4096x512xf32> to vector<16xf32>
        %w = arith.addf %v, %v : vector<16xf32>
        loop.store %w, %y[%i, %j + t0] : vector<16xf32>, memref<4096x512xf32>
      }
    }
  }
}
```

Requires: nothing, but the work of a loop is only known well once it is vectorized.

Does not: look at the number of threads. Chunks are cut by the shape of the loop; the cores of the
target count only where two loops of a nest could be shared. Either way the same additions happen in
the same order whoever runs them, and results are equal at any pool size. It maps no loop inside a
loop that threads share already, and no reduction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import math
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation

from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import (
    Dim,
    IfOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    tile_shape,
)
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.polynomials.formulas import FORMULAS
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels, replace_op, substitute_indices, take_ops
from picograd.passes.schedule.choices import choices_for
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup

# Nanoseconds of one machine operation: two or so are done in a cycle, but a vector may come from
# the second or third cache. Only orders of magnitude matter here: whether a loop takes one, ten or
# a hundred microseconds.
_ARITHMETIC = 0.15
_MEMORY = 0.8
_LIBRARY_CALL = 5.0
_ITERATION = 0.5
_UNKNOWN_TRIPS = 16

ENOUGH_CHUNKS = 8
"""With fewer chunks than this a loop is not shared if a loop inside it offers more, unless all
cores get some, and as many."""


@dataclass(frozen=True)
class ParallelizeLoops(Pass):
    """Parallel loops with enough work become loops over chunks, mapped to threads.

    `serial_below` and `grain` are microseconds: the least work that is worth waking threads for,
    and the work of one chunk.
    """

    name = "parallelize_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    establishes: ClassVar[frozenset[str]] = frozenset({"parallelized"})

    grain: int = 20
    serial_below: int = 40
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        for kernel in kernels(op):
            if not any(_is_shared(inner) for inner in kernel.walk()):
                work = Work(target)
                grain = 1000.0 * (choices_for(kernel).grain or self.grain)
                for loop in list(self._worth_sharing(kernel.body.block, work)):
                    if applies(_share, loop):
                        _share(loop, work, grain)

    def _worth_sharing(self, block: Block, work: Work) -> Iterable[ParallelOp]:
        """The loops of a body that threads are to share, outermost where that gives enough."""
        for op in block.ops:
            if not isinstance(op, LoopOp | IfOp) or work.of(op) < 1000.0 * self.serial_below:
                continue
            inner = [
                loop
                for region in op.regions
                for inside in region.blocks
                for loop in self._worth_sharing(inside, work)
            ]
            if not isinstance(op, ParallelOp):
                yield from inner
            elif op.mapping is None:
                chunks = work.iterations(op)
                if _are_enough(chunks, work.cores) or (chunks > 1 and not inner):
                    yield op
                else:
                    yield from inner


def _are_enough(chunks: int, cores: int) -> bool:
    """Whether chunks, of which each core takes one after the other, keep all cores at work."""
    turns = -(-chunks // cores)
    return chunks >= ENOUGH_CHUNKS or (cores > 1 and turns > 1 and 10 * chunks >= 9 * cores * turns)


class Work:
    """Estimated nanoseconds of operations, remembered."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.cores = target.cores
        self._facts = LoopFacts()
        self._known: dict[Operation, float] = {}

    def trips(self, dim: Dim) -> int:
        """How often a dimension runs, at most."""
        trips = self._facts.trips(dim)
        return _UNKNOWN_TRIPS if trips is None else trips

    def iterations(self, op: LoopOp) -> int:
        """How often the body of a loop runs, at most."""
        count = 1
        for dim in op.dims:
            count *= self.trips(dim)
        return count

    def of(self, op: Operation) -> float:
        """The work of one run of an operation."""
        if op not in self._known:
            self._known[op] = self._estimate(op)
        return self._known[op]

    def body(self, op: LoopOp) -> float:
        """The work of one iteration of a loop."""
        return _ITERATION + sum(self.of(inner) for inner in op.body.block.ops)

    def _estimate(self, op: Operation) -> float:
        if isinstance(op, LoopOp):
            return self.iterations(op) * self.body(op)
        if isinstance(op, IfOp):
            branches = (op.then.block, op.otherwise.block)
            return max(sum(self.of(inner) for inner in branch.ops) for branch in branches)
        if isinstance(op, YieldOp):
            return 0.0
        values = op.results or op.operands[:1]
        parts, elements = 1, 1
        for value in values:
            shape = tile_shape(value.type)
            lanes = self._target.lanes(32)
            leading = 1
            for size in shape[:-1]:
                leading *= size
            parts = leading * (-(-shape[-1] // lanes) if shape else 1)
            elements = leading * (shape[-1] if shape else 1)
        if isinstance(op, LoadOp | StoreOp):
            return parts * _MEMORY
        if type(op) in FORMULAS:
            return elements * _LIBRARY_CALL
        return parts * (20 if isinstance(op, math.RsqrtOp) else 1) * _ARITHMETIC


def _is_shared(op: Operation) -> bool:
    return isinstance(op, ParallelOp) and op.mapping == StringAttr("threads")


def _share(op: ParallelOp, work: Work, grain: float) -> None:
    """Map a loop to threads; iterations much smaller than the grain go together in chunks.

    The outermost dimensions that give enough chunks are the ones shared, the last of them in
    chunks; the others stay inside.
    """
    dims = op.dims
    trips = [work.trips(dim) for dim in dims]
    kept, chunks = 1, trips[0]
    while chunks < ENOUGH_CHUNKS and kept < len(dims):
        chunks *= trips[kept]
        kept += 1
    inside = work.body(op)
    for count in trips[kept:]:
        inside *= count
    last = trips[kept - 1]
    group = max(1, min(int(grain / inside), last // max(1, -(-ENOUGH_CHUNKS * last // chunks))))
    if group == 1 and kept == len(dims):
        op.properties["mapping"] = StringAttr("threads")
        return
    _split(op, kept, group)


def _split(op: ParallelOp, kept: int, group: int) -> None:
    """A loop for threads over the first dimensions, and a loop over what is left in its body."""
    dims = op.dims
    old = dims[kept - 1]
    outer_dims = [*dims[: kept - 1], replace(old, step=old.step * group, name=f"{old.name}_chunk")]
    outer = ParallelOp([replace(dim, iv=None) for dim in outer_dims], "threads")
    variables = outer.induction_variables
    replacements: dict[Leaf, LinearLike] = {
        dim.variable: variables[number] for number, dim in enumerate(dims[: kept - 1])
    }
    inner_dims = list(dims[kept:])
    if group > 1:
        start = Linear.of(variables[kept - 1])
        uppers = (start + old.step * group, *old.uppers)
        inner_dims.insert(0, replace(old, lower=start, uppers=uppers))
    else:
        replacements[old.variable] = variables[kept - 1]
    inner = ParallelOp([replace(dim, iv=None) for dim in inner_dims])
    inner_variables = inner.induction_variables
    replacements |= {
        dim.variable: variable for dim, variable in zip(inner_dims, inner_variables, strict=True)
    }
    body = inner.body.block
    body.add_ops(take_ops(op.body.block))
    substitute_indices(body, replacements)
    outer.body.block.add_ops([inner, YieldOp()])
    replace_op(op, [outer], [])
