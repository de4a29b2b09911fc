"""Batching rules: for each op, what computes it for a whole batch of operands at once.

`BATCHING` has a row for every op class: a rule, or the reason why its operands never are a batch. A
batch of values is one value with the batch as its first axis. A rule receives the builder `ops` and
a `BatchCall`, of which at least one operand is a batch, and returns the batch of results.

Most rows say no more than where the axes went: every axis of an example is one further back in the
batch. Products and convolutions have other places for a batch, which cost less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

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
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_array,
    int_attr,
    int_value,
    ints,
)
from picograd.dialects.tensor_base import Properties
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Ops

V = TypeVar("V")


@dataclass(frozen=True)
class BatchCall(Generic[V]):
    """One op on operands some of which are batches of `size`, with the batch as first axis."""

    op: type[TensorOp]
    properties: Properties
    operands: Sequence[V]
    batched: Sequence[bool]
    size: int

    def spread(self, ops: Ops[V]) -> list[V]:
        """All operands as batches; those that are none, repeated."""
        return [self.spread_one(ops, index) for index in range(len(self.operands))]

    def spread_one(self, ops: Ops[V], index: int) -> V:
        """An operand as a batch."""
        value = self.operands[index]
        if self.batched[index]:
            return value
        return ops.broadcast(value, (self.size, *ops.shape_of(value)))


BatchRule: TypeAlias = Callable[[Ops[Any], BatchCall[Any]], Any]


@dataclass(frozen=True)
class NeverBatched:
    """Why the operands of an op are no batch."""

    reason: str


def _elementwise(ops: Ops[V], call: BatchCall[V]) -> V:
    return ops.emit(call.op, call.spread(ops), call.properties)


def _one_axis(ops: Ops[V], call: BatchCall[V]) -> V:
    """Ops with a property `axis`."""
    moved = {**call.properties, "axis": int_attr(int_value(call.properties["axis"]) + 1)}
    return ops.emit(call.op, call.spread(ops), moved)


def _axes(ops: Ops[V], call: BatchCall[V]) -> V:
    """Ops with a property `axes`."""
    axes = [axis + 1 for axis in ints(call.properties["axes"])]
    return ops.emit(call.op, call.operands, {**call.properties, "axes": int_array(axes)})


def _reshape(ops: Ops[V], call: BatchCall[V]) -> V:
    return ops.reshape(call.operands[0], (call.size, *ints(call.properties["shape"])))


def _permute(ops: Ops[V], call: BatchCall[V]) -> V:
    permutation = ints(call.properties["permutation"])
    return ops.permute(call.operands[0], [0, *(axis + 1 for axis in permutation)])


def _broadcast(ops: Ops[V], call: BatchCall[V]) -> V:
    x, shape = call.operands[0], ints(call.properties["shape"])
    example = ops.shape_of(x)[1:]
    # New axes of an example come between it and the batch.
    aligned = (call.size, *[1] * (len(shape) - len(example)), *example)
    return ops.broadcast(ops.reshape(x, aligned), (call.size, *shape))


def _slice(ops: Ops[V], call: BatchCall[V]) -> V:
    starts, limits, steps = (ints(call.properties[name]) for name in ("starts", "limits", "steps"))
    return ops.slice(call.operands[0], (0, *starts), (call.size, *limits), (1, *steps))


def _pad(ops: Ops[V], call: BatchCall[V]) -> V:
    widened = {
        name: int_array((0, *ints(call.properties[name]))) for name in ("low", "high", "interior")
    }
    return ops.emit(PadOp, call.operands, {**call.properties, **widened})


def _matmul(ops: Ops[V], call: BatchCall[V]) -> V:
    a, b = call.operands
    if all(call.batched) or len(ops.shape_of(a)) - call.batched[0] > 2:
        return ops.matmul(*call.spread(ops))
    # One matrix for all: the batch becomes more rows, or more columns, of one product.
    if call.batched[0]:
        _, rows, inner = ops.shape_of(a)
        product = ops.matmul(ops.reshape(a, (call.size * rows, inner)), b)
        return ops.reshape(product, (call.size, rows, ops.shape_of(b)[1]))
    _, inner, columns = ops.shape_of(b)
    side_by_side = ops.reshape(ops.permute(b, (1, 0, 2)), (inner, call.size * columns))
    product = ops.matmul(a, side_by_side)
    return ops.permute(ops.reshape(product, (ops.shape_of(a)[0], call.size, columns)), (1, 0, 2))


def _convolution(ops: Ops[V], call: BatchCall[V]) -> V:
    groups = int_value(call.properties["groups"])
    if not call.batched[1]:
        # One kernel for all: the batch becomes more images.
        x, w = call.operands
        size, images, *rest = ops.shape_of(x)
        result = ops.emit(
            ConvolutionOp, (ops.reshape(x, (size * images, *rest)), w), call.properties
        )
        return ops.reshape(result, (size, images, *ops.shape_of(result)[1:]))
    # A kernel for each: the batch becomes groups, each of which sees channels of its own.
    x, w = call.spread(ops)
    size, images, channels, *sizes = ops.shape_of(x)
    _, outputs, *kernel = ops.shape_of(w)
    order = (1, 0, *range(2, len(ops.shape_of(x))))
    grouped = ops.reshape(ops.permute(x, order), (images, size * channels, *sizes))
    result = ops.emit(
        ConvolutionOp,
        (grouped, ops.reshape(w, (size * outputs, *kernel))),
        {**call.properties, "groups": int_attr(groups * size)},
    )
    parts = ops.reshape(result, (images, size, outputs, *ops.shape_of(result)[2:]))
    return ops.permute(parts, order)


def _random_bits(ops: Ops[V], call: BatchCall[V]) -> V:
    """Other bits for each example, all from one state."""
    (state,) = call.operands
    return ops.random_bits(state, (call.size, *ints(call.properties["shape"])))


_NO_OPERANDS = NeverBatched("it has no operands")

BATCHING: dict[type[TensorOp], BatchRule | NeverBatched] = {
    ConstantOp: _NO_OPERANDS,
    IotaOp: _NO_OPERANDS,
    RandomBitsOp: _random_bits,
    UnaryOp: _elementwise,
    BinaryOp: _elementwise,
    CompareOp: _elementwise,
    SelectOp: _elementwise,
    CastOp: _elementwise,
    ReduceOp: _axes,
    ArgReduceOp: _one_axis,
    ScanOp: _one_axis,
    ArgSortOp: _one_axis,
    MatmulOp: _matmul,
    ConvolutionOp: _convolution,
    ReshapeOp: _reshape,
    PermuteOp: _permute,
    BroadcastOp: _broadcast,
    SliceOp: _slice,
    ReverseOp: _axes,
    WindowsOp: _one_axis,
    PadOp: _pad,
    ConcatOp: _one_axis,
    GatherOp: _one_axis,
    ScatterOp: _one_axis,
}
