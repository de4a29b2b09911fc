"""Elementary functions of float32 as polynomials, written over an abstract arithmetic.

The same formulas serve elements and register tiles, the CPU and the GPU, so the devices agree to
a few units in the last place. They need fused or unfused multiply-add, comparison, selection, and
the bits of a float as an integer; they stay right when a driver flushes subnormal numbers to
zero and when it does not fuse. NaN, infinities and the sign of zero come out as IEEE 754 asks,
wherever the arithmetic underneath keeps them.

Sources of the coefficients:

- exp, log, tanh: S. L. Moshier, Cephes Mathematical Library, single precision
  (`expf.c`, `logf.c`, `tanhf.c`), https://www.netlib.org/cephes/
- erf: N. Juffa, "Efficiently computing the single-precision error function",
  https://stackoverflow.com/q/35148198 (minimax fits, below 1 ulp)
- pow: the logarithm as a sum of two floats after N. Juffa, "Accurate powf without double
  precision", https://stackoverflow.com/q/38979921
"""

from __future__ import annotations

from typing import Protocol, TypeVar

V = TypeVar("V")
"""A value of the arithmetic: float32, int32 or bool; an element or a tile."""


class Arithmetic(Protocol[V]):
    """What the formulas are written in. Integers are 32 bits wide and wrap around."""

    def number(self, value: float) -> V: ...
    def integer(self, value: int) -> V: ...

    def add(self, a: V, b: V) -> V: ...
    def sub(self, a: V, b: V) -> V: ...
    def mul(self, a: V, b: V) -> V: ...
    def div(self, a: V, b: V) -> V: ...

    def fma(self, a: V, b: V, c: V) -> V:
        """a * b + c, rounded once or twice."""
        ...

    def compare(self, predicate: str, a: V, b: V) -> V:
        """eq ne lt le gt ge, of floats or integers; on NaN only ne holds."""
        ...

    def select(self, condition: V, a: V, b: V) -> V: ...

    def bits(self, a: V) -> V: ...
    def from_bits(self, a: V) -> V: ...
    def to_float(self, a: V) -> V:
        """An integer from -2**22 to 2**22 as a float."""
        ...

    def int_add(self, a: V, b: V) -> V: ...
    def int_sub(self, a: V, b: V) -> V: ...
    def int_mul(self, a: V, b: V) -> V: ...
    def int_and(self, a: V, b: V) -> V: ...
    def int_or(self, a: V, b: V) -> V: ...
    def shift_left(self, a: V, b: V) -> V: ...
    def shift_right(self, a: V, b: V) -> V:
        """Logical."""
        ...

    def shift_right_signed(self, a: V, b: V) -> V: ...

    def floor(self, a: V) -> V: ...
    def nearest(self, a: V, factor: float, more: int = 0) -> tuple[V, V]:
        """The whole number nearest to a * factor, which is below 2**21; ties either way.

        As a float, and, with `more` added to it, as an integer that is equal to that modulo 2**22:
        its lowest bits are right.
        """
        ...

    @property
    def scales(self) -> bool:
        """Whether `scale` and `nearest_exactly` take an instruction or two."""
        ...

    def scale(self, a: V, n: V) -> V:
        """a * 2**n for any integer n, rounded once."""
        ...

    def nearest_exactly(self, a: V, factor: float) -> tuple[V, V]:
        """As `nearest`, all bits of the integer right."""
        ...

    def product_error(self, a: V, b: V, product: V) -> V:
        """a * b - product without rounding, where `product` is a * b rounded."""
        ...


SIGN = -(2**31)
INFINITY = float("inf")
NAN = float("nan")
_MIN_NORMAL = 2.0**-126
# log(2) in two parts; the first has so few bits that its product with an exponent is exact.
_LOG2_HIGH = 0.693359375
_LOG2_LOW = -2.12194440e-4
_LOG2_E = 1.44269504088896341

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_TANH = (
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
)
_ERF_SMALL = (
    -5.96761703e-4,
    4.99119423e-3,
    -2.67681349e-2,
    1.12819925e-1,
    -3.76125336e-1,
    1.28379166e-1,
)
_ATANH = (0.1293334961, 0.1419928074, 0.2000148296, 0.3333332539)


def polynomial(m: Arithmetic[V], x: V, coefficients: tuple[float, ...]) -> V:
    """Horner's rule, highest power first."""
    result = m.number(coefficients[0])
    for coefficient in coefficients[1:]:
        result = m.fma(result, x, m.number(coefficient))
    return result


def absolute(m: Arithmetic[V], x: V) -> V:
    return m.from_bits(m.int_and(m.bits(x), m.integer(2**31 - 1)))


def with_sign_of(m: Arithmetic[V], magnitude: V, x: V) -> V:
    sign = m.int_and(m.bits(x), m.integer(SIGN))
    return m.from_bits(m.int_or(m.bits(magnitude), sign))


