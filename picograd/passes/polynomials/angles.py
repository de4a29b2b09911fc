"""Sine and cosine of float32 for angles of any size, written over an abstract arithmetic.

The quotient of the angle and pi/2 is rounded to a whole number of quadrants; sine and cosine of the
remainder, at most pi/4, are polynomials. Small angles are reduced as W. Cody and W. Waite do
("Software Manual for the Elementary Functions", 1980), large ones by integer arithmetic as M. Payne
and R. Hanek do ("Radian reduction for trigonometric functions", SIGNUM Newsletter 18, 1983). Both
are computed and one is chosen, so that the lanes of a tile need not go different ways.

The polynomials are those of S. L. Moshier, Cephes Mathematical Library (`sinf.c`),
https://www.netlib.org/cephes/
"""

from __future__ import annotations

from itertools import pairwise

from picograd.passes.polynomials.elementary import (
    INFINITY,
    NAN,
    SIGN,
    Arithmetic,
    V,
    absolute,
    at_most,
    polynomial,
)

_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)

# pi/2 in four parts; the products of the first three with up to 41 quadrants are exact.
_HALF_PI = (1.5703125, 4.83751296997e-4, 7.549715519417077e-08, 7.443547731314504e-13)
# Below this the four parts are enough; above, bits of 2/pi are multiplied as integers.
_LARGE_ANGLE = 64.0
# 32 zero bits, then the bits of 2/pi after the point.
_TWO_OVER_PI = (
    0x00000000,
    0xA2F9836E,
    0x4E441529,
    0xFC2757D1,
    0xF534DDC0,
    0xDB629599,
    0x3C439041,
    0xFE5163AB,
)


def _signed(word: int) -> int:
    """A 32-bit pattern as the signed integer with these bits."""
    return word - 2**32 if word >= 2**31 else word


def _high_product(m: Arithmetic[V], a: V, b: V) -> V:
    """The high 32 bits of the 64-bit product of two unsigned integers, by 16-bit halves."""
    sixteen, mask = m.integer(16), m.integer(0xFFFF)
    a_low, a_high = m.int_and(a, mask), m.shift_right(a, sixteen)
    b_low, b_high = m.int_and(b, mask), m.shift_right(b, sixteen)
    low_high, high_low = m.int_mul(a_low, b_high), m.int_mul(a_high, b_low)
    middle = m.int_add(
        m.shift_right(m.int_mul(a_low, b_low), sixteen),
        m.int_add(m.int_and(low_high, mask), m.int_and(high_low, mask)),
    )
    high = m.int_add(m.int_mul(a_high, b_high), m.shift_right(middle, sixteen))
    return m.int_add(
        high, m.int_add(m.shift_right(low_high, sixteen), m.shift_right(high_low, sixteen))
    )


def _carry(m: Arithmetic[V], total: V, addend: V) -> V:
    """1 if the unsigned sum `total`, of which `addend` is a part, wrapped around, else 0."""
    flip = m.integer(SIGN)
    wrapped = m.compare("lt", m.int_add(total, flip), m.int_add(addend, flip))
    return m.select(wrapped, m.integer(1), m.integer(0))


