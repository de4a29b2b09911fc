"""Operands for the ops that makers append: values that are there, or ones that are made to fit."""

from xdsl.ir import SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.dialects.dtypes import DType, dtype_of, tensor_type, type_of
from picograd.dialects.tensor import BinaryOp, BroadcastOp, CastOp, ReshapeOp, UnaryOp

MOST_ARGUMENTS = 4
"""A function with so many gets no more where something else will do."""


def shape_of(value: SSAValue) -> tuple[int, ...]:
    return type_of(value).get_shape()


def dtype_of_value(value: SSAValue) -> DType:
    return dtype_of(type_of(value))


def any_value(sketch: Sketch) -> SSAValue:
    value = sketch.pick()
    return sketch.constant(1.0, sketch.dtypes[0]) if value is None else value


def with_rank(sketch: Sketch, least: int) -> SSAValue:
    """A value of at least this rank: one that is there, or one reshaped to have leading ones."""
    value = sketch.pick(lambda v: len(shape_of(v)) >= least)
    if value is not None:
        return value
    value = any_value(sketch)
    missing = least - len(shape_of(value))
    return sketch.add(ReshapeOp(value, (*(1,) * missing, *shape_of(value))))


def of_type(sketch: Sketch, like: SSAValue, dtype: DType) -> SSAValue:
    """A value of a dtype and the shape of another: found, broadcast, cast, a constant, or new.

    Mostly it is not that other value: of `x < x` there is little that anybody could get wrong.
    """
    shape = shape_of(like)

    def fits(value: SSAValue) -> bool:
        return dtype_of_value(value) == dtype and _broadcasts(shape_of(value), shape)

    value = sketch.pick(lambda v: v is not like and fits(v))
    if fits(like) and (sketch.number(0, 7) == 7 or value is None):
        value = sketch.choose((like, None)) if value is None else like
    if value is None and len(sketch.block.args) < MOST_ARGUMENTS and sketch.choose((False, True)):
        return sketch.argument(tensor_type(shape, dtype))
    if value is None:
        other = sketch.pick(lambda v: shape_of(v) == shape)
        if other is not None and dtype_of_value(other) != dtype and sketch.choose((True, False)):
            return sketch.add(CastOp(other, dtype))
        value = sketch.constant(sketch.choose((1, 0, 2, -1)), dtype)
    return value if shape_of(value) == shape else sketch.add(BroadcastOp(value, shape))


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    aligned = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape, aligned, strict=True))


def any_order(sketch: Sketch, x: SSAValue) -> list[int]:
    """The axes of a value in any order: not only neighbours change places, for such a permutation
    is its own inverse.
    """
    rest = list(range(len(shape_of(x))))
    return [rest.pop(sketch.number(0, len(rest) - 1)) for _ in range(len(rest))]


def another_order(sketch: Sketch, x: SSAValue) -> list[int]:
    """The axes of a value in an order that they do not have, if there is more than one of them."""
    axes = any_order(sketch, x)
    return [*axes[1:], *axes[:1]] if axes == sorted(axes) else axes


def splat(sketch: Sketch, like: SSAValue, number: float) -> SSAValue:
    scalar = sketch.constant(number, dtype_of_value(like))
    return sketch.add(BroadcastOp(scalar, shape_of(like))) if shape_of(like) else scalar


def tame(sketch: Sketch, x: SSAValue) -> SSAValue:
    """x within [-3, 3], so that exponentials stay finite."""
    low = sketch.add(BinaryOp("maximum", x, splat(sketch, x, -3.0)))
    return sketch.add(BinaryOp("minimum", low, splat(sketch, x, 3.0)))


def positive(sketch: Sketch, x: SSAValue) -> SSAValue:
    """|x| + 0.5 within [0.5, 3.5]."""
    magnitude = sketch.add(UnaryOp("abs", tame(sketch, x)))
    return sketch.add(BinaryOp("add", magnitude, splat(sketch, x, 0.5)))
