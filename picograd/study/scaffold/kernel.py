"""Erase kernels whose results nobody reads.

Before:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %h = kernel.fused "exp" (%a = %x : tensor<3xf32>) -> (tensor<3xf32>) {
    %e = pico.unary exp %a : tensor<3xf32>
    kernel.yield %e : tensor<3xf32>
  }
  %y = kernel.fused "neg" (%b = %x : tensor<3xf32>) -> (tensor<3xf32>) {
    %n = pico.unary neg %b : tensor<3xf32>
    kernel.yield %n : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = kernel.fused "neg" (%b = %x : tensor<3xf32>) -> (tensor<3xf32>) {
    %n = pico.unary neg %b : tensor<3xf32>
    kernel.yield %n : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}
```

Requires: nothing.

Does not: look into kernels, or drop one result of several.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from picograd.dialects.kernel import FusedOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class MyPass(Pass):
    """Erase kernels whose results nobody reads."""

    name: ClassVar[str] = "my_pass"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.KERNEL

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [inner for inner in op.walk() if isinstance(inner, FusedOp)]
        # The last one first: a kernel that only feeds a dead one is dead when its turn comes.
        for kernel in reversed(kernels):
            unread = all(output.first_use is None for output in kernel.outputs)
            if unread and applies(self, kernel):
                Rewriter.erase_op(kernel)
