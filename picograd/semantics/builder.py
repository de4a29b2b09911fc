"""Building tensor ops without knowing what a value is.

Gradient rules and the front end call `Ops`. One implementation appends ops to a block, and its
values are SSA values; another runs each op at once, and its values are buffers on a device. A
third, the gradient tape, wraps either and remembers what was called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, DType, dtype_of
from picograd.dialects.literals import scalar_attr
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceKindAttr,
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryKindAttr,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
    CompareKindAttr,
    CompareOp,
    ConcatOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceKind,
    ReduceKindAttr,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanKind,
    ScanOp,
    ScatterKind,
    ScatterKindAttr,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    UnaryOp,
    WindowsOp,
    int_array,
    int_attr,
)

V = TypeVar("V")

Array = NDArray[Any]


class Ops(ABC, Generic[V]):
    """A builder of tensor ops over values of type V.

    Subclasses say how to emit one op and how to make a constant; the helpers below spell the ops of
    the dialect. They raise what the op's `infer` raises: ShapeError, DTypeError or AxisError.
    """

    @abstractmethod
    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[V],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> V:
        """The result of one op; `name_hint` names it in dumps."""

    @abstractmethod
    def constant(self, array: Array) -> V:
        """The value of a literal array."""

    @abstractmethod
    def type_of(self, value: V) -> AnyTensor:
        """The tensor type of a value."""

    def shape_of(self, value: V) -> tuple[int, ...]:
        return self.type_of(value).get_shape()

    def dtype_of(self, value: V) -> DType:
        return dtype_of(self.type_of(value))

    # Constants and generators

    def full(self, shape: Sequence[int], number: bool | float, dtype: DType) -> V:
        """A tensor of one number, rounded to `dtype`."""
        with np.errstate(over="ignore"):  # what float16 cannot hold is infinite
            one = np.full((), number, dtype.numpy)
        return self.constant(np.broadcast_to(one, tuple(shape)))  # may be as large as a model

    def full_like(self, value: V, number: bool | float) -> V:
        """One number in the shape and dtype of `value`."""
        return self.full(self.shape_of(value), number, self.dtype_of(value))

    def iota(self, size: int, dtype: DType) -> V:
        return self.emit(IotaOp, (), {"size": int_attr(size), "element_type": dtype.ir})

    def random_bits(self, state: V, shape: Sequence[int]) -> V:
        return self.emit(RandomBitsOp, (state,), {"shape": int_array(shape)})

    # Elementwise

    def unary(self, kind: UnaryKind | str, x: V) -> V:
        return self.emit(UnaryOp, (x,), {"kind": UnaryKindAttr(UnaryKind(kind))})

    def binary(self, kind: BinaryKind | str, a: V, b: V) -> V:
        return self.emit(BinaryOp, (a, b), {"kind": BinaryKindAttr(BinaryKind(kind))})

    def add(self, a: V, b: V) -> V:
        return self.binary(BinaryKind.ADD, a, b)

    def sub(self, a: V, b: V) -> V:
        return self.binary(BinaryKind.SUB, a, b)

    def mul(self, a: V, b: V) -> V:
        return self.binary(BinaryKind.MUL, a, b)

    def div(self, a: V, b: V) -> V:
        return self.binary(BinaryKind.DIV, a, b)

    def neg(self, x: V) -> V:
        return self.unary(UnaryKind.NEG, x)

    def scale(self, x: V, factor: float) -> V:
        """x times a constant."""
        return self.mul(x, self.full_like(x, factor))

    def compare(self, kind: CompareKind | str, a: V, b: V) -> V:
        return self.emit(CompareOp, (a, b), {"kind": CompareKindAttr(CompareKind(kind))})

    def select(self, condition: V, on_true: V, on_false: V) -> V:
        return self.emit(SelectOp, (condition, on_true, on_false))

    def cast(self, x: V, dtype: DType) -> V:
        """x in another dtype; x itself when it has it already."""
        if self.dtype_of(x) is dtype:
            return x
        return self.emit(CastOp, (x,), {"element_type": dtype.ir})

    # Reductions and products

    def reduce(self, kind: ReduceKind | str, x: V, axes: Sequence[int]) -> V:
        properties = {"kind": ReduceKindAttr(ReduceKind(kind)), "axes": int_array(axes)}
        return self.emit(ReduceOp, (x,), properties)

    def argreduce(self, kind: ArgReduceKind | str, x: V, axis: int) -> V:
        properties = {"kind": ArgReduceKindAttr(ArgReduceKind(kind)), "axis": int_attr(axis)}
        return self.emit(ArgReduceOp, (x,), properties)

    def scan(self, kind: ScanKind | str, x: V, axis: int, *, exclusive: bool = False) -> V:
        return self.emit(ScanOp, (x,), ScanOp.properties_of(kind, axis, exclusive=exclusive))

    def argsort(self, x: V, axis: int, *, descending: bool = False) -> V:
        return self.emit(ArgSortOp, (x,), ArgSortOp.properties_of(axis, descending=descending))

    def matmul(self, a: V, b: V) -> V:
        return self.emit(MatmulOp, (a, b))

    def convolution(
        self,
        x: V,
        w: V,
        strides: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        dilations: Sequence[int],
        groups: int,
    ) -> V:
        properties = ConvolutionOp.properties_of(strides, low, high, dilations, groups)
        return self.emit(ConvolutionOp, (x, w), properties)

    # Views; each returns its operand when there is nothing to do

    def reshape(self, x: V, shape: Sequence[int]) -> V:
        if self.shape_of(x) == tuple(shape):
            return x
        return self.emit(ReshapeOp, (x,), {"shape": int_array(shape)})

    def permute(self, x: V, permutation: Sequence[int]) -> V:
        if list(permutation) == list(range(len(self.shape_of(x)))):
            return x
        return self.emit(PermuteOp, (x,), {"permutation": int_array(permutation)})

    def broadcast(self, x: V, shape: Sequence[int]) -> V:
        if self.shape_of(x) == tuple(shape):
            return x
        return self.emit(BroadcastOp, (x,), {"shape": int_array(shape)})

    def broadcast_along(self, x: V, shape: Sequence[int], axes: Sequence[int]) -> V:
        """Undo the shape change of a reduction: x, which lacks `axes`, repeated along them to
        `shape`.
        """
        kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
        return self.broadcast(self.reshape(x, kept), shape)

    def slice(self, x: V, starts: Sequence[int], limits: Sequence[int], steps: Sequence[int]) -> V:
        whole = all(start == 0 for start in starts) and all(step == 1 for step in steps)
        if whole and tuple(limits) == self.shape_of(x):
            return x
        properties = {
            "starts": int_array(starts),
            "limits": int_array(limits),
            "steps": int_array(steps),
        }
        return self.emit(SliceOp, (x,), properties)

    def reverse(self, x: V, axes: Sequence[int]) -> V:
        return self.emit(ReverseOp, (x,), {"axes": int_array(axes)})

    def windows(self, x: V, axis: int, size: int, stride: int = 1, dilation: int = 1) -> V:
        properties = WindowsOp.properties_of(axis, size, stride, dilation)
        return self.emit(WindowsOp, (x,), properties)

    # Moving elements

    def pad(
        self,
        x: V,
        low: Sequence[int],
        high: Sequence[int],
        interior: Sequence[int],
        value: bool | float = 0,
    ) -> V:
        if not any(low) and not any(high) and not any(interior):
            return x
        properties: dict[str, Attribute] = {
            "value": scalar_attr(value, self.type_of(x).element_type),
            "low": int_array(low),
            "high": int_array(high),
            "interior": int_array(interior),
        }
        return self.emit(PadOp, (x,), properties)

    def concat(self, xs: Sequence[V], axis: int) -> V:
        return self.emit(ConcatOp, xs, {"axis": int_attr(axis)})

    def gather(self, x: V, index: V, axis: int) -> V:
        return self.emit(GatherOp, (x, index), {"axis": int_attr(axis)})

    def scatter(self, kind: ScatterKind | str, x: V, index: V, updates: V, axis: int) -> V:
        properties = {"kind": ScatterKindAttr(ScatterKind(kind)), "axis": int_attr(axis)}
        return self.emit(ScatterOp, (x, index, updates), properties)
