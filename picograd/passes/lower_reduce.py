"""Turn reductions into sequential loops that carry the running values, and a*b + c into fma.

Before:

```mlir
builtin.module {
  loop.kernel @dot(%x: memref<8xf32>, %w: memref<8xf32>, %y: memref<1xf32>) {
    %sum = loop.reduce add %k = 0 to 8 : f32 {
      %a = loop.load %x[%k] : memref<8xf32>
      %b = loop.load %w[%k] : memref<8xf32>
      %p = arith.mulf %a, %b : f32
      loop.yield %p : f32
    }
    loop.store %sum, %y[0] : f32, memref<1xf32>
  }
}
```

Options: lower_reduce{target="cpu:fma=true"}

After:

```mlir
builtin.module {
  loop.kernel @dot(%x: memref<8xf32>, %w: memref<8xf32>, %y: memref<1xf32>) {
    %sum = arith.constant 0.000000e+00 : f32
    %sum_1 = loop.for %k = 0 to 8 carry (%so_far = %sum : f32) {
      %a = loop.load %x[%k] : memref<8xf32>
      %b = loop.load %w[%k] : memref<8xf32>
      %0 = math.fma %a, %b, %so_far : f32
      loop.yield %0 : f32
    }
    loop.store %sum_1, %y[0] : f32, memref<1xf32>
  }
}
```

A reduction over several dimensions becomes nested loops; a combiner region becomes part of the
body. The order is that of the loops: this is where a reduction stops being free of order.

Requires: nothing. `target` says whether the machine has a fused multiply-add.

Does not: vectorize; a reduction that is still scalar here stays scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.loop import (
    BroadcastOp,
    ForOp,
    ParallelOp,
    ReduceKind,
    ReduceOp,
    YieldOp,
    combine,
    identity,
    loop_block,
    tile_rank,
    tile_shape,
    yielded,
)
from picograd.dialects.loop_nests import REPEAT
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.jam import jam, only_loop
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import copy_hint, inner_first, kernels, replace_op, take_ops
from picograd.passes.schedule.choices import choices_for
from picograd.passes.schedule.repeats import repeats
from picograd.passes.schedule.row_blocks import rows_at_once
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup


@dataclass(frozen=True)
class LowerReduce(Pass):
    """`target` names the machine whose fused multiply-add, if it has one, is used.

    `repeat` is how often to write out the body of each loop; 0 chooses by the length of the body.
    `rows` is how many iterations of a parallel loop share the one loop inside; 0 chooses.
    """

    name: ClassVar[str] = "lower_reduce"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    establishes: ClassVar[frozenset[str]] = frozenset({"reductions_lowered"})

    repeat: int = 0
    rows: int = 0
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if min(self.repeat, self.rows) < 0:
            raise OptionError(
                "lower_reduce cannot repeat a body so often",
                code="PG703",
                expected="0 or more",
                found=min(self.repeat, self.rows),
                hint="pass how often to write a loop's body out, or 0 to let the pass choose",
            )
        target = lookup(self.target)
        for kernel in kernels(op):
            for reduction in inner_first(kernel, ReduceOp):
                if applies(lower, reduction):
                    lower(reduction, target, self.repeat or choices_for(kernel).repeat)
            for loop in inner_first(kernel, ParallelOp):
                self.share(loop, target)

    def share(self, loop: ParallelOp, target: Target) -> None:
        """Let rows share the loop that reduces each of them, if it pays and can be."""
        inner = only_loop(loop)
        if inner is None:
            return
        chosen = choices_for(loop)
        rows = self.rows or chosen.streams or rows_at_once(loop, inner, target)
        if 1 < rows <= (loop.dims[-1].extent or 0) and applies(jam, loop):
            shared = jam(loop, rows)
            shared.attributes.pop(REPEAT, None)
            note_repeats(shared, self.repeat or chosen.repeat or repeats(shared, target))


def lower(op: ReduceOp, target: Target, repeat: int) -> None:
    """Replace one reduction by nested sequential loops."""
    before, inits = _start(op)
    loops: list[ForOp] = []
    dims = op.dims
    carried: Sequence[SSAValue] = inits
    for dim in dims:
        block = loop_block([dim.name], [value.type for value in inits])
        loop = ForOp(replace(dim, iv=None), carried, block)
        for argument in loop.carried:
            argument.name_hint = "so_far"
        dim.variable.replace_all_uses_with(loop.body.block.args[0])
        loops.append(loop)
        carried = loop.carried
    innermost = loops[-1].body.block
    values = yielded(op.body.block)
    body = take_ops(op.body.block)
    body.pop().erase()
    innermost.add_ops(body)
    combined = _combine(op, carried, values, innermost, fma=target.fma)
    innermost.add_op(YieldOp(*combined))
    note_repeats(loops[-1], repeat or repeats(loops[-1], target))
    for outer, inner in pairwise(loops):
        outer.body.block.add_ops([inner, YieldOp(*inner.outputs)])
    loops[0].attributes |= op.attributes
    for new, old in zip(loops[0].outputs, op.outputs, strict=True):
        copy_hint(new, old)
    replace_op(op, [*before, loops[0]], loops[0].outputs)


def note_repeats(loop: ForOp, times: int) -> None:
    """Ask the code generator to write out a loop's body so many times."""
    if times > 1:
        loop.attributes[REPEAT] = IntegerAttr(times, i64)


def _start(op: ReduceOp) -> tuple[list[Operation], Sequence[SSAValue]]:
    """The values with which a reduction starts, and the operations that make them."""
    if op.inits:
        return [], op.inits
    if op.kind is None:
        return [], op.identities
    type = op.outputs[0].type
    constant = identity(op.kind.data, type)
    if not tile_rank(type):
        return [constant], [constant.result]
    spread = BroadcastOp(constant.result, range(tile_rank(type)), tile_shape(type))
    return [constant, spread], [spread.result]


def _combine(
    op: ReduceOp,
    carried: Sequence[SSAValue],
    values: Sequence[SSAValue],
    block: Block,
    *,
    fma: bool,
) -> Sequence[SSAValue]:
    """Add to a body what combines the running values with those of one iteration."""
    if op.kind is None:
        assert op.combiner is not None
        combiner = op.combiner.block
        for argument, value in zip(combiner.args, [*carried, *values], strict=True):
            argument.replace_all_uses_with(value)
        results = yielded(combiner)
        ops = take_ops(combiner)
        ops.pop().erase()
        block.add_ops(ops)
        return results
    (value,) = values
    product = value.owner
    if (
        fma
        and op.kind.data == ReduceKind.ADD
        and isinstance(product, arith.MulfOp)
        and product.parent_block() is block
        and value.uses.get_length() == 0
    ):
        fused = math.FmaOp(product.lhs, product.rhs, carried[0])
        block.add_op(fused)
        product.detach()
        product.erase()
        return [fused.result]
    added = combine(op.kind.data, carried[0], value)
    block.add_op(added)
    return added.results