def at_most(m: Arithmetic[V], x: V, bound: float) -> V:
    """min(x, bound) that keeps NaN."""
    limit = m.number(bound)
    return m.select(m.compare("gt", x, limit), limit, x)


def _reduced_exp(m: Arithmetic[V], x: V, tail: V | None = None, *, more: int = 0) -> tuple[V, V]:
    """exp(x + tail), the tail tiny, as a number from 0.7 to 1.5 and a power of two.

    The power is for `scale`, where there is that; else it is larger by `more`, and only its lowest
    bits count.
    """
    n, power = m.nearest_exactly(x, _LOG2_E) if m.scales else m.nearest(x, _LOG2_E, more)
    r = m.fma(n, m.number(-_LOG2_HIGH), x)
    r = m.fma(n, m.number(-_LOG2_LOW), r)
    if tail is not None:
        r = m.add(r, tail)
    rest = m.fma(polynomial(m, r, _EXP), m.mul(r, r), r)
    return m.add(rest, m.number(1.0)), power


def _near_exp(m: Arithmetic[V], x: V) -> V:
    """exp(x) for |x| < 87, where neither the result nor its scale overflows."""
    mantissa, power = _reduced_exp(m, x)
    if m.scales:
        return m.scale(mantissa, power)
    return m.mul(mantissa, _power_of_two(m, power))


def _power_of_two(m: Arithmetic[V], power: V) -> V:
    """2**power for an integer from -126 to 127, of which only the lowest 9 bits matter."""
    return m.from_bits(m.shift_left(m.int_add(power, m.integer(127)), m.integer(23)))


def exp(m: Arithmetic[V], x: V, tail: V | None = None) -> V:
    """e**x: infinity above 88.72, subnormal or 0 below -87.34. `tail` is a tiny addend to x.

    Without an instruction that scales, the power of two is multiplied in by two halves, because
    2**128 and 2**-149 are no normal numbers: the products then overflow and underflow by
    themselves. What is 0 is not computed by underflow, which costs a processor about 150 cycles:
    masked scores are -infinity.
    """
    zero = m.number(0.0)
    gone = m.compare("lt", x, m.number(-104.0))
    clamped = m.select(gone, zero, at_most(m, x, 89.0))
    if m.scales:
        return m.select(gone, zero, m.scale(*_reduced_exp(m, clamped, tail)))
    # As a float's exponent both halves are 127 larger, which the sum of both is from the start.
    mantissa, exponents = _reduced_exp(m, clamped, tail, more=2 * 127)
    half, shift = m.shift_right_signed(exponents, m.integer(1)), m.integer(23)
    scaled = m.mul(mantissa, m.from_bits(m.shift_left(half, shift)))
    other = m.from_bits(m.shift_left(m.int_sub(exponents, half), shift))
    return m.select(gone, zero, m.mul(scaled, other))


def _mantissa_and_exponent(m: Arithmetic[V], x: V) -> tuple[V, V]:
    """x = mantissa * 2**exponent, the mantissa from sqrt(1/2) to sqrt(2), the exponent a float."""
    small = m.compare("lt", x, m.number(_MIN_NORMAL))
    x = m.select(small, m.mul(x, m.number(2.0**23)), x)
    offset = m.integer(0x3F3504F3)  # the bits of sqrt(1/2)
    distance = m.int_sub(m.bits(x), offset)
    exponent = m.to_float(m.shift_right_signed(distance, m.integer(23)))
    exponent = m.add(exponent, m.select(small, m.number(-23.0), m.number(0.0)))
    mantissa = m.from_bits(m.int_add(m.int_and(distance, m.integer(0x7FFFFF)), offset))
    return mantissa, exponent


def log(m: Arithmetic[V], x: V) -> V:
    """The natural logarithm: -infinity at 0, NaN below."""
    mantissa, exponent = _mantissa_and_exponent(m, x)
    f = m.sub(mantissa, m.number(1.0))
    square = m.mul(f, f)
    y = m.mul(m.mul(f, square), polynomial(m, f, _LOG))
    y = m.fma(exponent, m.number(_LOG2_LOW), y)
    y = m.fma(square, m.number(-0.5), y)
    y = m.fma(exponent, m.number(_LOG2_HIGH), m.add(f, y))
    y = m.select(m.compare("lt", x, m.number(INFINITY)), y, x)  # infinity and NaN stay
    zero = m.number(0.0)
    edge = m.select(m.compare("eq", x, zero), m.number(-INFINITY), m.number(NAN))
    return m.select(m.compare("le", x, zero), edge, y)


