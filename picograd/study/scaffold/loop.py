"""Erase loads whose value nobody uses.

Before:

```mlir
loop.kernel @neg(%a: memref<3xf32>, %b: memref<3xf32>, %y: memref<3xf32>) {
  loop.parallel (%i) = (0) to (3) {
    %unused = loop.load %b[%i] : memref<3xf32>
    %v = loop.load %a[%i] : memref<3xf32>
    %n = arith.negf %v : f32
    loop.store %n, %y[%i] : f32, memref<3xf32>
  }
}
```

After:

```mlir
loop.kernel @neg(%a: memref<3xf32>, %b: memref<3xf32>, %y: memref<3xf32>) {
  loop.parallel (%i) = (0) to (3) {
    %v = loop.load %a[%i] : memref<3xf32>
    %n = arith.negf %v : f32
    loop.store %n, %y[%i] : f32, memref<3xf32>
  }
}
```

Requires: nothing.

Does not: erase what computed an index for the load, or the kernel's argument.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from picograd.dialects.loop import LoadOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class MyPass(Pass):
    """Erase loads whose value nobody uses."""

    name: ClassVar[str] = "my_pass"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for load in [inner for inner in op.walk() if isinstance(inner, LoadOp)]:
            if load.result.first_use is None and applies(self, load):
                Rewriter.erase_op(load)
