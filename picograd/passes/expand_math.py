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
      %7 = arith.constant 0x4B400000 : f32
      %8 = math.fma %5, %6, %7 : f32
      %9 = arith.subf %8, %7 : f32
      %10 = arith.bitcast %8 : f32 to i32
      %11 = arith.constant -0.693359375 : f32
      %12 = math.fma %9, %11, %5 : f32
      %13 = arith.constant 0.000212194442 : f32
      %14 = math.fma %9, %13, %12 : f32
      %15 = arith.constant 0.000198756912 : f32
      %16 = arith.constant 0.00139819994 : f32
      %17 = math.fma %15, %14, %16 : f32
      %18 = arith.constant 0.00833345205 : f32
      %19 = math.fma %17, %14, %18 : f32
      %20 = arith.constant 0.0416657962 : f32
      %21 = math.fma %19, %14, %20 : f32
      %22 = arith.constant 0.166666657 : f32
      %23 = math.fma %21, %14, %22 : f32
      %24 = arith.constant 5.000000e-01 : f32
      %25 = math.fma %23, %14, %24 : f32
      %26 = arith.mulf %14, %14 : f32
      %27 = math.fma %25, %26, %14 : f32
      %28 = arith.constant 1.000000e+00 : f32
      %29 = arith.addf %27, %28 : f32
      %30 = arith.constant 1 : i32
      %31 = arith.shrsi %10, %30 : i32
      %32 = arith.constant 127 : i32
      %33 = arith.addi %31, %32 : i32
      %34 = arith.constant 23 : i32
      %35 = arith.shli %33, %34 : i32
      %36 = arith.bitcast %35 : i32 to f32
      %37 = arith.mulf %29, %36 : f32
      %38 = arith.subi %10, %31 : i32
      %39 = arith.addi %38, %32 : i32
      %40 = arith.shli %39, %34 : i32
      %41 = arith.bitcast %40 : i32 to f32
      %e = arith.mulf %37, %41 : f32
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
from picograd.passes.base import Level, Pass
from picograd.passes.polynomials import angles, elementary
from picograd.passes.polynomials.tile_arithmetic import TileArithmetic
from picograd.passes.rewriting.loops import insert_before, kernels, replace_op
from picograd.targets import Target, lookup

FORMULAS: dict[type[Operation], Callable[..., SSAValue]] = {
    math.ExpOp: elementary.exp,
    math.LogOp: elementary.log,
    math.SinOp: angles.sin,
    math.CosOp: angles.cos,
    math.TanhOp: elementary.tanh,
    math.ErfOp: elementary.erf,
    math.PowFOp: elementary.pow,
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
