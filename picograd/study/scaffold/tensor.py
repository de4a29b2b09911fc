"""Drop a maximum that has been taken already: of max(max(x, c), c) one is enough.

Before:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %zero = pico.constant dense<0.0> : tensor<3xf32>
  %h = pico.binary maximum %x, %zero : tensor<3xf32>
  %y = pico.binary maximum %h, %zero : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %zero = pico.constant dense<0.0> : tensor<3xf32>
  %h = pico.binary maximum %x, %zero : tensor<3xf32>
  func.return %h : tensor<3xf32>
}
```

Requires: constants stand on the right, where `canonicalize` puts them.

Does not: look at the minimum, nor at constants whose elements differ.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.passes.rules.matching import defining, splat_in
from picograd.quick_dataclasses import dataclass


def drop_second_maximum(op: BinaryOp, build: Build) -> SSAValue | None:
    """max(max(x, c), c) -> max(x, c); None where the op is something else."""
    inner = defining(op.a)
    if not isinstance(inner, BinaryOp) or splat_in(op.b) is None:
        return None
    both_maximum = op.kind.data == inner.kind.data == BinaryKind.MAXIMUM
    return op.a if both_maximum and splat_in(inner.b) == splat_in(op.b) else None


@dataclass(frozen=True)
class MyPass(Pass):
    """Drop a maximum that has been taken already."""

    name: ClassVar[str] = "my_pass"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: (drop_second_maximum,)})
