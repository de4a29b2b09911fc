"""Drop arithmetic that does nothing.

Before:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %one = pico.constant dense<1.0> : tensor<3xf32>
  %a = pico.binary mul %one, %x : tensor<3xf32>
  %b = pico.unary neg %a : tensor<3xf32>
  %c = pico.unary neg %b : tensor<3xf32>
  %y = pico.unary exp %c : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary exp %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
```

Requires: nothing.

Does not: change a number that the program computes. NaN and infinity are numbers here, so what is
true in algebra may be false in floats.

Your task, for every `x`, on either side where the order does not matter:

- `x + 0`, `x - 0`, `x * 1` and `x / 1` are `x`;
- `-(-x)` is `x`;
- of integers, but not of floats (why?), `x * 0` and `x - x` are 0.

A constant is one number for all elements, or it is of no use here: `splat_in` tells which. Values
that nobody reads any more may stay: `dce` runs before your operations are counted. Whether a zero
is 0.0 or -0.0 is not judged.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.quick_dataclasses import dataclass


def simplify_binary(op: BinaryOp, build: Build) -> SSAValue | None:
    """The value that takes the place of `op`, or None to leave it as it is.

    `op.kind.data` is one of `BinaryKind`, `op.a` and `op.b` are the operands. Of use are, from
    `picograd.passes.rules.matching`, `splat_in(value)`: the one number that a constant holds, else
    None; `dtype_of_value(value)`; and `filled(build, number, op.result.type)`: a new constant.
    """
    return None


def simplify_unary(op: UnaryOp, build: Build) -> SSAValue | None:
    """The same for `op.kind.data` of `op.x`; `defining(value)` is the op that computes a value."""
    return None


@dataclass(frozen=True)
class SimplifyAlgebra(Pass):
    """Drop arithmetic that does nothing."""

    name: ClassVar[str] = "simplify_algebra"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: (simplify_binary,), UnaryOp: (simplify_unary,)})
