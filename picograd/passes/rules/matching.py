"""What the rewrite rules ask of values: is it a constant, a splat, of which shape."""

from math import prod

from xdsl.ir import OpResult, SSAValue

from picograd.dialects.dtypes import AnyTensor, DType, dtype_of, type_of
from picograd.dialects.limits import iinfo
from picograd.dialects.literals import Array, array_of, splat, splat_value
from picograd.dialects.tensor import (
    BroadcastOp,
    ConstantOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    SliceOp,
    TensorOp,
    WindowsOp,
)
from picograd.passes.rewriting.greedy import Build

_KEEP_A_SPLAT = (BroadcastOp, PermuteOp, ReshapeOp, ReverseOp, SliceOp, WindowsOp)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The sizes of a value."""
    return type_of(value).get_shape()


def size_of(value: SSAValue) -> int:
    """The number of elements of a value."""
    return prod(shape_of(value))


def dtype_of_value(value: SSAValue) -> DType:
    """The dtype of a value's elements."""
    return dtype_of(type_of(value))


def defining(value: SSAValue) -> TensorOp | None:
    """The tensor op that computes a value; None for arguments."""
    if isinstance(value, OpResult) and isinstance(value.op, TensorOp):
        return value.op
    return None


def array_in(value: SSAValue) -> Array | None:
    """The array that a constant holds; None for all other values."""
    op = defining(value)
    return array_of(op.value) if isinstance(op, ConstantOp) else None


def splat_in(value: SSAValue) -> bool | int | float | None:
    """The one number that all elements are known to be, also through views; None when unknown."""
    op = defining(value)
    if isinstance(op, ConstantOp):
        return splat_value(op.value)
    if isinstance(op, _KEEP_A_SPLAT):
        return splat_in(op.x)
    return None


def is_splat(value: SSAValue, number: float) -> bool:
    """Whether all elements of a value are `number`, told bit by bit: -0.0 is not 0.0."""
    found = splat_in(value)
    if found is None or isinstance(found, bool):
        return False
    if isinstance(found, float):
        return found.hex() == float(number).hex()
    return found == number


def all_bits(dtype: DType) -> bool | int:
    """The number of a bool or integer dtype whose bits are all ones."""
    if dtype.is_bool:
        return True
    return -1 if dtype.is_signed else iinfo(dtype).max


def filled(build: Build, number: bool | float, like: AnyTensor) -> SSAValue:
    """A value of type `like` with equal elements: one number, broadcast, which costs no memory."""
    scalar = build(ConstantOp(splat(number, (), dtype_of(like))))
    if not like.get_shape():
        return scalar
    return build(BroadcastOp(scalar, like.get_shape()))