def _large_angle(m: Arithmetic[V], x: V) -> tuple[V, V]:
    """Remainder and quadrant of an angle x >= 64 (Payne and Hanek).

    x is an integer of 24 bits times a power of two. Bits of 2/pi that this lifts to a weight of 4
    or more count whole turns and are skipped; the 96 bits that follow are enough for the least
    remainder that a float32 can have.
    """
    bits = m.bits(x)
    mantissa = m.int_or(m.int_and(bits, m.integer(0x7FFFFF)), m.integer(0x800000))
    first = m.int_sub(m.shift_right(bits, m.integer(23)), m.integer(120))
    word, shift = m.shift_right(first, m.integer(5)), m.int_and(first, m.integer(31))
    windows = [m.integer(_signed(pattern)) for pattern in _TWO_OVER_PI[:4]]
    for number in range(1, 5):
        here = m.compare("eq", word, m.integer(number))
        following = _TWO_OVER_PI[number : number + 4]
        windows = [
            m.select(here, m.integer(_signed(pattern)), window)
            for pattern, window in zip(following, windows, strict=True)
        ]
    complement, one = m.int_sub(m.integer(31), shift), m.integer(1)
    high, middle, low = (
        m.int_or(
            m.shift_left(left, shift),
            m.shift_right(m.shift_right(right, one), complement),
        )
        for left, right in pairwise(windows)
    )
    addend = m.int_mul(mantissa, middle)
    lower = m.int_add(addend, _high_product(m, mantissa, low))
    upper = m.int_add(m.int_mul(mantissa, high), _high_product(m, mantissa, middle))
    upper = m.int_add(upper, _carry(m, lower, addend))
    # The quadrant is the two upper bits, rounded; the rest is a signed fraction of a quadrant.
    quadrant = m.shift_right(m.int_add(upper, m.integer(2**29)), m.integer(30))
    fraction = m.int_sub(upper, m.shift_left(quadrant, m.integer(30)))
    # Close to a multiple of pi/2 the upper parts are nearly zero: the lower ones count, and none
    # may cancel another. So each is rounded, not cut off, and has a sign.
    sixteen, mask = m.integer(16), m.integer(0xFFFF)
    fraction = m.int_add(fraction, m.shift_right(lower, m.integer(31)))
    high = m.shift_right_signed(m.int_add(fraction, m.integer(0x8000)), sixteen)
    middle = m.int_sub(fraction, m.shift_left(high, sixteen))
    parts = (high, middle, m.shift_right_signed(lower, sixteen), m.int_and(lower, mask))
    high, middle, low, lowest = (m.to_float(part) for part in parts)
    remainder = m.fma(low, m.number(2.0**-46), m.mul(lowest, m.number(2.0**-62)))
    remainder = m.fma(middle, m.number(2.0**-30), remainder)
    remainder = m.fma(high, m.number(2.0**-14), remainder)
    return m.mul(remainder, m.number(1.5707963267948966)), quadrant


def _sine(m: Arithmetic[V], x: V, quadrants: int, sign: V) -> V:
    """sin(|x| + quadrants * pi/2), its sign flipped where the sign bit of `sign` is set."""
    size = absolute(m, x)
    n, quadrant = m.nearest(at_most(m, size, _LARGE_ANGLE), 0.6366197723675814)
    r = size
    for part in _HALF_PI:
        r = m.fma(n, m.number(-part), r)
    far, far_quadrant = _large_angle(m, size)
    near = m.compare("lt", size, m.number(_LARGE_ANGLE))
    r, quadrant = m.select(near, r, far), m.select(near, quadrant, far_quadrant)
    quadrant = m.int_add(quadrant, m.integer(quadrants))

    square = m.mul(r, r)
    sine = m.fma(m.mul(polynomial(m, square, _SIN), square), r, r)
    cosine = m.fma(square, m.number(-0.5), m.number(1.0))
    cosine = m.fma(m.mul(polynomial(m, square, _COS), square), square, cosine)
    odd = m.compare("eq", m.int_and(quadrant, m.integer(1)), m.integer(1))
    y = m.select(odd, cosine, sine)
    flip = m.shift_left(m.int_and(quadrant, m.integer(2)), m.integer(30))
    y = m.from_bits(m.int_add(m.int_add(m.bits(y), flip), sign))  # adding a sign bit flips it
    return m.select(m.compare("lt", size, m.number(INFINITY)), y, m.number(NAN))


def sin(m: Arithmetic[V], x: V) -> V:
    """The sine, for angles of any size; NaN at the infinities."""
    return _sine(m, x, 0, m.int_and(m.bits(x), m.integer(SIGN)))


def cos(m: Arithmetic[V], x: V) -> V:
    """The cosine, for angles of any size; NaN at the infinities."""
    return _sine(m, x, 1, m.integer(0))
