"""Inverses of the trigonometric and hyperbolic functions, to a few units in the last place.

Signs are multiplied in as constants, `ops.select(x < 0, -1, 1)`, and never taken by `abs`, whose
derivative at 0 is 0: an odd function has a slope there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, pi
from typing import Self

import numpy as np

from picograd.dialects.dtypes import compute_dtype, float64
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.methods.compositions import rounded_once
from picograd.frontend.methods.elementary import log1p
from picograd.frontend.promotion import broadcast_vars, common_device, float_type


class Inverses(TensorCore):
    """Angles and areas. Integers are turned into float32 first; outside of the domain is NaN."""

    def atan(self) -> Self:
        """The angle, from -pi/2 to pi/2, of which this is the tangent."""
        ops = self.builder()
        return self.wrap(_atan(ops, ops.cast(self.read(), float_type(self))))

    def asin(self) -> Self:
        """The angle, from -pi/2 to pi/2, of which this is the sine."""
        ops = self.builder()
        return self.wrap(_asin(ops, ops.cast(self.read(), float_type(self))))

    def acos(self) -> Self:
        """The angle, from 0 to pi, of which this is the cosine."""
        ops = self.builder()
        return self.wrap(_acos(ops, ops.cast(self.read(), float_type(self))))

    def asinh(self) -> Self:
        """The number of which this is the hyperbolic sine."""
        ops = self.builder()
        return self.wrap(_asinh(ops, ops.cast(self.read(), float_type(self))))

    def acosh(self) -> Self:
        """The positive number of which this is the hyperbolic cosine."""
        ops = self.builder()
        return self.wrap(_acosh(ops, ops.cast(self.read(), float_type(self))))

    def atanh(self) -> Self:
        """The number of which this is the hyperbolic tangent."""
        ops = self.builder()
        return self.wrap(_atanh(ops, ops.cast(self.read(), float_type(self))))

    def atan2(self, other: Operand) -> Self:
        """The angle, from -pi to pi, of the point with this as y and `other` as x."""
        pair = (self, plain(other))
        common_device(pair)
        ops, dtype = self.builder(), float_type(*pair)
        y, x = broadcast_vars(ops, pair, compute_dtype(dtype))
        return self.wrap(ops.cast(_atan2(ops, y, x), dtype))

    arctan = atan
    arcsin = asin
    arccos = acos
    arcsinh = asinh
    arccosh = acosh
    arctanh = atanh
    arctan2 = atan2


# Source: S. L. Moshier, Cephes Mathematical Library (1984-2000), atan.c: atan(t) is
# t + t z P(z) / Q(z) with z = t², good for float64 where |t| <= 0.66.
_P = (
    -8.750608600031904122785e-1,
    -1.615753718733365076637e1,
    -7.500855792314704667340e1,
    -1.228866684490136173410e2,
    -6.485021904942025371773e1,
)
_Q = (
    1.0,
    2.485846490142306297962e1,
    1.650270098316988542046e2,
    4.328810604912902668951e2,
    4.853903996359136964868e2,
    1.945506571482613964425e2,
)
_NEAR = 0.66
_PI_BEYOND_FLOAT64 = 1.2246467991473532e-16


def _polynomial(ops: Tape, z: Var, coefficients: Sequence[float]) -> Var:
    """The polynomial by Horner's rule, the highest power first."""
    value = ops.full_like(z, coefficients[0])
    for coefficient in coefficients[1:]:
        value = ops.add(ops.mul(value, z), ops.full_like(z, coefficient))
    return value


def _sign(ops: Tape, negative: Var, like: Var) -> Var:
    return ops.select(negative, ops.full_like(like, -1), ops.full_like(like, 1))


def _angle(ops: Tape, t: Var) -> Var:
    """atan(t) for t from 0 to 1: above 0.66 it is pi/4 + atan((t - 1) / (t + 1))."""
    one = ops.full_like(t, 1)
    far = ops.compare("gt", t, ops.full_like(t, _NEAR))
    u = ops.select(far, ops.div(ops.sub(t, one), ops.add(t, one)), t)
    z = ops.mul(u, u)
    ratio = ops.div(_polynomial(ops, z, _P), _polynomial(ops, z, _Q))
    near = ops.add(u, ops.mul(ops.mul(u, z), ratio))
    return ops.select(far, _plus(ops, near, pi / 4), near)


def _plus(ops: Tape, x: Var, angle: float) -> Var:
    """x and a multiple of pi, whose digits beyond those of the dtype are added first."""
    rounded = angle if ops.dtype_of(x) is float64 else float(np.float32(angle))
    rest = angle - rounded + angle / pi * _PI_BEYOND_FLOAT64
    return ops.add(ops.add(x, ops.full_like(x, rest)), ops.full_like(x, rounded))


