"""Gradient rules: for each op, the gradients of its operands from that of its result.

`GRADIENTS` has a row for every op class: a rule, or the reason why there is none. A rule receives
the builder `ops`, the `call` that it differentiates, and `grad`, a value of the result's type. It
returns one entry for each operand: a value of the operand's type, or None where no gradient flows
(integers and bools). Rules build ops and nothing else, so the same rules serve the eager tape and
a trace.

Where a function has no derivative the rules follow PyTorch: `abs` has 0 at 0; `maximum` and
`minimum` give each of two equal operands half; a `max` or `min` reduction shares its gradient
evenly among ties.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import Any, TypeVar

from picograd.dialects.dtypes import DType, dtype_of, int64
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceKind,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterKind,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryKind,
    UnaryOp,
    WindowsOp,
    int_value,
    ints,
)
from picograd.dialects.tensor_base import kind_of
from picograd.semantics import gradients_order, gradients_windows
from picograd.semantics.builder import Ops
from picograd.semantics.gradient_call import Call, NotDifferentiable, Rule
from picograd.semantics.gradients_products import products_of_others

__all__ = ["GRADIENTS", "Call", "NotDifferentiable", "Rule", "embed"]

V = TypeVar("V")


def _shape(call: Call[V], index: int) -> tuple[int, ...]:
    return call.operand_types[index].get_shape()


def _where_nonzero(ops: Ops[V], condition_of: V, value: V, otherwise: V) -> V:
    """`value` where `condition_of` is not 0, else `otherwise`."""
    nonzero = ops.compare("ne", condition_of, ops.full_like(condition_of, 0))
    return ops.select(nonzero, value, otherwise)


# Elementwise


def _neg(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.neg(grad)


def _abs(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.mul(grad, ops.unary("sign", call.operand(0)))


def _exp(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.mul(grad, call.result())


def _log(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.div(grad, call.operand(0))


def _sqrt(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.div(grad, ops.scale(call.result(), 2))


def _rsqrt(ops: Ops[V], call: Call[V], grad: V) -> V:
    y = call.result()
    return ops.mul(grad, ops.scale(ops.mul(y, ops.mul(y, y)), -0.5))


def _sin(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.mul(grad, ops.unary("cos", call.operand(0)))


def _cos(ops: Ops[V], call: Call[V], grad: V) -> V:
    return ops.neg(ops.mul(grad, ops.unary("sin", call.operand(0))))


def _tanh(ops: Ops[V], call: Call[V], grad: V) -> V:
    y = call.result()
    return ops.mul(grad, ops.sub(ops.full_like(y, 1), ops.mul(y, y)))


def _erf(ops: Ops[V], call: Call[V], grad: V) -> V:
    x = call.operand(0)
    density = ops.scale(ops.unary("exp", ops.neg(ops.mul(x, x))), 2 / sqrt(pi))
    return ops.mul(grad, density)


def _rounded(ops: Ops[V], call: Call[V], grad: V) -> V:
    return grad  # as for the cast that it stands for


_UNARY: dict[UnaryKind, Callable[[Ops[Any], Call[Any], Any], Any]] = {
    UnaryKind.NEG: _neg,
    UnaryKind.ABS: _abs,
    UnaryKind.EXP: _exp,
    UnaryKind.LOG: _log,
    UnaryKind.SQRT: _sqrt,
    UnaryKind.RSQRT: _rsqrt,
    UnaryKind.SIN: _sin,
    UnaryKind.COS: _cos,
    UnaryKind.TANH: _tanh,
    UnaryKind.ERF: _erf,
    UnaryKind.ROUND_FLOAT16: _rounded,
    UnaryKind.ROUND_BFLOAT16: _rounded,
}
_FLAT = (UnaryKind.SIGN, UnaryKind.FLOOR, UnaryKind.CEIL, UnaryKind.ROUND)
"""Constant almost everywhere: their gradient is 0. The last kind, `not`, has no floats."""


def _unary(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    kind = kind_of(call.properties)
    if kind in _FLAT:
        return (ops.full_like(grad, 0),)
    rule = _UNARY.get(kind)
    return (None if rule is None else rule(ops, call, grad),)


def _add(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    return grad, grad


def _sub(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    return grad, ops.neg(grad) if call.needs(1) else None


def _mul(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    a = ops.mul(grad, call.operand(1)) if call.needs(0) else None
    b = ops.mul(grad, call.operand(0)) if call.needs(1) else None
    return a, b


def _div(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    by = ops.div(grad, call.operand(1))
    if not call.needs(1):
        return by, None
    quotient = ops.div(call.operand(0), call.operand(1))
    return by, ops.mul(by, ops.neg(quotient))


def _remainder(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    # a - b * floor(a / b), where floor is constant almost everywhere.
    if not call.needs(1):
        return grad, None
    times = ops.binary(BinaryKind.FLOORDIV, call.operand(0), call.operand(1))
    return grad, ops.neg(ops.mul(grad, times))


def _floordiv(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    return ops.full_like(grad, 0), ops.full_like(grad, 0)


def _pow(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    base, exponent = call.operand(0), call.operand(1)
    zero = ops.full_like(grad, 0)
    a: V | None = None
    b: V | None = None
    if call.needs(0):
        # b * a**(b - 1), which is 0 for b = 0. There the lower power must be finite, also for its
        # own derivative, so the exponent stays 0.
        less = _where_nonzero(
            ops, exponent, ops.sub(exponent, ops.full_like(exponent, 1)), exponent
        )
        lower = ops.binary(BinaryKind.POW, base, less)
        slope = ops.mul(grad, ops.mul(exponent, lower))
        a = _where_nonzero(ops, exponent, slope, zero)
    if call.needs(1):
        # a**b * log(a), which is 0 for a = 0 and b >= 0 although log(0) is infinite.
        at_zero = ops.binary(
            BinaryKind.AND, ops.compare("eq", base, zero), ops.compare("ge", exponent, zero)
        )
        logarithm = ops.unary("log", ops.select(at_zero, ops.full_like(base, 1), base))
        slope = ops.mul(grad, ops.mul(call.result(), logarithm))
        b = ops.select(at_zero, zero, slope)
    return a, b


def _extremum(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    a, b = call.operand(0), call.operand(1)
    half, zero = ops.scale(grad, 0.5), ops.full_like(grad, 0)
    tie = ops.compare("eq", a, b)
    greater = kind_of(call.properties) == BinaryKind.MAXIMUM

    shared = ops.select(tie, half, grad)
    # As in PyTorch both operands get the gradient when a NaN makes every comparison false.
    loses_a = ops.compare("lt" if greater else "gt", a, b)
    loses_b = ops.compare("gt" if greater else "lt", a, b)
    return (
        ops.select(loses_a, zero, shared) if call.needs(0) else None,
        ops.select(loses_b, zero, shared) if call.needs(1) else None,
    )


_BINARY: dict[BinaryKind, Rule] = {
    BinaryKind.ADD: _add,
    BinaryKind.SUB: _sub,
    BinaryKind.MUL: _mul,
    BinaryKind.DIV: _div,
    BinaryKind.FLOORDIV: _floordiv,
    BinaryKind.REMAINDER: _remainder,
    BinaryKind.POW: _pow,
    BinaryKind.MAXIMUM: _extremum,
    BinaryKind.MINIMUM: _extremum,
}
"""The other kinds (and, or, xor, shl, shr) have no float operands."""


def _binary(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    rule = _BINARY.get(kind_of(call.properties))
    return (None, None) if rule is None else rule(ops, call, grad)


def _select(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    condition, zero = call.operand(0), ops.full_like(grad, 0)
    return (
        None,
        ops.select(condition, grad, zero) if call.needs(1) else None,
        ops.select(condition, zero, grad) if call.needs(2) else None,
    )


def _cast(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    source = dtype_of(call.operand_types[0])
    return (ops.cast(grad, source) if source.is_float else None,)


# Reductions and products


def _reduce(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    kind, axes = kind_of(call.properties), ints(call.properties["axes"])
    shape = _shape(call, 0)
    if kind == ReduceKind.ADD:
        return (ops.broadcast_along(grad, shape, axes),)
    if kind == ReduceKind.MUL:
        others = products_of_others(ops, call.operand(0), axes)
        return (ops.mul(ops.broadcast_along(grad, shape, axes), others),)
    if kind in (ReduceKind.MAX, ReduceKind.MIN):
        chosen = ops.compare("eq", call.operand(0), ops.broadcast_along(call.result(), shape, axes))
        mask = ops.cast(chosen, ops.dtype_of(grad))
        share = ops.div(grad, ops.reduce("add", mask, axes))
        return (ops.mul(ops.broadcast_along(share, shape, axes), mask),)
    return (None,)


def _matmul(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    rank = len(_shape(call, 0))
    swap = [*range(rank - 2), rank - 1, rank - 2]
    a = ops.matmul(grad, ops.permute(call.operand(1), swap)) if call.needs(0) else None
    b = ops.matmul(ops.permute(call.operand(0), swap), grad) if call.needs(1) else None
    return a, b


# Views and moving elements


def _reshape(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    return (ops.reshape(grad, _shape(call, 0)),)


def _permute(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    permutation = ints(call.properties["permutation"])
    return (ops.permute(grad, [permutation.index(axis) for axis in range(len(permutation))]),)


def _broadcast(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    old, new = _shape(call, 0), call.result_type.get_shape()
    added = len(new) - len(old)
    repeated = [axis for axis in range(added, len(new)) if old[axis - added] != new[axis]]
    summed = ops.reduce("add", grad, [*range(added), *repeated])
    return (ops.reshape(summed, old),)


def _slice(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    starts, steps = ints(call.properties["starts"]), ints(call.properties["steps"])
    return (embed(ops, grad, _shape(call, 0), starts, steps),)


def embed(
    ops: Ops[V], part: V, shape: Sequence[int], starts: Sequence[int], steps: Sequence[int]
) -> V:
    """Zeros of `shape`, with `part` where a slice of these starts and steps reads."""
    sizes = ops.shape_of(part)
    if 0 in sizes:
        return ops.full(shape, 0, ops.dtype_of(part))
    ends = [a + (n - 1) * s + 1 for a, n, s in zip(starts, sizes, steps, strict=True)]
    high = [size - end for size, end in zip(shape, ends, strict=True)]
    return ops.pad(part, starts, high, [step - 1 for step in steps])


def _reverse(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    return (ops.reverse(grad, ints(call.properties["axes"])),)


def _pad(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    shape = _shape(call, 0)
    low, interior = ints(call.properties["low"]), ints(call.properties["interior"])
    if 0 in shape:
        return (ops.full(shape, 0, ops.dtype_of(grad)),)
    steps = [between + 1 for between in interior]
    limits = [a + (n - 1) * s + 1 for a, n, s in zip(low, shape, steps, strict=True)]
    return (ops.slice(grad, low, limits, steps),)


def _concat(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    axis, start = int_value(call.properties["axis"]), 0
    parts: list[V | None] = []
    for index, type in enumerate(call.operand_types):
        shape = type.get_shape()
        starts = [start if a == axis else 0 for a in range(len(shape))]
        limits = [a + n for a, n in zip(starts, shape, strict=True)]
        needed = call.needs(index)
        parts.append(ops.slice(grad, starts, limits, [1] * len(shape)) if needed else None)
        start += shape[axis]
    return parts


def _gather(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    axis = int_value(call.properties["axis"])
    zero = ops.full(_shape(call, 0), 0, ops.dtype_of(grad))
    return ops.scatter(ScatterKind.ADD, zero, call.operand(1), grad, axis), None


def _scatter(ops: Ops[V], call: Call[V], grad: V) -> Sequence[V | None]:
    axis, index = int_value(call.properties["axis"]), call.operand(1)
    if kind_of(call.properties) == ScatterKind.ADD:
        return grad, None, ops.gather(grad, index, axis) if call.needs(2) else None
    shape = _shape(call, 1)
    hidden = ops.full(shape, 0, ops.dtype_of(grad))
    x = ops.scatter(ScatterKind.SET, grad, index, hidden, axis) if call.needs(0) else None
    if not call.needs(2):
        return x, None, None
    # Of several updates to one element only the last one shows.
    position = _positions(ops, shape, axis)
    unset = ops.full(_shape(call, 0), 0, int64)
    last = ops.scatter(ScatterKind.SET, unset, index, position, axis)
    shows = ops.compare("eq", ops.gather(last, index, axis), position)
    return x, None, ops.select(shows, ops.gather(grad, index, axis), hidden)


def _positions(ops: Ops[V], shape: Sequence[int], axis: int, dtype: DType = int64) -> V:
    """0, 1, 2, … along one axis of a shape."""
    along = [size if a == axis else 1 for a, size in enumerate(shape)]
    return ops.broadcast(ops.reshape(ops.iota(shape[axis], dtype), along), shape)


_NO_OPERANDS = NotDifferentiable("it has no operands")

GRADIENTS: dict[type[TensorOp], Rule | NotDifferentiable] = {
    ConstantOp: _NO_OPERANDS,
    IotaOp: _NO_OPERANDS,
    RandomBitsOp: NotDifferentiable("its operand and its result are integers"),
    UnaryOp: _unary,
    BinaryOp: _binary,
    CompareOp: NotDifferentiable("its result is bool"),
    SelectOp: _select,
    CastOp: _cast,
    ReduceOp: _reduce,
    ArgReduceOp: NotDifferentiable("its result is an index"),
    ScanOp: gradients_order.scan,
    ArgSortOp: NotDifferentiable("its result is indices"),
    MatmulOp: _matmul,
    ConvolutionOp: gradients_windows.convolution,
    ReshapeOp: _reshape,
    PermuteOp: _permute,
    BroadcastOp: _broadcast,
    SliceOp: _slice,
    ReverseOp: _reverse,
    WindowsOp: gradients_windows.windows,
    PadOp: _pad,
    ConcatOp: _concat,
    GatherOp: _gather,
    ScatterOp: _scatter,
}
