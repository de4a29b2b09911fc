"""Tangent rules: for each op, how its result moves when its operands move.

`TANGENTS` has a row for every op class: a rule, or the reason why there is none. Where a gradient
rule goes from the result's gradient to the operands', a tangent rule goes from the operands'
tangents to the result's, so that a derivative along one direction costs one run forward. A rule
receives the builder `ops`, the `call` that it differentiates, and one tangent for each operand, of
the operand's type, or None for one that does not move; at least one of a float type moves. It
returns the result's tangent.

Most rows need no formula of their own. An op that is linear in its operands is its own rule. An
elementwise op multiplies each element by a slope, and its gradient rule does the same: one serves
both. A product of two operands takes the sum of two products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce as fold
from typing import Any, Generic, TypeAlias, TypeVar

from picograd.dialects.dtypes import AnyTensor, dtype_of, int64
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
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
    ScanKind,
    ScanOp,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_value,
    ints,
)
from picograd.dialects.tensor_base import Properties, kind_of
from picograd.semantics.builder import Ops
from picograd.semantics.gradient_call import Call, NotDifferentiable
from picograd.semantics.gradients import GRADIENTS
from picograd.semantics.gradients_order import extremum_positions

V = TypeVar("V")

TangentRule: TypeAlias = Callable[[Ops[Any], Call[Any], Sequence[Any]], Any]


class _One(Generic[V]):
    """A call of which only one operand's gradient is wanted."""

    def __init__(self, call: Call[V], index: int) -> None:
        self.properties: Properties = call.properties
        self.operand_types: Sequence[AnyTensor] = call.operand_types
        self.result_type: AnyTensor = call.result_type
        self.operand = call.operand
        self.result = call.result
        self._index = index

    def needs(self, index: int) -> bool:
        return index == self._index


def _gradient(ops: Ops[V], op: type[TensorOp], call: Call[V], index: int, grad: V) -> V | None:
    """What the gradient rule of the op gives for one operand."""
    rule = GRADIENTS[op]
    assert not isinstance(rule, NotDifferentiable)
    return rule(ops, _One(call, index), grad)[index]


def _sum(ops: Ops[V], call: Call[V], parts: Sequence[V | None]) -> V:
    found = [part for part in parts if part is not None]
    if not found:
        return ops.full(call.result_type.get_shape(), 0, dtype_of(call.result_type))
    return fold(ops.add, found)


def _filled(ops: Ops[V], call: Call[V], tangents: Sequence[V | None], index: int) -> V:
    """An operand's tangent, 0 if it does not move."""
    tangent, type = tangents[index], call.operand_types[index]
    return ops.full(type.get_shape(), 0, dtype_of(type)) if tangent is None else tangent