@rounded_once
def _atan(ops: Tape, x: Var) -> Var:
    """The angle of |x|, or for more than 1 what that of 1 / |x| leaves of a right one."""
    one = ops.full_like(x, 1)
    sign = _sign(ops, ops.compare("lt", x, ops.full_like(x, 0)), x)
    size = ops.mul(sign, x)
    steep = ops.compare("gt", size, one)
    angle = _angle(ops, ops.select(steep, ops.div(one, ops.select(steep, size, one)), size))
    return ops.mul(sign, ops.select(steep, _plus(ops, ops.neg(angle), pi / 2), angle))


def _atan2(ops: Tape, y: Var, x: Var) -> Var:
    """The angle in the eighth of the plane between the x axis and its bisector, turned back."""
    zero, one = ops.full_like(x, 0), ops.full_like(x, 1)
    left, below = _has_sign(ops, x), _has_sign(ops, y)
    side, sign = _sign(ops, left, x), _sign(ops, below, y)
    a, b = ops.mul(side, x), ops.mul(sign, y)
    steep = ops.compare("gt", b, a)
    large, small = ops.select(steep, b, a), ops.select(steep, a, b)
    # Two zeros have the angle of (0, 1), two infinities that of (1, 1).
    equal = ops.compare("eq", large, small)
    known = ops.binary(
        "or", ops.compare("eq", large, zero), ops.compare("eq", large, ops.full_like(x, inf))
    )
    known = ops.binary("and", equal, known)
    fixed = ops.select(ops.compare("eq", large, zero), zero, one)
    ratio = ops.select(known, fixed, ops.div(small, ops.select(known, one, large)))
    angle = _angle(ops, ratio)
    angle = ops.select(steep, _plus(ops, ops.neg(angle), pi / 2), angle)
    angle = ops.select(left, _plus(ops, ops.neg(angle), pi), angle)
    return ops.mul(sign, angle)


def _has_sign(ops: Tape, x: Var) -> Var:
    """Whether an element is negative; of zeros, those whose reciprocal is."""
    zero, one = ops.full_like(x, 0), ops.full_like(x, 1)
    at_zero = ops.compare("eq", x, zero)
    return ops.compare("lt", ops.select(at_zero, ops.div(one, x), x), zero)


@rounded_once
def _asin(ops: Tape, x: Var) -> Var:
    """The angle of the point (sqrt(1 - x²), x); (1 - x) (1 + x) keeps the digits near 1."""
    one = ops.full_like(x, 1)
    square = ops.mul(ops.sub(one, x), ops.add(one, x))
    return _atan(ops, ops.div(x, ops.unary("sqrt", square)))


@rounded_once
def _acos(ops: Tape, x: Var) -> Var:
    """Twice the angle of the point (sqrt(1 + x), sqrt(1 - x))."""
    one = ops.full_like(x, 1)
    ratio = ops.div(ops.sub(one, x), ops.add(one, x))
    return ops.scale(_atan(ops, ops.unary("sqrt", ratio)), 2)


@rounded_once
def _atanh(ops: Tape, x: Var) -> Var:
    """Half the logarithm of (1 + x) / (1 - x), which is 1 + 2x / (1 - x)."""
    sign = _sign(ops, ops.compare("lt", x, ops.full_like(x, 0)), x)
    size = ops.mul(sign, x)
    ratio = ops.div(ops.scale(size, 2), ops.sub(ops.full_like(x, 1), size))
    return ops.mul(sign, ops.scale(log1p(ops, ratio), 0.5))


@rounded_once
def _asinh(ops: Tape, x: Var) -> Var:
    """log(x) + log(1 + sqrt(1 + 1/x²)) from 1 on, where nothing overflows; else by atanh."""
    one = ops.full_like(x, 1)
    sign = _sign(ops, ops.compare("lt", x, ops.full_like(x, 0)), x)
    size = ops.mul(sign, x)
    large = ops.compare("ge", size, one)
    safe = ops.select(large, size, one)
    back = ops.div(one, safe)
    root = ops.unary("sqrt", ops.add(one, ops.mul(back, back)))
    far = ops.add(ops.unary("log", safe), ops.unary("log", ops.add(one, root)))
    small = ops.select(large, ops.full_like(x, 0), x)
    near = _atanh(ops, ops.div(small, ops.unary("sqrt", ops.add(one, ops.mul(small, small)))))
    return ops.select(large, ops.mul(sign, far), near)


@rounded_once
def _acosh(ops: Tape, x: Var) -> Var:
    """log(x) + log1p(sqrt((1 - 1/x) (1 + 1/x))): no square that overflows."""
    one = ops.full_like(x, 1)
    # Farther out both factors are 1, and a GPU's divisions by numbers beyond 2**126 may give 0.
    far = ops.full_like(x, 2.0**60)
    safe = ops.select(ops.compare("gt", x, far), far, x)
    square = ops.mul(ops.div(ops.sub(safe, one), safe), ops.add(one, ops.div(one, safe)))
    near = log1p(ops, ops.unary("sqrt", square))
    return ops.add(ops.unary("log", x), near)
