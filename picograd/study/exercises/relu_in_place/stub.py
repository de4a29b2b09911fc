"""Let a ReLU write its result into the buffer that it reads.

Before:

```mlir
func.func @main(%x: memref<4xf32>, %y: memref<4xf32> {buffer.output}) {
  %h = buffer.alloc : memref<4xf32>
  %r = buffer.alloc : memref<4xf32>
  buffer.kernel "tanh" reads(%a = %x : memref<4xf32>) writes(%o = %h : memref<4xf32>) {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %u = pico.unary tanh %t : tensor<4xf32>
    buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
  }
  buffer.kernel "maximum" reads(%a = %h : memref<4xf32>) writes(%o = %r : memref<4xf32>) {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %zero = pico.constant dense<0.0> : tensor<4xf32>
    %u = pico.binary maximum %t, %zero : tensor<4xf32>
    buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
  }
  buffer.kernel "exp" reads(%a = %r : memref<4xf32>) writes(%o = %y : memref<4xf32>) {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %u = pico.unary exp %t : tensor<4xf32>
    buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
  }
  func.return
}
```

After:

```mlir
func.func @main(%x: memref<4xf32>, %y: memref<4xf32> {buffer.output}) {
  %h = buffer.alloc : memref<4xf32>
  buffer.kernel "tanh" reads(%a = %x : memref<4xf32>) writes(%o = %h : memref<4xf32>) {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %u = pico.unary tanh %t : tensor<4xf32>
    buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
  }
  buffer.kernel "maximum" reads() updates(%a = %h : memref<4xf32>) writes() {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %zero = pico.constant dense<0.0> : tensor<4xf32>
    %u = pico.binary maximum %t, %zero : tensor<4xf32>
    buffer.write %u, %a : tensor<4xf32>, memref<4xf32>
  }
  buffer.kernel "exp" reads(%a = %h : memref<4xf32>) writes(%o = %y : memref<4xf32>) {
    %t = buffer.read %a : memref<4xf32> -> tensor<4xf32>
    %u = pico.unary exp %t : tensor<4xf32>
    buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
  }
  func.return
}
```

Requires: each op stands in a kernel of its own, and each intermediate in a `buffer.alloc`.

Does not: touch arguments and constants, or a buffer that somebody reads afterwards.

Your task: a kernel that computes the maximum of one buffer with 0, element by element, lists that
buffer under `updates`, which means read first and written after, instead of one under `reads` and
another under `writes`. Who read the result reads the operand's buffer from then on, and the
`buffer.alloc` of the result goes away. That is right only where both are intermediates
(`buffer.alloc`) and no later kernel reads the operand. Bytes of memory are counted.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.buffer import KernelOp
from picograd.passes import Level, Pass
from picograd.quick_dataclasses import dataclass


def reuse(kernel: KernelOp, later: list[KernelOp]) -> None:
    """Let `kernel`, if it is a ReLU, write into what it reads, if that is right.

    `kernel.reads` and `kernel.writes` are buffers, `kernel.read_arguments` and
    `kernel.write_arguments` what they are called inside. A new kernel is
    `KernelOp(kernel.label, [], [], Region(block), updates=[operand])`; a block with one argument is
    `Block(arg_types=[operand.type])`, and `op.clone(inside)` looks operands up in a dictionary.
    `Rewriter.replace_op(kernel, new)` swaps kernels, `Rewriter.erase_op(alloc)` erases, and
    `result.replace_all_uses_with(operand)` lets everybody use another buffer.
    """


@dataclass(frozen=True)
class ReluInPlace(Pass):
    """Let a ReLU write its result into the buffer that it reads."""

    name: ClassVar[str] = "relu_in_place"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [inner for inner in op.walk() if isinstance(inner, KernelOp)]
        while kernels:
            kernel = kernels.pop(0)
            reuse(kernel, kernels)
