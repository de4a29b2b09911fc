"""Activations as compositions of tensor ops, right in value and gradient for large arguments too.

What a branch does not choose must stay finite all the same: its gradient is 0 times its slope, and
0 times infinity is NaN. So the branches below get arguments that are clamped first.
"""

from __future__ import annotations

from picograd.frontend.autodiff.tape import Tape, Var, detached
from picograd.frontend.methods.compositions import sigmoid

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _positive(ops: Tape, x: Var) -> Var:
    return ops.compare("gt", x, ops.full_like(x, 0))


def _shift(ops: Tape, x: Var, number: float) -> Var:
    return ops.add(x, ops.full_like(x, number))


def expm1(ops: Tape, x: Var) -> Var:
    """exp(x) - 1, exact to the last digits near 0 as well.

    tanh(x / 2) (exp(x) + 1) is the same number without cancellation; the gradient takes the way
    through exp(x), where nothing cancels either.
    """
    power = ops.unary("exp", x)
    plain = _shift(ops, power, -1)
    half = ops.unary("tanh", ops.scale(detached(x), 0.5))
    exact = ops.mul(half, _shift(ops, detached(power), 1))
    return ops.add(plain, ops.sub(exact, detached(plain)))


def log1p(ops: Tape, y: Var) -> Var:
    """log(1 + y) for y >= 0, exact to the last digits where 1 + y rounds y away.

    What the sum lost is added again: log(u + lost) = log(u) + lost / u up to rounding.
    """
    u = _shift(ops, y, 1)
    known = detached(u)
    lost = ops.sub(detached(y), _shift(ops, known, -1))
    return ops.add(ops.unary("log", u), ops.div(lost, known))


def leaky_relu(ops: Tape, x: Var, slope: float) -> Var:
    """x, and times `slope` where it is not positive."""
    return ops.select(_positive(ops, x), x, ops.scale(x, slope))


def elu(ops: Tape, x: Var, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Var:
    """scale * x, and scale * alpha * (exp(inner * x) - 1) where x is not positive."""
    positive = _positive(ops, x)
    low = ops.select(positive, ops.full_like(x, 0), x)
    power = expm1(ops, low if inner == 1 else ops.scale(low, inner))
    negative = power if alpha * scale == 1 else ops.scale(power, alpha * scale)
    return ops.select(positive, x if scale == 1 else ops.scale(x, scale), negative)


def selu(ops: Tape, x: Var) -> Var:
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return elu(ops, x, SELU_ALPHA, SELU_SCALE)


def celu(ops: Tape, x: Var, alpha: float) -> Var:
    """elu whose slope is continuous at 0 for every alpha (Barron, 2017)."""
    return elu(ops, x, alpha, 1.0, 1 / alpha)


def clipped(ops: Tape, x: Var, low: float, high: float) -> Var:
    """x between two bounds; no gradient passes at the bounds, as PyTorch's hardtanh has it."""
    bottom, top = ops.full_like(x, low), ops.full_like(x, high)
    below = ops.select(ops.compare("ge", x, top), top, x)
    return ops.select(ops.compare("le", x, bottom), bottom, below)


def hardsigmoid(ops: Tape, x: Var) -> Var:
    """(x + 3) / 6 between 0 and 1."""
    return ops.div(clipped(ops, _shift(ops, x, 3), 0, 6), ops.full_like(x, 6))


def hardswish(ops: Tape, x: Var) -> Var:
    """x times its hardsigmoid."""
    return ops.mul(x, hardsigmoid(ops, x))


def silu(ops: Tape, x: Var) -> Var:
    """x times its sigmoid."""
    return ops.mul(x, sigmoid(ops, x))


def softplus(ops: Tape, x: Var) -> Var:
    """log(1 + exp(x))."""
    positive = _positive(ops, x)
    power = ops.unary("exp", ops.select(positive, ops.neg(x), x))
    above = ops.select(positive, x, ops.full_like(x, 0))
    return ops.add(above, log1p(ops, power))


def softplus_until(ops: Tape, x: Var, beta: float, threshold: float) -> Var:
    """softplus(beta * x) / beta, and x itself where beta * x exceeds the threshold."""
    if beta == 1:
        return ops.select(ops.compare("gt", x, ops.full_like(x, threshold)), x, softplus(ops, x))
    inner = ops.scale(x, beta)
    linear = ops.compare("gt", inner, ops.full_like(x, threshold))
    return ops.select(linear, x, ops.scale(softplus(ops, inner), 1 / beta))


def logsigmoid(ops: Tape, x: Var) -> Var:
    """The logarithm of the sigmoid."""
    return ops.neg(softplus(ops, ops.neg(x)))


def mish(ops: Tape, x: Var) -> Var:
    """x times tanh of its softplus (Misra, 2020)."""
    return ops.mul(x, ops.unary("tanh", softplus(ops, x)))


def softsign(ops: Tape, x: Var) -> Var:
    """x / (1 + |x|)."""
    return ops.div(x, _shift(ops, ops.unary("abs", x), 1))


def tanhshrink(ops: Tape, x: Var) -> Var:
    """x minus its hyperbolic tangent."""
    return ops.sub(x, ops.unary("tanh", x))


def hardshrink(ops: Tape, x: Var, limit: float) -> Var:
    """x, and 0 where it lies within the limit."""
    within = ops.compare("le", ops.unary("abs", x), ops.full_like(x, limit))
    return ops.select(within, ops.full_like(x, 0), x)


def softshrink(ops: Tape, x: Var, limit: float) -> Var:
    """x moved towards 0 by the limit, and 0 where it lies within."""
    above = ops.compare("gt", x, ops.full_like(x, limit))
    below = ops.compare("lt", x, ops.full_like(x, -limit))
    middle = ops.mul(x, ops.full_like(x, 0))  # 0, and NaN where x is
    lower = ops.select(below, _shift(ops, x, limit), middle)
    return ops.select(above, _shift(ops, x, -limit), lower)


def threshold(ops: Tape, x: Var, limit: float, value: float) -> Var:
    """x where it exceeds the limit, else the value; NaN stays."""
    low = ops.compare("le", x, ops.full_like(x, limit))
    return ops.select(low, ops.full_like(x, value), x)
