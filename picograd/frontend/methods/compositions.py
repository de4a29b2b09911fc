"""Functions of neural networks as compositions of tensor ops; fusion finds the kernels again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import inf, pi, prod, sqrt
from typing import Concatenate, ParamSpec

from picograd.dialects.dtypes import compute_dtype
from picograd.frontend.autodiff.tape import Tape, Var, detached

Rest = ParamSpec("Rest")


def rounded_once(
    function: Callable[Concatenate[Tape, Var, Rest], Var],
) -> Callable[Concatenate[Tape, Var, Rest], Var]:
    """Let a composition compute with half floats in float32, and round only its result.

    PyTorch does so in its kernels; a sum of many, or the power of a number, may well leave the
    range of float16 before the result is back in it.
    """

    @wraps(function)
    def apply(ops: Tape, x: Var, *args: Rest.args, **options: Rest.kwargs) -> Var:
        dtype = ops.dtype_of(x)
        if not dtype.is_half:
            return function(ops, x, *args, **options)
        return ops.cast(function(ops, ops.cast(x, compute_dtype(dtype)), *args, **options), dtype)

    return apply


def relu(ops: Tape, x: Var) -> Var:
    """max(x, 0).

    Not the op `maximum`, which gives each of two equal operands half of the gradient.
    """
    zero = ops.full_like(x, 0)
    return ops.select(ops.compare("le", x, zero), zero, x)


@rounded_once
def sigmoid(ops: Tape, x: Var) -> Var:
    """1 / (1 + exp(-x)): the power never overflows, and small values keep all their digits."""
    positive = ops.compare("gt", x, ops.full_like(x, 0))
    power = ops.unary("exp", ops.select(positive, ops.neg(x), x))
    one = ops.full_like(x, 1)
    return ops.div(ops.select(positive, one, power), ops.add(power, one))


@rounded_once
def gelu(ops: Tape, x: Var) -> Var:
    """x times the normal distribution function."""
    inner = ops.unary("erf", ops.scale(x, 1 / sqrt(2)))
    return ops.mul(ops.scale(x, 0.5), ops.add(inner, ops.full_like(inner, 1)))


@rounded_once
def gelu_tanh(ops: Tape, x: Var) -> Var:
    """The approximation of gelu by tanh (Hendrycks and Gimpel, 2016)."""
    cube = ops.mul(ops.mul(x, x), x)
    inner = ops.scale(ops.add(x, ops.scale(cube, 0.044715)), sqrt(2 / pi))
    tanh = ops.unary("tanh", inner)
    return ops.mul(ops.scale(x, 0.5), ops.add(tanh, ops.full_like(tanh, 1)))


@rounded_once
def mean(ops: Tape, x: Var, axes: Sequence[int]) -> Var:
    """The arithmetic mean along the axes, which disappear; NaN for no elements."""
    return _divided(ops, ops.reduce("add", x, axes), count(ops, x, axes))


@rounded_once
def variance(ops: Tape, x: Var, axes: Sequence[int], correction: float) -> Var:
    """Squared deviations from the mean, summed along the axes and divided by n - correction."""
    shape = ops.shape_of(x)
    deviation = ops.sub(x, ops.broadcast_along(mean(ops, x, axes), shape, axes))
    total = ops.reduce("add", ops.mul(deviation, deviation), axes)
    return _divided(ops, total, max(count(ops, x, axes) - correction, 0))


def root(ops: Tape, x: Var) -> Var:
    """The square root; where it is 0 its gradient is 0 as well, not infinite."""
    zero = ops.full_like(x, 0)
    at_zero = ops.compare("eq", x, zero)
    safe = ops.select(at_zero, ops.full_like(x, 1), x)
    return ops.select(at_zero, zero, ops.unary("sqrt", safe))


def count(ops: Tape, x: Var, axes: Sequence[int]) -> int:
    """How many elements a reduction along the axes combines."""
    return prod(ops.shape_of(x)[axis] for axis in axes)


def _divided(ops: Tape, x: Var, divisor: float) -> Var:
    return ops.div(x, ops.full_like(x, divisor))


def layer_norm(ops: Tape, x: Var, axes: Sequence[int], epsilon: float) -> Var:
    """x minus its mean, divided by its standard deviation, along the axes."""
    shape = ops.shape_of(x)
    centered = ops.sub(x, ops.broadcast_along(mean(ops, x, axes), shape, axes))
    spread = mean(ops, ops.mul(centered, centered), axes)
    scale = ops.unary("rsqrt", ops.add(spread, ops.full_like(spread, epsilon)))
    return ops.mul(centered, ops.broadcast_along(scale, shape, axes))


def shifted(ops: Tape, x: Var, axes: Sequence[int]) -> tuple[Var, Var]:
    """x minus its maximum along the axes, and the maximum, which no gradient needs to pass."""
    largest = ops.reduce("max", detached(x), axes)
    return ops.sub(x, ops.broadcast_along(largest, ops.shape_of(x), axes)), largest


@rounded_once
def softmax(ops: Tape, x: Var, axes: Sequence[int]) -> Var:
    """exp(x) / sum(exp(x)) along the axes, shifted by the maximum so that nothing overflows."""
    if 0 in ops.shape_of(x):
        return x
    powers = ops.unary("exp", shifted(ops, x, axes)[0])
    total = ops.reduce("add", powers, axes)
    # One division a row: quotients of all elements, rightly rounded, would take another 8 %.
    share = ops.div(ops.full_like(total, 1), total)
    return ops.mul(powers, ops.broadcast_along(share, ops.shape_of(x), axes))


@rounded_once
def log_softmax(ops: Tape, x: Var, axes: Sequence[int]) -> Var:
    """The logarithm of the softmax, exact where the softmax itself is tiny."""
    if 0 in ops.shape_of(x):
        return x
    small, _ = shifted(ops, x, axes)
    total = ops.unary("log", ops.reduce("add", ops.unary("exp", small), axes))
    return ops.sub(small, ops.broadcast_along(total, ops.shape_of(x), axes))


@rounded_once
def logsumexp(ops: Tape, x: Var, axes: Sequence[int]) -> Var:
    """log(sum(exp(x))) along the axes, shifted by the maximum so that nothing overflows.

    A row with an infinite maximum is not shifted: inf - inf would be NaN.
    """
    if count(ops, x, axes) == 0:
        return ops.unary("log", ops.reduce("add", x, axes))  # of no powers: -inf
    largest = ops.reduce("max", detached(x), axes)
    infinite = ops.compare("eq", ops.unary("abs", largest), ops.full_like(largest, inf))
    moved = ops.select(infinite, ops.full_like(largest, 0), largest)
    small = ops.sub(x, ops.broadcast_along(moved, ops.shape_of(x), axes))
    return ops.add(ops.unary("log", ops.reduce("add", ops.unary("exp", small), axes)), moved)


def picked(ops: Tape, x: Var, index: Var, axis: int) -> Var:
    """The elements x[…, index[…], …] along an axis that `index` and the result lack."""
    shape = ops.shape_of(x)
    kept = [1 if a == axis else size for a, size in enumerate(shape)]
    return ops.reshape(ops.gather(x, ops.reshape(index, kept), axis), ops.shape_of(index))


def taken(ops: Tape, x: Var, index: Var, axis: int) -> Var:
    """Whole slices x[…, index, …]: the axis is replaced by the axes of `index`."""
    shape, at = ops.shape_of(x), ops.shape_of(index)
    flat = [prod(at) if a == axis else 1 for a in range(len(shape))]
    full = [prod(at) if a == axis else size for a, size in enumerate(shape)]
    spread = ops.broadcast(ops.reshape(index, flat), full)
    return ops.reshape(ops.gather(x, spread, axis), (*shape[:axis], *at, *shape[axis + 1 :]))


def wrapped_index(ops: Tape, index: Var, size: int) -> Var:
    """An index in which negative numbers count from the end."""
    negative = ops.compare("lt", index, ops.full_like(index, 0))
    return ops.select(negative, ops.add(index, ops.full_like(index, size)), index)


def trunc(ops: Tape, x: Var) -> Var:
    """The whole part, rounded towards 0; integers as they are."""
    if not ops.dtype_of(x).is_float:
        return x
    negative = ops.compare("lt", x, ops.full_like(x, 0))
    return ops.select(negative, ops.unary("ceil", x), ops.unary("floor", x))


def fmod(ops: Tape, a: Var, b: Var) -> Var:
    """The remainder of truncated division, which has the sign of `a`.

    The op's remainder has the sign of `b`: of floats it is taken of the magnitudes, for then it is
    exact; of integers it is moved over, since the lowest one has no magnitude.
    """
    zero = ops.full_like(a, 0)
    negative = ops.compare("lt", a, zero)
    if ops.dtype_of(a).is_float:
        size = ops.select(negative, ops.neg(a), a)
        rest = ops.binary("remainder", size, ops.unary("abs", b))
        return ops.select(negative, ops.neg(rest), rest)
    rest = ops.binary("remainder", a, b)
    other_side = ops.compare("ne", negative, ops.compare("lt", rest, zero))
    some = ops.compare("ne", rest, zero)
    return ops.select(ops.binary("and", some, other_side), ops.sub(rest, b), rest)


def truncated_quotient(ops: Tape, a: Var, b: Var) -> Var:
    """a / b rounded towards 0; of integers by 0 it is 0."""
    if ops.dtype_of(a).is_float:
        return trunc(ops, ops.div(a, b))
    quotient = ops.binary("floordiv", a, b)
    zero, one = ops.full_like(a, 0), ops.full_like(a, 1)
    inexact = ops.compare("ne", ops.mul(quotient, b), a)
    below = ops.binary("and", inexact, ops.compare("lt", quotient, zero))
    divided = ops.binary("and", below, ops.compare("ne", b, zero))
    return ops.select(divided, ops.add(quotient, one), quotient)
