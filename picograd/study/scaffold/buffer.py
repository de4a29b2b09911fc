"""Give back memory that no kernel touches.

Before:

```mlir
func.func @main(%x: memref<3xf32>, %y: memref<3xf32> {buffer.output}) {
  %unused = buffer.alloc : memref<3xf32>
  buffer.kernel "exp" reads(%a = %x : memref<3xf32>) writes(%o = %y : memref<3xf32>) {
    %t = buffer.read %a : memref<3xf32> -> tensor<3xf32>
    %e = pico.unary exp %t : tensor<3xf32>
    buffer.write %e, %o : tensor<3xf32>, memref<3xf32>
  }
  func.return
}
```

After:

```mlir
func.func @main(%x: memref<3xf32>, %y: memref<3xf32> {buffer.output}) {
  buffer.kernel "exp" reads(%a = %x : memref<3xf32>) writes(%o = %y : memref<3xf32>) {
    %t = buffer.read %a : memref<3xf32> -> tensor<3xf32>
    %e = pico.unary exp %t : tensor<3xf32>
    buffer.write %e, %o : tensor<3xf32>, memref<3xf32>
  }
  func.return
}
```

Requires: nothing.

Does not: look at buffers that are written and never read, or at the arena.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from picograd.dialects.buffer import AllocOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class MyPass(Pass):
    """Give back memory that no kernel touches."""

    name: ClassVar[str] = "my_pass"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for alloc in [inner for inner in op.walk() if isinstance(inner, AllocOp)]:
            if alloc.result.first_use is None and applies(self, alloc):
                Rewriter.erase_op(alloc)
