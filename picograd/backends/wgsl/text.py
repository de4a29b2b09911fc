"""Small pieces of WGSL text: types, literals, names, and the helper functions that kernels share.

Everything here is written so that both naga (wgpu) and Tint (browsers) accept it: every literal
has a type suffix, infinities and NaN come from a variable's bits because a constant expression must
not produce them, and every name has a prefix that no builtin or reserved word has.
"""

from __future__ import annotations

import re

import numpy as np
from xdsl.dialects.builtin import Float32Type, IndexType, i1, i32
from xdsl.ir import Attribute

from picograd.errors import CompileError


def value_type(type: Attribute) -> str:
    """How a value of this element type is declared: f32, i32 or bool. Raises CompileError."""
    if isinstance(type, Float32Type):
        return "f32"
    if isinstance(type, IndexType):
        return "i32"
    if type == i32:
        return "i32"
    if type == i1:
        return "bool"
    raise CompileError(
        f"WGSL has no element type {type}",
        code="PG606",
        expected="f32, i32 or i1",
        found=str(type),
        hint="run legalize_types, then vectorize_loops and unroll_tiles{width=1} before emitting",
    )


def memory_type(type: Attribute) -> str:
    """How an element of this type is stored. WGSL forbids bool in storage: it becomes u32."""
    name = value_type(type)
    return "u32" if name == "bool" else name


POISON = 0x7E7E7E7E
"""The word that memory starts with in checked execution: 8.5e37, or 2122219134, and no bool. WGSL
may assume that there is no NaN, so poison is finite.
"""


def poison(type: Attribute) -> str:
    """The poison of a stored element."""
    name = memory_type(type)
    return f"0x{POISON:08x}u" if name == "u32" else f"bitcast<{name}>(0x{POISON:08x}u)"


def integer(value: int) -> str:
    """An i32 literal. The least i32 has no literal, since its absolute value is too large."""
    if value == -(2**31):
        return "bitcast<i32>(0x80000000u)"
    return f"{value}i"


def real(value: float, helpers: Helpers) -> str:
    """An f32 literal with nine significant digits, which name every f32 exactly."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    if np.isnan(rounded):
        helpers.use("nan")
        return "bitcast<f32>(pg_nan)"
    if np.isinf(rounded):
        helpers.use("infinity")
        return "bitcast<f32>(pg_infinity)" if value > 0 else "-bitcast<f32>(pg_infinity)"
    bits = int(rounded.view(np.uint32))
    if bits & 0x7F800000 == 0 and bits:
        # Zero with a sign, or a subnormal, which front ends read differently as decimal text.
        return f"bitcast<f32>(0x{bits:08x}u)"
    return f"{float(rounded):.9g}f"


def identifier(prefix: str, number: int, hint: str | None) -> str:
    """A generated name such as `v12_sum`: unique by its number, readable by its hint."""
    clean = re.sub(r"[^A-Za-z0-9]+", "_", hint or "").strip("_")
    return f"{prefix}{number}_{clean}" if clean else f"{prefix}{number}"


_HELPERS = {
    "nan": "var<private> pg_nan: u32 = 0x7fc00000u;",
    "infinity": "var<private> pg_infinity: u32 = 0x7f800000u;",
    "is_nan": """\
fn pg_is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}""",
    "maximum": """\
fn pg_maximum(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, pg_is_nan(b)), a, pg_is_nan(a));
}""",
    "minimum": """\
fn pg_minimum(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), b, pg_is_nan(b)), a, pg_is_nan(a));
}""",
    "maxnum": """\
fn pg_maxnum(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), a, pg_is_nan(b)), b, pg_is_nan(a));
}""",
    "minnum": """\
fn pg_minnum(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), a, pg_is_nan(b)), b, pg_is_nan(a));
}""",
    "copysign": """\
fn pg_copysign(a: f32, b: f32) -> f32 {
  return bitcast<f32>((bitcast<u32>(a) & 0x7fffffffu) | (bitcast<u32>(b) & 0x80000000u));
}""",
    "float_to_int": """\
fn pg_float_to_int(x: f32) -> i32 {
  let inside = i32(clamp(x, -2147483648.0f, 2147483520.0f));
  return select(select(inside, 2147483647i, x >= 2147483648.0f), 0i, pg_is_nan(x));
}""",
    # Of negative operands WGSL's % becomes SPIR-V's OpSRem, whose result Vulkan leaves undefined;
    # NVIDIA's driver does give wrong ones now and then. Quotients are sound everywhere.
    "remainder": """\
fn pg_remainder(a: i32, b: i32) -> i32 {
  return a - a / b * b;
}""",
    "floordiv": """\
fn pg_floordiv(a: i32, b: i32) -> i32 {
  let quotient = a / b;
  let rest = a - quotient * b;
  return select(quotient, quotient - 1i, rest != 0i && ((rest < 0i) != (b < 0i)));
}""",
    "floormod": """\
fn pg_floormod(a: i32, b: i32) -> i32 {
  let rest = a - a / b * b;
  return select(rest, rest + b, rest != 0i && ((rest < 0i) != (b < 0i)));
}""",
    "high_word": """\
fn pg_high_word(a: u32, b: u32) -> u32 {
  // WGSL has no 32 x 32 -> 64 bit product: add up the products of the 16-bit halves.
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let middle = ah * bl + ((al * bl) >> 16u);
  let cross = al * bh + (middle & 0xffffu);
  return ah * bh + (middle >> 16u) + (cross >> 16u);
}""",
}
_NEEDS = {
    "maximum": ("is_nan",),
    "minimum": ("is_nan",),
    "maxnum": ("is_nan",),
    "minnum": ("is_nan",),
    "float_to_int": ("is_nan",),
}


class Helpers:
    """The helper functions that one kernel calls, in the order in which they must be declared."""

    def __init__(self) -> None:
        self._used: dict[str, None] = {}

    def use(self, name: str) -> str:
        """Declare a helper in this kernel; returns the name to call it by."""
        for needed in _NEEDS.get(name, ()):
            self._used.setdefault(needed)
        self._used.setdefault(name)
        return f"pg_{name}"

    def declarations(self) -> list[str]:
        return [_HELPERS[name] for name in self._used]
