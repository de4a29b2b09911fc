"""The operations that have a formula in simple arithmetic, and which."""

from collections.abc import Callable

from xdsl.dialects import math
from xdsl.ir import Operation, SSAValue

from picograd.passes.polynomials import angles, elementary

FORMULAS: dict[type[Operation], Callable[..., SSAValue]] = {
    math.ExpOp: elementary.exp,
    math.LogOp: elementary.log,
    math.SinOp: angles.sin,
    math.CosOp: angles.cos,
    math.TanhOp: elementary.tanh,
    math.ErfOp: elementary.erf,
    math.PowFOp: elementary.pow,
}
"""Functions of float32 that `expand_math` replaces."""
