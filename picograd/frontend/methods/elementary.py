"""Functions of floats that are compositions of others, chosen so that no digits are lost."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Self

from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.promotion import broadcast_vars, common_device, float_type


class Elementary(TensorCore):
    """Logarithms, exponentials, hyperbolic functions. Integers are turned into float32 first."""

    def _composed(self, function: Callable[[Tape, Var], Var]) -> Self:
        ops = self.builder()
        return self.wrap(function(ops, ops.cast(self.read(), float_type(self))))

    def _composed_of_two(self, other: Operand, function: Callable[[Tape, Var, Var], Var]) -> Self:
        pair = (self, plain(other))
        common_device(pair)
        ops = self.builder()
        return self.wrap(function(ops, *broadcast_vars(ops, pair, float_type(*pair))))

    def log1p(self) -> Self:
        """log(1 + x), exact for small x too."""
        return self._composed(log1p)

    def expm1(self) -> Self:
        """exp(x) - 1, exact for small x too."""
        return self._composed(expm1)

    def log2(self) -> Self:
        """The logarithm to base 2."""
        return self._composed(lambda ops, x: ops.scale(ops.unary("log", x), 1 / log(2)))

    def log10(self) -> Self:
        """The logarithm to base 10."""
        return self._composed(lambda ops, x: ops.scale(ops.unary("log", x), 1 / log(10)))

    def exp2(self) -> Self:
        """2 to the power of x."""
        return self._composed(lambda ops, x: ops.binary("pow", ops.full_like(x, 2), x))

    def sinh(self) -> Self:
        """The hyperbolic sine."""
        return self._composed(_sinh)

    def cosh(self) -> Self:
        """The hyperbolic cosine."""
        return self._composed(_cosh)

    def tan(self) -> Self:
        """The tangent, sin(x) / cos(x)."""
        return self._composed(lambda ops, x: ops.div(ops.unary("sin", x), ops.unary("cos", x)))

    def logaddexp(self, other: Operand) -> Self:
        """log(exp(self) + exp(other)), which never overflows."""
        return self._composed_of_two(other, _logaddexp)

    def hypot(self, other: Operand) -> Self:
        """The square root of self² + other², which never overflows on the way."""
        return self._composed_of_two(other, _hypot)


def log1p(ops: Tape, x: Var) -> Var:
    """log(1 + x): the logarithm of the rounded sum u, corrected by x / (u - 1).

    Source: D. Goldberg, "What every computer scientist should know about floating-point arithmetic"
    (1991), theorem 4. Far from 0 the sum needs no correction.
    """
    half, one = ops.full_like(x, 0.5), ops.full_like(x, 1)
    large = ops.compare("gt", ops.unary("abs", x), half)
    small = ops.select(large, half, x)
    near = ops.add(small, one)
    same = ops.compare("eq", near, one)
    ratio = ops.div(small, ops.select(same, one, ops.sub(near, one)))
    corrected = ops.select(same, small, ops.mul(ops.unary("log", near), ratio))
    return ops.select(large, ops.unary("log", ops.add(x, one)), corrected)


def expm1(ops: Tape, x: Var) -> Var:
    """exp(x) - 1 as tanh(x / 2) * (exp(x) + 1), in which nothing cancels."""
    tanh = ops.unary("tanh", ops.scale(x, 0.5))
    return ops.mul(tanh, ops.add(ops.unary("exp", x), ops.full_like(x, 1)))


def _halves(ops: Tape, x: Var) -> tuple[Var, Var]:
    """exp(x) / 2 and exp(-x) / 2, of which the first overflows no sooner than it must."""
    root = ops.unary("exp", ops.scale(x, 0.5))
    back = ops.unary("exp", ops.scale(x, -0.5))
    return ops.mul(ops.scale(root, 0.5), root), ops.mul(ops.scale(back, 0.5), back)


def _sinh(ops: Tape, x: Var) -> Var:
    """2 t / (1 - t²) with t = tanh(x / 2) near 0, where exponentials would cancel."""
    one = ops.full_like(x, 1)
    small = ops.compare("lt", ops.unary("abs", x), one)
    t = ops.unary("tanh", ops.scale(ops.select(small, x, ops.full_like(x, 0)), 0.5))
    near = ops.div(ops.scale(t, 2), ops.sub(one, ops.mul(t, t)))
    return ops.select(small, near, ops.sub(*_halves(ops, x)))


def _cosh(ops: Tape, x: Var) -> Var:
    return ops.add(*_halves(ops, x))


def _logaddexp(ops: Tape, a: Var, b: Var) -> Var:
    """The larger one plus log1p(exp(-|a - b|)); equal infinities have no difference."""
    equal = ops.compare("eq", a, b)
    apart = ops.select(equal, ops.full_like(a, 0), ops.sub(a, b))
    rest = log1p(ops, ops.unary("exp", ops.neg(ops.unary("abs", apart))))
    return ops.add(ops.binary("maximum", a, b), rest)


def _hypot(ops: Tape, a: Var, b: Var) -> Var:
    """The larger one times sqrt(1 + (smaller / larger)²)."""
    a, b = ops.unary("abs", a), ops.unary("abs", b)
    large, small = ops.binary("maximum", a, b), ops.binary("minimum", a, b)
    one, infinity = ops.full_like(a, 1), ops.full_like(a, float("inf"))
    plain = ops.binary(
        "and",
        ops.compare("ne", large, ops.full_like(a, 0)),
        ops.compare("ne", large, infinity),
    )
    ratio = ops.div(ops.select(plain, small, ops.full_like(a, 0)), ops.select(plain, large, one))
    return ops.mul(large, ops.unary("sqrt", ops.add(one, ops.mul(ratio, ratio))))
