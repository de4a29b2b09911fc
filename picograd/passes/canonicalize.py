"""Bring tensor ops into their simplest form: fold constants, drop what does nothing, join views.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>) -> tensor<3x4xf32> {
    %one = pico.constant dense<1.0> : tensor<4x3xf32>
    %same = pico.binary mul %one, %x : tensor<4x3xf32>
    %flat = pico.reshape %same to [12] : tensor<4x3xf32> -> tensor<12xf32>
    %h = pico.reshape %flat to [4, 3] : tensor<12xf32> -> tensor<4x3xf32>
    %n = pico.unary neg %h : tensor<4x3xf32>
    %p = pico.unary neg %n : tensor<4x3xf32>
    %y = pico.permute %p by [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
    func.return %y : tensor<3x4xf32>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>) -> tensor<3x4xf32> {
    %y = pico.permute %x by [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
    func.return %y : tensor<3x4xf32>
  }
}
```

Requires: nothing. Running it again changes nothing.

Does not: change a bit of a float result, so `x * 0.0` stays (x may be NaN) and so does `x + 0.0` (x
may be -0.0); reassociate sums of floats; or fold constants of more than about a thousand elements.

Source: MLIR's `canonicalize`. The rules stand in `picograd/passes/rules`, by theme.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily
from picograd.passes.rules import ALL
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Bring tensor ops into their simplest form."""

    name: ClassVar[str] = "canonicalize"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, ALL)
