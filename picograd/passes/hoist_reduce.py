"""Move the outer blocks of a reduction outside the parallel loops around it.

Before:

```mlir
builtin.module {
  loop.kernel @rows(%x: memref<4x6xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %sum = loop.reduce add %k0 = 0 to 6 step 3 : f32 {
        %part = loop.reduce add %k = %k0 to %k0 + 3 : f32 {
          %v = loop.load %x[%i, %k] : memref<4x6xf32>
          loop.yield %v : f32
        }
        loop.yield %part : f32
      }
      loop.store %sum, %y[%i] : f32, memref<4xf32>
    }
  }
}
```

Options: hoist_reduce{loop="k0" above="i"}

After:

```mlir
builtin.module {
  loop.kernel @rows(%x: memref<4x6xf32>, %y: memref<4xf32>) {
    loop.for %k0 = 0 to 6 step 3 {
      loop.parallel %i = 0 to 4 {
        %sum = loop.if -%k0 >= 0 : f32 {
          %0 = arith.constant 0.000000e+00 : f32
          loop.yield %0 : f32
        } else {
          %1 = loop.load %y[%i] : memref<4xf32>
          loop.yield %1 : f32
        }
        %part = loop.reduce add %k = %k0 to %k0 + 3 init %sum : f32 {
          %v = loop.load %x[%i, %k] : memref<4x6xf32>
          loop.yield %v : f32
        }
        loop.if %k0 - 3 >= 0 {
          loop.store %part, %y[%i] : f32, memref<4xf32>
        } else {
          loop.store %part, %y[%i] : f32, memref<4xf32>
        }
      }
    }
  }
}
```

Between its blocks the running value waits in memory: in the output, if the nest stores the value's
type exactly there, else in a local buffer. What comes after the reduction runs in the last block.

Requires: a reduction over one dimension with a named combiner, that surely runs, in a perfect nest
of parallel loops on which its bounds do not depend. Without options, the reductions that tiling
has blocked are moved as far as the facts of `target` advise.

Does not: block a reduction (tile_loops does), choose what becomes of the parallel loops, or move
anything above loops that map_to_grid has given to a GPU's threads: it comes before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    Dim,
    ForOp,
    IfOp,
    KernelOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    combine,
    identity,
    tile_rank,
    yielded,
)
from picograd.errors import OptionError, PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    check_names,
    copy_hint,
    inner_first,
    insert_before,
    is_pure,
    kernels,
    take_ops,
)
from picograd.passes.schedule.choose_tiles import accumulator_space, hoist_target
from picograd.passes.schedule.waiting_place import waiting_place
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class HoistReduce(Pass):
    """`loop` names the reduction's dimension, `above` the outermost parallel loop that it passes.

    `space` forces the running value into a local buffer of that memory space.
    """

    name: ClassVar[str] = "hoist_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    loop: str = ""
    above: str = ""
    space: str = ""
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if bool(self.loop) != bool(self.above):
            raise OptionError(
                "hoist_reduce needs both loop and above, or neither",
                code="PG703",
                expected='for example hoist_reduce{loop="k0" above="i0"}',
                found=f"loop={self.loop!r} above={self.above!r}",
                hint="name both loops, or neither to let the pass choose",
            )
        check_names("hoist_reduce", [name for name in (self.loop, self.above) if name], op)
        target = lookup(self.target)
        for kernel in kernels(op):
            for reduction in inner_first(kernel, ReduceOp):
                if self.loop:
                    self.hoist_named(kernel, reduction)
                    continue
                above = hoist_target(reduction, target)
                if above is not None:
                    nest = nest_between(reduction, above)
                    if nest and obstacle(reduction, nest) is None and applies(hoist, reduction):
                        hoist(kernel, reduction, nest, self.space or accumulator_space(target))

    def hoist_named(self, kernel: KernelOp, reduction: ReduceOp) -> None:
        if [dim.name for dim in reduction.dims] != [self.loop]:
            return
        above = reduction.parent_op()
        while above is not None and not _is_parallel_over(above, self.above):
            above = above.parent_op()
        nest = nest_between(reduction, above) if isinstance(above, ParallelOp) else []
        reason = obstacle(reduction, nest) if nest else "is in no perfect nest of parallel loops"
        if reason is not None:
            raise PassError(
                f"hoist_reduce cannot move {self.loop!r} above {self.above!r}: the reduction "
                f"{reason}",
                code="PG709",
                expected="a reduction that stands alone in the parallel loops around it",
                found=f"the reduction over {self.loop!r} in @{kernel.sym_name.data}",
                hint="tile the reduction first, move it above fewer loops, and before map_to_grid",
            )
        if applies(hoist, reduction):
            hoist(kernel, reduction, nest, self.space)


def _is_parallel_over(op: Operation, name: str) -> bool:
    return isinstance(op, ParallelOp) and any(dim.name == name for dim in op.dims)


def nest_between(reduction: ReduceOp, above: ParallelOp) -> list[ParallelOp]:
    """The perfect nest of parallel loops from `above` to the reduction; [] if there is none."""
    inner = reduction.parent_op()
    if not isinstance(inner, ParallelOp):
        return []
    nest = [inner]
    while nest[0] is not above:
        parent = nest[0].parent_op()
        if not isinstance(parent, ParallelOp) or len(parent.body.block.ops) != 2:
            return []
        nest.insert(0, parent)
    return nest


def obstacle(reduction: ReduceOp, nest: Sequence[ParallelOp]) -> str | None:
    """Why a reduction cannot move outside a nest; None if it can."""
    dims = reduction.dims
    if any(mapping_of(loop) in ("grid", "workgroup") for loop in nest):
        return "lies in loops that are mapped to a GPU's threads already"
    if reduction.kind is None or len(dims) != 1 or tile_rank(reduction.outputs[0].type):
        return "has several values or dimensions, or reduces tiles"
    if len(dims[0].uppers) != 1:
        return "has several upper bounds, so that its last block is not known"
    inside = {variable for loop in nest for variable in loop.induction_variables}
    if (dims[0].lower.values() | dims[0].uppers[0].values()) & inside:
        return "has bounds that depend on the parallel loops"
    if not LoopFacts().runs(dims[0]):
        return "may have no iterations at all"
    for op in _before(reduction):
        movable = isinstance(op, LoadOp) or is_pure(op)
        if op.regions or not movable:
            return f"comes after {op.name}, which would run again for each block"
    read = {op.memref for op in _before(reduction) if isinstance(op, LoadOp)}
    read |= {op.memref for op in reduction.walk() if isinstance(op, LoadOp)}
    if any(isinstance(op, StoreOp) and op.memref in read for op in nest[0].walk()):
        return "reads what the nest writes"
    if any(isinstance(op, StoreOp) for op in reduction.walk()):
        return "stores on the way"
    return None


def _before(reduction: ReduceOp) -> list[Operation]:
    block = reduction.parent_block()
    assert block is not None
    ops = list(block.ops)
    return ops[: ops.index(reduction)]


def hoist(kernel: KernelOp, reduction: ReduceOp, nest: Sequence[ParallelOp], space: str) -> None:
    """Move a reduction outside a nest that has no obstacle."""
    block = nest[-1].body.block
    top = nest[0]
    (dim,) = reduction.dims
    memory, indices = waiting_place(kernel, reduction, nest, space)
    sequence = ForOp(Dim(dim.lower, dim.uppers, dim.step, dim.name))
    counter = sequence.body.block.args[0]
    start = _start(reduction, dim.lower - counter, memory, indices)
    dim.variable.replace_all_uses_with(counter)
    rest = list(block.ops)
    after = rest[rest.index(reduction) + 1 : -1]
    total, steps = _one_step(reduction, start.outputs[0])
    reduction.outputs[0].replace_all_uses_with(total)
    for op in after:
        op.detach()
    last = IfOp(
        Linear.of(counter) + dim.step - dim.uppers[0],
        then=Block([*after, YieldOp()]),
        otherwise=Block([StoreOp(total, memory, indices), YieldOp()]),
    )
    insert_before(reduction, [start, *steps, last])
    reduction.detach()
    reduction.erase()
    insert_before(top, [sequence])
    top.detach()
    sequence.body.block.add_ops([top, YieldOp()])


def _start(reduction: ReduceOp, first: Linear, memory: SSAValue, indices: Sequence[Linear]) -> IfOp:
    """The value with which a block starts: the initial value in the first, else what waits."""
    if reduction.inits:
        initial = Block([YieldOp(reduction.inits[0])])
    else:
        assert reduction.kind is not None
        zero = identity(reduction.kind.data, reduction.outputs[0].type)
        initial = Block([zero, YieldOp(zero.result)])
    waiting = LoadOp(memory, indices)
    types = [reduction.outputs[0].type]
    start = IfOp(first, types, initial, Block([waiting, YieldOp(waiting.result)]))
    copy_hint(start.outputs[0], reduction.outputs[0])
    return start


def _one_step(reduction: ReduceOp, start: SSAValue) -> tuple[SSAValue, list[Operation]]:
    """The reduction's body as one step from a starting value; its result and its operations."""
    assert reduction.kind is not None
    kind = reduction.kind
    (value,) = yielded(reduction.body.block)
    ops = take_ops(reduction.body.block)
    ops.pop().erase()
    part = value.owner
    if isinstance(part, ReduceOp) and part.kind == kind and not part.inits and part in ops:
        started = ReduceOp(kind.data, part.dims, [value.type], [start], part.body.detach_block(0))
        total = copy_hint(started.outputs[0], value)
        value.replace_all_uses_with(total)
        ops[ops.index(part)] = started
        part.erase()
        return total, ops
    combined = combine(kind.data, start, value)
    return combined.results[0], [*ops, combined]
