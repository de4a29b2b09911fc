"""Replace exp, log, sin, cos, tanh, erf and pow of float32 by polynomials.

Before:

```mlir
builtin.module {
  loop.kernel @exp(%x: memref<8xf32>, %y: memref<8xf32>) {
    loop.parallel %i = 0 to 8 {
      %v = loop.load %x[%i] : memref<8xf32>
      %e = math.exp %v : f32
      loop.store %e, %y[%i] : f32, memref<8xf32>
    }
  }
}
```

After:

```mlir
builtin.module {
  loop.kernel @exp(%x: memref<8xf32>, %y: memref<8xf32>) {
    loop.parallel %i = 0 to 8 {
      %v = loop.load %x[%i] : memref<8xf32>
      %0 = arith.constant 8.900000e+01 : f32
      %1 = loop.compare gt %v, %0 : f32
      %2 = loop.select %1, %0, %v : f32
      %3 = arith.constant -1.040000e+02 : f32
      %4 = loop.compare lt %2, %3 : f32
      %5 = loop.select %4, %3, %2 : f32
      %6 = arith.constant 1.44269502 : f32
      %7 = arith.mulf %5, %6 : f32
      %8 = arith.constant 0x4B400000 : f32
      %9 = arith.addf %7, %8 : f32
      %10 = arith.subf %9, %8 : f32
      %11 = arith.bitcast %9 : f32 to i32
      %12 = arith.constant 1262485504 : i32
      %13 = arith.subi %11, %12 : i32
      %14 = arith.constant -0.693359375 : f32
      %15 = math.fma %10, %14, %5 : f32
      %16 = arith.constant 0.000212194442 : f32
      %17 = math.fma %10, %16, %15 : f32
      %18 = arith.constant 0.000198756912 : f32
      %19 = arith.constant 0.00139819994 : f32
      %20 = math.fma %18, %17, %19 : f32
      %21 = arith.constant 0.00833345205 : f32
      %22 = math.fma %20, %17, %21 : f32
      %23 = arith.constant 0.0416657962 : f32
      %24 = math.fma %22, %17, %23 : f32
      %25 = arith.constant 0.166666657 : f32
      %26 = math.fma %24, %17, %25 : f32
      %27 = arith.constant 5.000000e-01 : f32
      %28 = math.fma %26, %17, %27 : f32
      %29 = arith.mulf %17, %17 : f32
      %30 = math.fma %28, %29, %17 : f32
      %31 = arith.constant 1.000000e+00 : f32
      %32 = arith.addf %30, %31 : f32
      %33 = arith.constant 1 : i32
      %34 = arith.shrsi %13, %33 : i32
      %35 = arith.constant 127 : i32
      %36 = arith.addi %34, %35 : i32
      %37 = arith.constant 23 : i32
      %38 = arith.shli %36, %37 : i32
      %39 = arith.bitcast %38 : i32 to f32
      %40 = arith.mulf %32, %39 : f32
      %41 = arith.subi %13, %34 : i32
      %42 = arith.addi %41, %35 : i32
      %43 = arith.shli %42, %37 : i32
      %44 = arith.bitcast %43 : i32 to f32
      %e = arith.mulf %40, %44 : f32
      loop.store %e, %y[%i] : f32, memref<8xf32>
    }
  }
}
```

Requires: nothing; works on elements and on tiles of any rank. `target` says for whom: the GPU gets
forms that survive drivers which regroup sums and split fused operations. The polynomials and their
coefficients are the same for both.

Does not: touch other element types, or square roots, rounding and what else machines have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import math
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Operation, SSAValue

from picograd.dialects.loop import element_type
from picograd.passes import math_angles, math_polynomials
from picograd.passes.base import Level, Pass
from picograd.passes.loop_rewriting import insert_before, kernels, replace_op
from picograd.passes.tile_arithmetic import TileArithmetic
from picograd.targets import Target, lookup

FORMULAS: dict[type[Operation], Callable[..., SSAValue]] = {
    math.ExpOp: math_polynomials.exp,
    math.LogOp: math_polynomials.log,
    math.SinOp: math_angles.sin,
    math.CosOp: math_angles.cos,
    math.TanhOp: math_polynomials.tanh,
    math.ErfOp: math_polynomials.erf,
    math.PowFOp: math_polynomials.pow,
}
"""The operations that are replaced, and by what."""


@dataclass(frozen=True)
class ExpandMath(Pass):
    """Elementary functions of float32 become arithmetic that any machine has."""

    name = "expand_math"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    establishes: ClassVar[frozenset[str]] = frozenset({"math_expanded"})

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        for kernel in kernels(op):
            for inner in list(kernel.walk()):
                formula = FORMULAS.get(type(inner))
                if formula is not None and element_type(inner.results[0].type) == f32:
                    _expand(inner, formula, target)


def _expand(op: Operation, formula: Callable[..., SSAValue], target: Target) -> None:
    """Put the operations of a formula in the place of one operation."""
    result = op.results[0]
    arithmetic = TileArithmetic(result.type, strict=target.kind != "gpu", fused=target.fma)
    value = formula(arithmetic, *op.operands)
    insert_before(op, arithmetic.ops)
    replace_op(op, [], [value])
