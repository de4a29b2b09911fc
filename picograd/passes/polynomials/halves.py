"""Conversions between float32 and the 16-bit floats in integer arithmetic, for machines without.

They look at the bits of the numbers (IEEE 754-2019, section 3.4: one bit of sign, the exponent,
the fraction), so they round to nearest, ties to even, whatever a driver does to float arithmetic.
A 16-bit float is its bits here, as an int32 from 0 to 65535.
"""

from __future__ import annotations

from picograd.passes.polynomials.elementary import SIGN, Arithmetic, V

_INFINITY_BITS = 0x7F800000  # of float32, as all numbers of eight digits here
_SMALLEST_NORMAL16 = 0x38800000  # 2**-14
_BIAS16 = (127 - 15) << 23  # what the exponents of float32 and float16 differ by


def float16_bits(m: Arithmetic[V], x: V) -> V:
    """The float16 nearest to a float32: infinite from 65520 on, NaN for a NaN."""
    bits = m.bits(x)
    sign = m.shift_right(m.int_and(bits, m.integer(SIGN)), m.integer(16))
    size = m.int_and(bits, m.integer(0x7FFFFFFF))
    # What carries over from the fraction makes the exponent larger, up to that of infinity.
    normal = m.int_sub(_round_off(m, size, m.integer(13)), m.integer(_BIAS16 >> 13))
    infinity = m.integer(0x7C00)
    normal = m.select(m.compare("gt", normal, infinity), infinity, normal)
    normal = m.select(m.compare("gt", size, m.integer(_INFINITY_BITS)), m.integer(0x7E00), normal)
    is_small = m.compare("lt", size, m.integer(_SMALLEST_NORMAL16))
    return m.int_or(m.select(is_small, _multiple_of_smallest(m, size), normal), sign)


def _multiple_of_smallest(m: Arithmetic[V], size: V) -> V:
    """The number nearest to a small float32's bits, counted in float16's smallest, 2**-24.

    The fraction with its leading 1 counts the float's own last place, which lies so many bits
    lower that 25 of them leave nothing.
    """
    exponent = m.shift_right(size, m.integer(23))
    fraction = m.int_or(m.int_and(size, m.integer(0x7FFFFF)), m.integer(0x800000))
    places = m.int_sub(m.integer(126), exponent)
    most = m.integer(25)
    places = m.select(m.compare("gt", places, most), most, places)
    # A float that is not small has no business here: any count of places in range will do.
    least = m.integer(14)
    places = m.select(m.compare("lt", places, least), least, places)
    return _round_off(m, fraction, places)


def _round_off(m: Arithmetic[V], bits: V, places: V) -> V:
    """bits / 2**places, rounded to nearest, ties to even; places >= 1."""
    one = m.integer(1)
    odd = m.int_and(m.shift_right(bits, places), one)
    half = m.int_sub(m.shift_left(one, m.int_sub(places, one)), one)
    return m.shift_right(m.int_add(m.int_add(bits, half), odd), places)


def float16_value(m: Arithmetic[V], half: V) -> V:
    """The float32 that is equal to a float16."""
    sign = m.shift_left(m.int_and(half, m.integer(0x8000)), m.integer(16))
    size = m.int_and(half, m.integer(0x7FFF))
    moved = m.shift_left(size, m.integer(13))
    normal = m.int_add(moved, m.integer(_BIAS16))
    special = m.int_add(moved, m.integer(2 * _BIAS16))
    normal = m.select(m.compare("ge", size, m.integer(0x7C00)), special, normal)
    # The float of a whole number times a power of two: both exact, and no subnormal float32.
    small = m.bits(m.mul(m.to_float(m.int_and(size, m.integer(0x3FF))), m.number(2.0**-24)))
    bits = m.select(m.compare("lt", size, m.integer(0x400)), small, normal)
    return m.from_bits(m.int_or(bits, sign))


def bfloat16_bits(m: Arithmetic[V], x: V) -> V:
    """The bfloat16 nearest to a float32, whose upper half it is: NaN for a NaN."""
    bits = m.bits(x)
    size = m.int_and(bits, m.integer(0x7FFFFFFF))
    upper = m.shift_right(bits, m.integer(16))
    is_nan = m.compare("gt", size, m.integer(_INFINITY_BITS))
    quiet = m.int_or(upper, m.integer(0x40))
    return m.select(is_nan, quiet, _round_off(m, bits, m.integer(16)))


def bfloat16_value(m: Arithmetic[V], half: V) -> V:
    """The float32 that is equal to a bfloat16."""
    return m.from_bits(m.shift_left(half, m.integer(16)))