def elementwise(op: type[TensorOp]) -> TangentRule:
    """Each element of the result depends on one element of each operand: the gradient's slopes."""

    def rule(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
        return _sum(
            ops,
            call,
            [
                None if tangent is None else _gradient(ops, op, call, index, tangent)
                for index, tangent in enumerate(tangents)
            ],
        )

    return rule


def _linear(op: type[TensorOp]) -> TangentRule:
    """The op itself, on the tangents."""

    def rule(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
        moved = [_filled(ops, call, tangents, index) for index in range(len(tangents))]
        return ops.emit(op, moved, call.properties)

    return rule


def _product_of_two(op: type[TensorOp]) -> TangentRule:
    """Linear in either operand: a' b + a b'."""

    def rule(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
        a, b = tangents
        left = None if a is None else ops.emit(op, (a, call.operand(1)), call.properties)
        right = None if b is None else ops.emit(op, (call.operand(0), b), call.properties)
        return _sum(ops, call, [left, right])

    return rule


def _cast(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    return ops.cast(_filled(ops, call, tangents, 0), dtype_of(call.result_type))


def _reduce(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    tangent, axes = _filled(ops, call, tangents, 0), ints(call.properties["axes"])
    if kind_of(call.properties) == ReduceKind.ADD:
        return ops.reduce(ReduceKind.ADD, tangent, axes)
    # The gradient of 1 is each element's slope; for a maximum, 1 divided among ties.
    one = ops.full(call.result_type.get_shape(), 1, dtype_of(call.result_type))
    slopes = _gradient(ops, ReduceOp, call, 0, one)
    assert slopes is not None
    return ops.reduce(ReduceKind.ADD, ops.mul(slopes, tangent), axes)


def _pad(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    low, high, interior = (ints(call.properties[name]) for name in ("low", "high", "interior"))
    return ops.pad(_filled(ops, call, tangents, 0), low, high, interior)


def _gather(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    axis = int_value(call.properties["axis"])
    return ops.gather(_filled(ops, call, tangents, 0), call.operand(1), axis)


def _scatter(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    x, updates = _filled(ops, call, tangents, 0), _filled(ops, call, tangents, 2)
    return ops.emit(ScatterOp, (x, call.operand(1), updates), call.properties)


def _scan(ops: Ops[V], call: Call[V], tangents: Sequence[V | None]) -> V:
    kind, axis = kind_of(call.properties), int_value(call.properties["axis"])
    tangent = _filled(ops, call, tangents, 0)
    if kind == ScanKind.ADD or not call.result_type.get_shape()[axis]:
        return ops.emit(ScanOp, (tangent,), {**call.properties, "kind": _SUM["kind"]})
    x, totals = call.operand(0), call.result()
    if kind != ScanKind.MUL:
        return ops.gather(tangent, extremum_positions(ops, x, totals, axis), axis)
    if "exclusive" in call.properties:
        x, tangent = _moved_on(ops, x, axis, 1), _moved_on(ops, tangent, axis, 0)
    return _running_product(ops, x, totals, tangent, axis)


_SUM: Properties = ScanOp.properties_of(ScanKind.ADD, 0)


def _running_product(ops: Ops[V], x: V, totals: V, tangent: V, axis: int) -> V:
    """Before the first 0 each product times the sum of relative changes.

    From the first 0 on only the tangent there counts, times all other factors.
    """
    zero, one = ops.full_like(x, 0), ops.full_like(x, 1)
    is_zero = ops.compare("eq", x, zero)
    zeros = ops.scan(ScanKind.ADD, ops.cast(is_zero, int64), axis)
    before = ops.compare("eq", zeros, ops.full_like(zeros, 0))
    first = ops.binary("and", is_zero, ops.compare("eq", zeros, ops.full_like(zeros, 1)))
    relative = ops.select(before, ops.div(tangent, ops.select(before, x, one)), zero)
    others = ops.scan(ScanKind.MUL, ops.select(first, one, x), axis)
    at_first = ops.scan(ScanKind.ADD, ops.select(first, tangent, zero), axis)
    changes = ops.scan(ScanKind.ADD, relative, axis)
    return ops.select(before, ops.mul(totals, changes), ops.mul(others, at_first))


def _moved_on(ops: Ops[V], x: V, axis: int, first: int) -> V:
    """The elements one place further along the axis, after `first`."""
    shape = ops.shape_of(x)
    low = [int(a == axis) for a in range(len(shape))]
    zeros, limits = [0] * len(shape), [size - cut for size, cut in zip(shape, low, strict=True)]
    return ops.pad(ops.slice(x, zeros, limits, [1] * len(shape)), low, zeros, zeros, first)


def _same_reason(op: type[TensorOp]) -> NotDifferentiable:
    row = GRADIENTS[op]
    assert isinstance(row, NotDifferentiable)
    return row


TANGENTS: dict[type[TensorOp], TangentRule | NotDifferentiable] = {
    ConstantOp: _same_reason(ConstantOp),
    IotaOp: _same_reason(IotaOp),
    RandomBitsOp: _same_reason(RandomBitsOp),
    UnaryOp: elementwise(UnaryOp),
    BinaryOp: elementwise(BinaryOp),
    CompareOp: _same_reason(CompareOp),
    SelectOp: elementwise(SelectOp),
    CastOp: _cast,
    ReduceOp: _reduce,
    ArgReduceOp: _same_reason(ArgReduceOp),
    ScanOp: _scan,
    ArgSortOp: _same_reason(ArgSortOp),
    MatmulOp: _product_of_two(MatmulOp),
    ConvolutionOp: _product_of_two(ConvolutionOp),
    ReshapeOp: _linear(ReshapeOp),
    PermuteOp: _linear(PermuteOp),
    BroadcastOp: _linear(BroadcastOp),
    SliceOp: _linear(SliceOp),
    ReverseOp: _linear(ReverseOp),
    WindowsOp: _linear(WindowsOp),
    PadOp: _pad,
    ConcatOp: _linear(ConcatOp),
    GatherOp: _gather,
    ScatterOp: _scatter,
}
