"""Place all intermediates in one arena, so that those which never live together share memory.

Before:

```mlir
func.func @main(%x: memref<20xf32>, %y: memref<20xf32> {buffer.output}) {
  %a = buffer.alloc : memref<20xf32>
  %b = buffer.alloc : memref<20xf32>
  %c = buffer.alloc : memref<20xf32>
  buffer.kernel "exp" reads(%i = %x : memref<20xf32>) writes(%o = %a : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary exp %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "sin" reads(%i = %a : memref<20xf32>) writes(%o = %b : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary sin %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "neg" reads(%i = %b : memref<20xf32>) writes(%o = %c : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary neg %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "abs" reads(%i = %c : memref<20xf32>) writes(%o = %y : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary abs %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  func.return
}
```

After:

```mlir
func.func @main(%x: memref<20xf32>, %y: memref<20xf32> {buffer.output}) {
  %arena = buffer.arena : memref<256xi8>
  %a = buffer.place %arena at 0 : memref<256xi8> to memref<20xf32>
  %b = buffer.place %arena at 128 : memref<256xi8> to memref<20xf32>
  %c = buffer.place %arena at 0 : memref<256xi8> to memref<20xf32>
  buffer.kernel "exp" reads(%i = %x : memref<20xf32>) writes(%o = %a : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary exp %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "sin" reads(%i = %a : memref<20xf32>) writes(%o = %b : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary sin %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "neg" reads(%i = %b : memref<20xf32>) writes(%o = %c : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary neg %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  buffer.kernel "abs" reads(%i = %c : memref<20xf32>) writes(%o = %y : memref<20xf32>) {
    %t = buffer.read %i : memref<20xf32> -> tensor<20xf32>
    %u = pico.unary abs %t : tensor<20xf32>
    buffer.write %u, %o : tensor<20xf32>, memref<20xf32>
  }
  func.return
}
```

Requires: each intermediate is a `buffer.alloc`, and all of them stand before the kernels.

Does not: move kernels, or let a kernel write over what it reads: its operands are all alive while
it runs.

Your task: a buffer lives from the first kernel that touches it to the last one, both included. Two
buffers whose lives have a kernel in common must not share a byte; all others may. Replace every
`buffer.alloc` by a `buffer.place` in one `buffer.arena`, at offsets that are multiples of 64 bytes.
The size of the arena is what counts.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from picograd.dialects.buffer import AllocOp, KernelOp
from picograd.passes import Level, Pass
from picograd.quick_dataclasses import dataclass

ALIGNMENT = 64


def place(function: FuncOp, allocs: list[AllocOp], kernels: list[KernelOp]) -> None:
    """Put the buffers of `allocs` into an arena.

    `alloc.result in kernel.operands` tells whether a kernel touches a buffer, and
    `nbytes_of(alloc.result.type)`, from `picograd.dialects.dtypes`, how large it is. Make an
    `ArenaOp(nbytes)` and insert it with `Rewriter.insert_op(arena, InsertPoint.at_start(block))`,
    where the block is `function.body.block`; make a `PlaceOp(arena, offset, alloc.result.type)` for
    each buffer, and put it in the place of the alloc with `Rewriter.replace_op(alloc, place)`.
    """


@dataclass(frozen=True)
class PlaceBuffers(Pass):
    """Place all intermediates in one arena."""

    name: ClassVar[str] = "place_buffers"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                ops = list(function.body.block.ops)
                allocs = [inner for inner in ops if isinstance(inner, AllocOp)]
                if allocs:
                    place(function, allocs, [one for one in ops if isinstance(one, KernelOp)])
