"""Division of many numbers by one: its reciprocal is computed once, and each quotient corrected.

A vector division takes about as long as twenty multiplications, and a processor cannot begin the
next one meanwhile. A product with the reciprocal is wrong by up to 1.5 units in the last place; one
step of Newton's method with fused multiply-adds brings back the quotient that division rounds to
(P. Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", 1990).
Quotients that are floats come out exactly, so that x / x is 1. Divisors whose reciprocal is no
normal number are scaled by a power of two before, and the quotient after. Subnormal quotients are
rounded twice, and where the dividend is below 2**-100 the remainder is rounded, too: such quotients
are right to 1.5 units in the last place.
"""

from __future__ import annotations

from typing import NamedTuple

from xdsl.dialects.builtin import f32
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.loop import BroadcastOp, tile_shape
from picograd.passes.polynomials.tile_arithmetic import TileArithmetic

_LEAST, _GREATEST = 2.0**-126, 2.0**126
"""Between these a divisor and its reciprocal are normal numbers."""
_SCALE = 2.0**64
_SIGN, _REST = -(2**31), 2**31 - 1


class Divisor(NamedTuple):
    """A divisor without its sign, scaled; its reciprocal; and what quotients are multiplied by."""

    magnitude: SSAValue
    reciprocal: SSAValue
    scale: SSAValue


def prepare(divisor: SSAValue) -> Divisor:
    """What is computed once for a divisor, directly behind the operation that computes it."""
    m = TileArithmetic(f32, strict=True)
    magnitude = m.from_bits(m.int_and(m.bits(divisor), m.integer(_REST)))
    infinite = m.compare("eq", magnitude, m.number(float("inf")))
    down = m.select(infinite, m.number(0.0), m.number(1 / _SCALE))
    scale = m.select(m.compare("gt", magnitude, m.number(_GREATEST)), down, m.number(1.0))
    scale = m.select(m.compare("lt", magnitude, m.number(_LEAST)), m.number(_SCALE), scale)
    scaled = m.select(infinite, m.number(1.0), m.mul(magnitude, scale))
    reciprocal = m.div(m.number(1.0), scaled)
    sign = m.int_and(m.bits(divisor), m.integer(_SIGN))
    signed = m.from_bits(m.int_or(m.bits(scale), sign))
    owner = divisor.owner
    place = InsertPoint.at_start(owner) if isinstance(owner, Block) else InsertPoint.after(owner)
    Rewriter.insert_op(m.ops, place)
    return Divisor(scaled, reciprocal, signed)


def divide(x: SSAValue, by: Divisor) -> tuple[list[Operation], SSAValue]:
    """The quotients of a tile by a prepared divisor, and the operations that compute them."""
    m = TileArithmetic(x.type, strict=True)
    shape = tile_shape(x.type)
    spreads = [BroadcastOp(value, range(len(shape)), shape) for value in by]
    magnitude, reciprocal, scale = (spread.result for spread in spreads)
    first = m.mul(x, reciprocal)
    # What is left over, negated: so that a zero keeps its sign in the sum.
    excess = m.fma(first, magnitude, m.neg(x))
    second = m.fma(m.neg(excess), reciprocal, first)
    # Infinite quotients have no corrections.
    quotient = m.select(m.compare("eq", second, second), second, first)
    result = m.mul(quotient, scale)
    return [*spreads, *m.ops], result
