"""Run kernels that hand each other parts of buffers together, a part at a time.

Before:

```mlir
builtin.module {
  loop.kernel @outer(%x: memref<64x128xf32>, %h: memref<64x128x128xf32>) {
    loop.parallel (%b, %i, %j) = (0, 0, 0) to (64, 128, 128) {
      %v = loop.load %x[%b, %i] : memref<64x128xf32>
      %w = loop.load %x[%b, %j] : memref<64x128xf32>
      %p = arith.mulf %v, %w : f32
      loop.store %p, %h[%b, %i, %j] : f32, memref<64x128x128xf32>
    }
  }
  loop.kernel @sum(%a: memref<64x128x128xf32>, %y: memref<64x128xf32>) {
    loop.parallel (%n, %j) = (0, 0) to (64, 128) {
      %s = loop.reduce add %i = 0 to 128 : f32 {
        %v = loop.load %a[%n, %i, %j] : memref<64x128x128xf32>
        loop.yield %v : f32
      }
      loop.store %s, %y[%n, %j] : f32, memref<64x128xf32>
    }
  }
  func.func @main(%x: memref<64x128xf32>, %y: memref<64x128xf32> {buffer.output}) {
    %arena = buffer.arena : memref<4194304xi8>
    %h = buffer.place %arena at 0 : memref<4194304xi8> to memref<64x128x128xf32>
    loop.launch @outer(%x, %h) : memref<64x128xf32>, memref<64x128x128xf32>
    loop.launch @sum(%h, %y) : memref<64x128x128xf32>, memref<64x128xf32>
    func.return
  }
}
```

Options: merge_launches{most=65536 target="cpu:cores=2"}

After:

```mlir
builtin.module {
  loop.kernel @outer_sum(%x: memref<64x128xf32>, %y: memref<64x128xf32>) {
    loop.parallel %b = 0 to 64 {
      %h = loop.alloc : memref<128x128xf32, "packed">
      loop.parallel (%i, %j) = (0, 0) to (128, 128) {
        %v = loop.load %x[%b, %i] : memref<64x128xf32>
        %w = loop.load %x[%b, %j] : memref<64x128xf32>
        %p = arith.mulf %v, %w : f32
        loop.store %p, %h[%i, %j] : f32, memref<128x128xf32, "packed">
      }
      loop.parallel %j_1 as j = 0 to 128 {
        %s = loop.reduce add %i_1 as i = 0 to 128 : f32 {
          %v_1 = loop.load %h[%i_1, %j_1] : memref<128x128xf32, "packed">
          loop.yield %v_1 : f32
        }
        loop.store %s, %y[%b, %j_1] : f32, memref<64x128xf32>
      }
    }
  }
  func.func @main(%x: memref<64x128xf32>, %y: memref<64x128xf32> {buffer.output}) {
    %arena = buffer.arena : memref<0xi8>
    loop.launch @outer_sum(%x, %y) {launches = array<i64: 0, 1>} : memref<64x128xf32>, memref<64x128xf32>
    func.return
  }
}
```

What is handed on stays in the second cache. A buffer that nobody else reads is one part long, and
the arena is planned again without it. The note `launches` says which launches, in their old order,
a new one stands for.

Requires: nothing.

Does not: share loops that a product needs to use its operands again and again (one of its operands
would not depend on them), or those whose iterations share cache lines; merge kernels whose loops
are mapped already, or that do something beside one nest of loops; anything for a GPU.

Source: loop fusion with array contraction (Gao, Olsen, Sarkar, Thekkath, "Collective Loop Fusion
for Array Contraction", 1992).
"""  # noqa: E501

from __future__ import annotations

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects import buffer
from picograd.dialects.loop import LaunchOp
from picograd.passes.base import Level, Pass
from picograd.passes.loops.launch_groups import groups_of
from picograd.passes.loops.launch_numbers import LAUNCHES, launch_numbers
from picograd.passes.loops.merged_kernels import MergedKernels
from picograd.passes.loops.shared_loops import Group, Limits
from picograd.passes.plan_buffers import plan_again
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class MergeLaunches(Pass):
    """Merge launches that hand each other `least` to `most` bytes in an iteration of shared loops.

    Half of the target's second cache is the most anyway, and each core gets an iteration.
    """

    name: ClassVar[str] = "merge_launches"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    least: int = 1 << 14
    most: int = 1 << 30
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        if target.kind == "gpu":
            return
        limits = Limits(self.least, min(self.most, target.l2_bytes // 2), target.cores)
        for main in [inner for inner in op.ops if isinstance(inner, FuncOp)]:
            if main.is_declaration or _arenas(main) > 1:
                continue
            made = MergedKernels(op)
            merged = False
            for group in groups_of(op, main, limits):
                if applies(merge, group.nests[0].launch):
                    merge(group, made, main)
                    merged = True
            if merged:
                _drop_unused(op, main)
                plan_again(main, target)


def _arenas(main: FuncOp) -> int:
    return sum(isinstance(op, buffer.ArenaOp) for op in main.body.block.ops)


def merge(group: Group, made: MergedKernels, main: FuncOp) -> None:
    """Put one launch in the place of those of a group."""
    kernel, values = made.kernel_of(group)
    numbers = launch_numbers(main)
    launch = LaunchOp(kernel.sym_name.data, values)
    stands_for = [number for nest in group.nests for number in numbers[nest.launch]]
    launch.attributes[LAUNCHES] = DenseArrayBase.from_list(i64, stands_for)
    Rewriter.insert_op(launch, InsertPoint.before(group.nests[-1].launch))
    for nest in group.nests:
        Rewriter.erase_op(nest.launch)


def _drop_unused(module: ModuleOp, main: FuncOp) -> None:
    """Erase buffers and kernels that nobody needs any more."""
    for op in list(main.body.block.ops):
        if isinstance(op, buffer.AllocOp | buffer.PlaceOp) and not op.result.uses.get_length():
            Rewriter.erase_op(op)
    launched = {op.kernel.root_reference.data for op in module.walk() if isinstance(op, LaunchOp)}
    for kernel in kernels(module):
        if kernel.sym_name.data not in launched:
            Rewriter.erase_op(kernel)
