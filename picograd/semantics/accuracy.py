"""How accurate the elementary functions of each kind of device are: data for the error bounds.

The numbers for WGSL are those of its specification (W3C, "WebGPU Shading Language", section 15.7.4,
accuracy of built-in functions); those for CPUs are what our own expansions promise, with room to
spare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from picograd.dialects import dtypes
from picograd.dialects.dtypes import AnyTensor, DType, float64
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """Error constants of one kind of device, by op kind (`"exp"`, `"div"`, …).

    A result y = f(x) may be off by `ulps` units in its last place, plus `slopes` such units for
    every unit of |x| (for pow: of |b ln a|), plus `absolute`. Kinds that are not listed are rounded
    correctly. For sin and cos a slope counts units in the last place of the argument, not the
    result.
    """

    name: str
    ulps: Mapping[str, float]
    slopes: Mapping[str, float] = field(default_factory=dict[str, float])
    absolute: Mapping[str, float] = field(default_factory=dict[str, float])
    nonfinite: bool = True
    """Whether infinity and NaN behave as in IEEE 754; WGSL lets implementations ignore them."""
    reassociates: bool = False
    """Whether the device's compiler may add in another order than the code. WGSL allows it
    (Reassociation and Fusion), although in floating point the result may be another; a driver was
    seen to compute -3 + (x - m) as (-3 + x) - m, and (x y) x as (x x) y. Products lose at most what
    is known of how one of them is rounded, up to overflow; sums lose more where terms cancel."""
    in_float64: bool = False
    """Whether every float is computed with and kept as a float64, whatever type the IR gives it."""

    def dtype_of(self, type: AnyTensor) -> DType:
        """The dtype that a tensor's elements have here."""
        dtype = dtypes.dtype_of(type)
        return float64 if self.in_float64 and dtype.is_float else dtype

    def ulps_of(self, kind: str) -> float:
        """Units in the last place; 0.5 is correct rounding."""
        return self.ulps.get(kind, 0.5)

    def slope_of(self, kind: str) -> float:
        """Further units in the last place for every unit of the argument."""
        return self.slopes.get(kind, 0.0)

    def absolute_of(self, kind: str) -> float:
        """Further error, whatever the result."""
        return self.absolute.get(kind, 0.0)


CPU = Accuracy(
    "cpu",
    ulps={
        "exp": 4,
        "log": 4,
        "sin": 4,
        "cos": 4,
        "tanh": 4,
        "erf": 4,
        "pow": 4,
        "rsqrt": 4,
    },
    slopes={"pow": 2, "sin": 2, "cos": 2},
    absolute={"sin": 2.0**-22, "cos": 2.0**-22, "tanh": 2.0**-24, "erf": 2.0**-23},
)

GPU = Accuracy(
    "gpu",
    ulps={
        "div": 2.5,
        "sqrt": 4,
        "rsqrt": 4,
        "exp": 16,
        "log": 36,
        "sin": 4,
        "cos": 4,
        "tanh": 64,
        "erf": 64,
        "pow": 64,
        "remainder": 4,
        "floordiv": 2.5,
    },
    slopes={"exp": 2, "pow": 4, "sin": 4, "cos": 4},
    absolute={
        "log": 2.0**-21,
        "sin": 2.0**-11,
        "cos": 2.0**-11,
        "tanh": 2.0**-20,
        "erf": 2.0**-20,
    },
    nonfinite=False,
    reassociates=True,
)

FLOAT64 = Accuracy(
    "float64",
    ulps={
        "exp": 16,
        "log": 16,
        "sqrt": 4,
        "rsqrt": 16,
        "sin": 16,
        "cos": 16,
        "tanh": 16,
        "erf": 16,
        "pow": 64,
    },
    slopes={"exp": 2, "pow": 4, "sin": 4, "cos": 4},
    absolute={"log": 2.0**-50, "sin": 2.0**-50, "cos": 2.0**-50, "tanh": 2.0**-50, "erf": 2.0**-50},
    in_float64=True,
)
"""Of the evaluators in float64 precision, before and after a pass: room for another decomposition
of a function, nine decimal digits below what float32 needs."""

ACCURACY: dict[str, Accuracy] = {"reference": CPU, "cpu": CPU, "gpu": GPU}
"""The constants of each device, by its name."""
