"""Lengths, distances and angles between vectors, as in `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from picograd.errors import OptionError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.problems import located
from picograd.frontend.promotion import broadcast_vars, common_device, require_float, result_type
from picograd.frontend.tensor import Tensor


def _length(ops: Tape, x: Var, axes: Sequence[int], p: float) -> Var:
    """The p-norm along the axes; its gradient at 0 is 0, as PyTorch's."""
    size = ops.unary("abs", x)
    if p == inf:
        return ops.reduce("max", size, axes)
    if p == 1:
        return ops.reduce("add", size, axes)
    power = ops.mul(x, x) if p == 2 else ops.binary("pow", size, ops.full_like(size, p))
    total = ops.reduce("add", power, axes)
    zero, one = ops.full_like(total, 0), ops.full_like(total, 1)
    empty = ops.compare("eq", total, zero)
    safe = ops.select(empty, one, total)
    root = ops.unary("sqrt", safe) if p == 2 else _power(ops, safe, 1 / p)
    return ops.select(empty, zero, root)


def _power(ops: Tape, x: Var, exponent: float) -> Var:
    return ops.binary("pow", x, ops.full_like(x, exponent))


def _check_order(p: float, name: str) -> None:
    if not p > 0:
        raise located(
            OptionError(
                f"{name} takes norms of a positive order",
                code="PG802",
                expected="p > 0",
                found=p,
                hint="pass p=2 for the Euclidean length, p=1 for the sum of sizes",
            )
        )


def _at_least(ops: Tape, x: Var, least: float) -> Var:
    limit = ops.full_like(x, least)
    return ops.select(ops.compare("lt", x, limit), limit, x)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its p-norm along `dim`, or by eps where the norm is smaller."""
    require_float(input, "normalize")
    _check_order(p, "normalize")
    axis = normalize_axis(dim, input.ndim)
    axes = (axis,) if input.ndim else ()
    ops, x = input.builder(), input.read()
    length = _at_least(ops, _length(ops, x, axes, p), eps)
    return input.wrap(ops.div(x, ops.broadcast_along(length, input.shape, axes)))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (|x1| |x2|) along `dim`; neither length counts as less than eps."""
    common_device((x1, x2))
    dtype = result_type(x1, x2)
    for x in (x1, x2):
        require_float(x, "cosine_similarity")
    ops = x1.builder()
    a, b = broadcast_vars(ops, (x1, x2), dtype)
    axis = normalize_axis(dim, len(ops.shape_of(a)))
    axes = (axis,) if ops.shape_of(a) else ()
    unit_a, unit_b = (
        ops.div(
            x,
            ops.broadcast_along(
                _at_least(ops, _length(ops, x, axes, 2), eps), ops.shape_of(x), axes
            ),
        )
        for x in (a, b)
    )
    return x1.wrap(ops.reduce("add", ops.mul(unit_a, unit_b), axes))


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    require_float(x1, "pairwise_distance")
    _check_order(p, "pairwise_distance")
    away = x1 - x2 + eps
    ops = away.builder()
    axes = (away.ndim - 1,) if away.ndim else ()
    length = _length(ops, away.read(), axes, p)
    if keepdim:
        length = ops.reshape(length, (*away.shape[:-1], 1))
    return away.wrap(length)