def tanh(m: Arithmetic[V], x: V) -> V:
    """The hyperbolic tangent; exactly 1 above 9.02."""
    size = absolute(m, x)
    square = m.mul(x, x)
    small = m.fma(m.mul(polynomial(m, square, _TANH), square), size, size)
    e = _near_exp(m, m.mul(at_most(m, size, 10.0), m.number(2.0)))
    quotient = m.div(m.number(2.0), m.add(e, m.number(1.0)))
    large = m.sub(m.number(1.0), quotient)
    return with_sign_of(m, m.select(m.compare("lt", size, m.number(0.625)), small, large), x)


def erf(m: Arithmetic[V], x: V) -> V:
    """The error function; exactly 1 above 3.92."""
    square = m.mul(x, x)
    small = m.fma(polynomial(m, square, _ERF_SMALL), x, x)
    t = at_most(m, absolute(m, x), 4.0)
    s = m.mul(t, t)
    r = m.fma(m.number(-1.72853470e-5), t, m.number(3.83197126e-4))
    u = m.fma(m.number(-3.88396438e-3), t, m.number(2.42546219e-2))
    r = m.fma(r, s, u)
    for coefficient in (-1.06777877e-1, -6.34846687e-1, -1.28717512e-1):
        r = m.fma(r, t, m.number(coefficient))
    r = m.sub(m.mul(r, t), t)
    large = with_sign_of(m, m.sub(m.number(1.0), _near_exp(m, r)), x)
    return m.select(m.compare("gt", t, m.number(0.927734375)), large, small)


# Powers. The logarithm must be more accurate than a float, because the exponent multiplies its
# error: it is the sum of two floats.


def _long_log(m: Arithmetic[V], a: V) -> tuple[V, V]:
    """log(a) as high + low for finite a > 0, with a relative error of about 1e-9."""
    mantissa, exponent = _mantissa_and_exponent(m, a)
    # q = f / (f + 2) as a sum of two floats, so that log(1 + f) = 2 atanh(q)
    f = m.sub(mantissa, m.number(1.0))
    reciprocal = m.div(m.number(1.0), m.add(mantissa, m.number(1.0)))
    q = m.mul(reciprocal, f)
    product = m.mul(q, f)
    rest = m.sub(m.fma(q, m.number(-2.0), f), product)
    rest = m.sub(rest, m.product_error(q, f, product))
    q_low = m.mul(reciprocal, rest)
    # the cube of q as a sum of two floats
    square = m.mul(q, q)
    square_low = m.fma(q, m.add(q_low, q_low), m.product_error(q, q, square))
    cube = m.mul(square, q)
    cube_low = m.fma(square, q_low, m.fma(square_low, q, m.product_error(square, q, cube)))
    series = polynomial(m, square, _ATANH)
    low = m.fma(series, cube, m.fma(series, cube_low, q_low))
    # log(a) = 2 atanh(q) + exponent * log(2), in halves
    scaled = m.mul(exponent, m.number(_LOG2_HIGH / 2))
    half = m.add(scaled, q)
    low = m.add(m.sub(q, m.sub(half, scaled)), low)
    low = m.fma(exponent, m.number(_LOG2_LOW / 2), low)
    double, double_low = m.add(half, half), m.add(low, low)
    high = m.add(double, double_low)
    return high, m.add(m.sub(double, high), double_low)


def pow(m: Arithmetic[V], x: V, y: V) -> V:
    """x**y with the special cases of C's `powf`."""
    zero, one, infinity, nan = (m.number(v) for v in (0.0, 1.0, INFINITY, NAN))
    size = absolute(m, x)
    log_high, log_low = _long_log(m, size)
    log_high = m.select(m.compare("eq", size, zero), m.number(-INFINITY), log_high)
    log_high = m.select(m.compare("eq", size, infinity), infinity, log_high)
    exponent = m.mul(log_high, y)
    tail = m.fma(log_low, y, m.product_error(log_high, y, exponent))
    bounded = m.compare("lt", absolute(m, exponent), m.number(104.0))
    result = exp(m, exponent, m.select(bounded, tail, zero))
    result = m.select(m.compare("eq", size, one), one, result)
    # A negative base: odd whole exponents keep its sign, others than whole ones give NaN.
    whole = m.compare("eq", m.floor(y), y)
    half = m.mul(y, m.number(0.5))
    odd = m.select(m.compare("eq", m.floor(half), half), m.integer(0), m.integer(1))
    odd = m.select(whole, odd, m.integer(0))
    sign = m.int_and(m.bits(x), m.shift_left(odd, m.integer(31)))
    result = m.from_bits(m.int_or(m.bits(result), sign))
    broken = m.select(whole, result, nan)
    broken = m.select(m.compare("eq", size, infinity), result, broken)
    result = m.select(m.compare("lt", x, zero), broken, result)
    result = m.select(m.compare("ne", x, x), nan, result)
    result = m.select(m.compare("ne", y, y), nan, result)
    result = m.select(m.compare("eq", x, one), one, result)
    return m.select(m.compare("eq", y, zero), one, result)
