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
target count only where two loops of a nest could be shared. Two with nothing between them, of which
neither has enough iterations, are shared as one. Either way the same additions happen in
the same order whoever runs them, and results are equal at any pool size. It maps no loop inside a
loop that threads share already, and no reduction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation

from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import IfOp, LoopOp, ParallelOp, YieldOp
from picograd.passes.base import Level, Pass
from picograd.passes.loops.work import Work
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels, replace_op, substitute_indices, take_ops
from picograd.passes.schedule.choices import choices_for
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup

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
                for loops in list(self._worth_sharing(kernel.body.block, work)):
                    if applies(_share, loops[0]):
                        _share(_as_one(loops), work, grain)

    def _worth_sharing(self, block: Block, work: Work) -> Iterable[Sequence[ParallelOp]]:
        """The loops of a body that threads are to share, outermost where that gives enough.

        Loops with nothing between them, which are to be shared as one, come together.
        """
        for op in block.ops:
            if not isinstance(op, LoopOp | IfOp) or work.of(op) < 1000.0 * self.serial_below:
                continue
            inner = [
                loops
                for region in op.regions
                for inside in region.blocks
                for loops in self._worth_sharing(inside, work)
            ]
            if not isinstance(op, ParallelOp):
                yield from inner
            elif op.mapping is None:
                chunks = work.iterations(op)
                together = _enough_together(op, work)
                if together:
                    yield together
                elif chunks > 1 and not inner:
                    yield [op]
                else:
                    yield from inner


def _enough_together(op: ParallelOp, work: Work) -> Sequence[ParallelOp]:
    """A loop, and as many of those inside with nothing between as give enough chunks; or none."""
    loops, chunks = [op], work.iterations(op)
    while not _are_enough(chunks, work.cores):
        inner = _only_loop(loops[-1])
        if inner is None or any(
            bound.values() & set(loop.induction_variables)
            for loop in loops
            for dim in inner.dims
            for bound in (dim.lower, *dim.uppers)
        ):
            return ()
        loops.append(inner)
        chunks *= work.iterations(inner)
    return loops


def _only_loop(op: ParallelOp) -> ParallelOp | None:
    """The parallel loop that is all of a loop's body."""
    ops = [inner for inner in op.body.block.ops if not isinstance(inner, YieldOp)]
    (first,) = ops if len(ops) == 1 else (None,)
    return first if isinstance(first, ParallelOp) and first.mapping is None else None


def _as_one(loops: Sequence[ParallelOp]) -> ParallelOp:
    """Loops with nothing between them as one loop with all their dimensions."""
    if len(loops) == 1:
        return loops[0]
    dims = [dim for loop in loops for dim in loop.dims]
    new = ParallelOp([replace(dim, iv=None) for dim in dims])
    variables: dict[Leaf, LinearLike] = {
        dim.variable: variable for dim, variable in zip(dims, new.induction_variables, strict=True)
    }
    body = new.body.block
    body.add_ops(take_ops(loops[-1].body.block))
    substitute_indices(body, variables)
    replace_op(loops[0], [new], [])
    return new


def _are_enough(chunks: int, cores: int) -> bool:
    """Whether chunks, of which each core takes one after the other, keep all cores at work."""
    turns = -(-chunks // cores)
    return chunks >= ENOUGH_CHUNKS or (cores > 1 and turns > 1 and 10 * chunks >= 9 * cores * turns)


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
