"""Swap a matrix product, the addition of a bias, and a ReLU for one kernel.

Before:

```mlir
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %p = kernel.fused "matmul" (%x1 = %x : tensor<2x3xf32>, %w1 = %w : tensor<3x4xf32>)
      -> (tensor<2x4xf32>) {
    %p1 = pico.matmul %x1, %w1 : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
    kernel.yield %p1 : tensor<2x4xf32>
  }
  %s = kernel.fused "add" (%p1 = %p : tensor<2x4xf32>, %b1 = %b : tensor<4xf32>)
      -> (tensor<2x4xf32>) {
    %row = pico.broadcast %b1 to [2, 4] : tensor<4xf32> -> tensor<2x4xf32>
    %s1 = pico.binary add %p1, %row : tensor<2x4xf32>
    kernel.yield %s1 : tensor<2x4xf32>
  }
  %y = kernel.fused "maximum" (%s1 = %s : tensor<2x4xf32>) -> (tensor<2x4xf32>) {
    %zero = pico.constant dense<0.0> : tensor<2x4xf32>
    %y1 = pico.binary maximum %s1, %zero : tensor<2x4xf32>
    kernel.yield %y1 : tensor<2x4xf32>
  }
  func.return %y : tensor<2x4xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %y = kernel.fused "linear_relu" (%x1 = %x : tensor<2x3xf32>, %w1 = %w : tensor<3x4xf32>,
      %b1 = %b : tensor<4xf32>) -> (tensor<2x4xf32>) absorbs ["p", "s"] {
    %p1 = pico.matmul %x1, %w1 : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
    %row = pico.broadcast %b1 to [2, 4] : tensor<4xf32> -> tensor<2x4xf32>
    %s1 = pico.binary add %p1, %row : tensor<2x4xf32>
    %zero = pico.constant dense<0.0> : tensor<2x4xf32>
    %y1 = pico.binary maximum %s1, %zero : tensor<2x4xf32>
    kernel.yield %y1 : tensor<2x4xf32>
  }
  func.return %y : tensor<2x4xf32>
}
```

Requires: each op stands in a kernel of its own, as `outline_kernels` leaves it.

Does not: join where somebody else wants a value from the middle, or where the three only look like
a linear layer and its ReLU.

Your task: the fused op is one `kernel.fused` labelled `linear_relu`, whose region computes the
product, adds a bias of rank 1 that is broadcast over the rows, and takes the maximum with 0. The
operands of the addition and of the maximum may stand in either order; views (of the weights, say)
are part of the kernel that reads them. Where the product or the sum has another reader, or is
returned, leave everything as it is. Launches and bytes moved are counted.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.kernel import FusedOp
from picograd.passes import Level, Pass
from picograd.quick_dataclasses import dataclass


def swap(relu: FusedOp) -> None:
    """Let one kernel take the place of `relu` and of the two that lead to it, if that is right.

    `relu.inputs` are the values that it reads, `relu.block.args` what they are called inside,
    `relu.yield_op.values` what it returns and `relu.outputs` what others read. The op that computes
    a value is its `owner`, its readers are its `uses`. A new kernel is
    `FusedOp("linear_relu", inputs, Region(block), absorbed_names)`, where the block ends in
    `YieldOp([value])` and holds clones: `op.clone(inside)` looks operands up in the dictionary
    `inside` and adds the results to it. `Rewriter.replace_op(op, new)` swaps an op.
    """


@dataclass(frozen=True)
class SwapLinearRelu(Pass):
    """Swap a matrix product, the addition of a bias, and a ReLU for one kernel."""

    name: ClassVar[str] = "swap_linear_relu"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.KERNEL

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in [inner for inner in op.walk() if isinstance(inner, FusedOp)]:
            swap(kernel)
