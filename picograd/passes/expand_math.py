"""Replace functions of float32, and conversions from and to 16-bit floats, by simple arithmetic.

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

Options: expand_math{target="cpu:fma=true,scales=false"}

After:

```mlir
builtin.module {
  loop.kernel @exp(%x: memref<8xf32>, %y: memref<8xf32>) {
    loop.parallel %i = 0 to 8 {
      %v = loop.load %x[%i] : memref<8xf32>
      %0 = arith.constant 0.000000e+00 : f32
      %1 = arith.constant -1.040000e+02 : f32
      %2 = loop.compare lt %v, %1 : f32
      %3 = arith.constant 8.900000e+01 : f32
      %4 = loop.compare gt %v, %3 : f32
      %5 = loop.select %4, %3, %v : f32
      %6 = loop.select %2, %0, %5 : f32
      %7 = arith.constant 0x4B4000FE : f32
      %8 = arith.constant 1.44269502 : f32
      %9 = math.fma %6, %8, %7 : f32
      %10 = arith.subf %9, %7 : f32
      %11 = arith.bitcast %9 : f32 to i32
      %12 = arith.constant -0.693359375 : f32
      %13 = math.fma %10, %12, %6 : f32
      %14 = arith.constant 0.000212194442 : f32
      %15 = math.fma %10, %14, %13 : f32
      %16 = arith.constant 0.000198756912 : f32
      %17 = arith.constant 0.00139819994 : f32
      %18 = math.fma %16, %15, %17 : f32
      %19 = arith.constant 0.00833345205 : f32
      %20 = math.fma %18, %15, %19 : f32
      %21 = arith.constant 0.0416657962 : f32
      %22 = math.fma %20, %15, %21 : f32
      %23 = arith.constant 0.166666657 : f32
      %24 = math.fma %22, %15, %23 : f32
      %25 = arith.constant 5.000000e-01 : f32
      %26 = math.fma %24, %15, %25 : f32
      %27 = arith.mulf %15, %15 : f32
      %28 = math.fma %26, %27, %15 : f32
      %29 = arith.constant 1.000000e+00 : f32
      %30 = arith.addf %28, %29 : f32
      %31 = arith.constant 1 : i32
      %32 = arith.shrsi %11, %31 : i32
      %33 = arith.constant 23 : i32
      %34 = arith.shli %32, %33 : i32
      %35 = arith.bitcast %34 : i32 to f32
      %36 = arith.mulf %30, %35 : f32
      %37 = arith.subi %11, %32 : i32
      %38 = arith.shli %37, %33 : i32
      %39 = arith.bitcast %38 : i32 to f32
      %40 = arith.mulf %36, %39 : f32
      %e = loop.select %2, %0, %40 : f32
      loop.store %e, %y[%i] : f32, memref<8xf32>
    }
  }
}
```

Requires: nothing; works on elements and on tiles of any rank. `target` says for whom: the GPU gets
forms that survive drivers which regroup sums and split fused operations. The polynomials and their
coefficients are the same for both. A machine that `scales` multiplies by powers of two at once,
with `loop.scale`. On a CPU with fused multiply-add, a tile of two machine vectors
or more that is divided by one number is multiplied by its reciprocal and corrected instead.

Does not: touch other element types, or square roots, rounding and what else machines have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import ClassVar, TypeAlias

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import BFloat16Type, Float16Type, ModuleOp, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.loop import BroadcastOp, element_type, tile_shape
from picograd.passes.base import Level, Pass
from picograd.passes.polynomials import divisions, halves
from picograd.passes.polynomials.formulas import FORMULAS
from picograd.passes.polynomials.tile_arithmetic import TileArithmetic
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import insert_before, kernels, replace_op
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup

_Formula: TypeAlias = Callable[[TileArithmetic, SSAValue], SSAValue]

_HALVES: Mapping[Attribute, tuple[_Formula, _Formula]] = {
    Float16Type(): (halves.float16_bits, halves.float16_value),
    BFloat16Type(): (halves.bfloat16_bits, halves.bfloat16_value),
}
"""How the 16-bit floats are made of float32, and float32 of them."""


@dataclass(frozen=True)
class ExpandMath(Pass):
    """Elementary functions of float32 become arithmetic that any machine has."""

    name = "expand_math"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    approximates: ClassVar[bool] = True
    establishes: ClassVar[frozenset[str]] = frozenset({"math_expanded"})

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        for kernel in kernels(op):
            for inner in [inner for inner in kernel.walk() if isinstance(inner, arith.ExtFOp)]:
                _round(inner, target)
            divisors: dict[SSAValue, divisions.Divisor] = {}
            for inner in list(kernel.walk()):
                formula = FORMULAS.get(type(inner))
                if formula is not None and element_type(inner.results[0].type) == f32:
                    _expand(inner, formula, target)
                elif isinstance(inner, arith.DivfOp):
                    _divide(inner, target, divisors)
                elif isinstance(inner, arith.ExtFOp | arith.TruncFOp):
                    _convert(inner, target)


def _lacks(target: Target, narrow: Attribute, wide: Attribute) -> bool:
    """Whether a target has no instructions between two element types: a half float and float32."""
    if element_type(narrow) not in _HALVES or element_type(wide) != f32:
        return False
    return isinstance(element_type(narrow), BFloat16Type) or not target.float16_conversions


def _round(op: arith.ExtFOp, target: Target) -> None:
    """Put rounding in the place of a conversion to a half float and back."""
    there = op.input.owner
    if (
        isinstance(there, arith.TruncFOp)
        and _lacks(target, op.input.type, there.input.type)
        and applies(_round, op)
    ):
        to_bits, to_value = _HALVES[element_type(op.input.type)]
        arithmetic = _arithmetic(op.result.type, target)
        value = to_value(arithmetic, to_bits(arithmetic, there.input))
        insert_before(op, arithmetic.ops)
        replace_op(op, [], [value])
        if not there.result.uses:
            Rewriter.erase_op(there)


def _convert(op: arith.ExtFOp | arith.TruncFOp, target: Target) -> None:
    """Put arithmetic on bits in the place of a conversion that the target lacks."""
    widens = isinstance(op, arith.ExtFOp)
    wide, narrow = (op.result, op.input) if widens else (op.input, op.result)
    if not _lacks(target, narrow.type, wide.type) or not applies(_convert, op):
        return
    half = element_type(narrow.type)
    to_bits, to_value = _HALVES[half]
    arithmetic = _arithmetic(wide.type, target)
    if widens:
        value = to_value(arithmetic, arithmetic.wide_bits(narrow))
    else:
        value = arithmetic.narrow_bits(to_bits(arithmetic, wide), half)
    insert_before(op, arithmetic.ops)
    replace_op(op, [], [value])


def _expand(op: Operation, formula: Callable[..., SSAValue], target: Target) -> None:
    """Put the operations of a formula in the place of one operation."""
    if not applies(formula, op):
        return
    result = op.results[0]
    arithmetic = _arithmetic(result.type, target)
    value = formula(arithmetic, *op.operands)
    insert_before(op, arithmetic.ops)
    replace_op(op, [], [value])


def _divide(op: arith.DivfOp, target: Target, divisors: dict[SSAValue, divisions.Divisor]) -> None:
    """Put multiplications in the place of a long tile's division by one number."""
    spread = op.rhs.owner
    if not isinstance(spread, BroadcastOp) or spread.value.type != f32:
        return
    short = prod(tile_shape(op.result.type)) < 2 * target.lanes(32)
    if target.kind != "cpu" or not target.fma or short or not applies(_divide, op):
        return
    divisor = spread.value
    if divisor not in divisors:
        divisors[divisor] = divisions.prepare(divisor)
    ops, value = divisions.divide(op.lhs, divisors[divisor])
    insert_before(op, ops)
    replace_op(op, [], [value])
    if not spread.result.uses:
        Rewriter.erase_op(spread)


def _arithmetic(like: Attribute, target: Target) -> TileArithmetic:
    """The arithmetic of a target, for values of one shape."""
    return TileArithmetic(like, strict=target.kind != "gpu", fused=target.fma, scales=target.scales)
