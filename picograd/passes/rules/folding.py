"""Constant folding: what is known when compiling is computed then, by the reference semantics."""

from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from picograd.dialects.dtypes import dtype_of, type_of
from picograd.dialects.literals import Array, literal
from picograd.dialects.tensor import OPS as TENSOR_OPS
from picograd.dialects.tensor import (
    BinaryOp,
    CastOp,
    CompareOp,
    ConstantOp,
    ConvolutionOp,
    IotaOp,
    MatmulOp,
    SelectOp,
    TensorOp,
    UnaryOp,
)
from picograd.errors import IndexOutOfRange
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.matching import array_in, filled, shape_of, size_of, splat_in
from picograd.semantics.tensor import evaluate_op

# A folded constant has at most this many elements, so that folding cannot blow a module up; and
# at most this many multiplications are spent on one.
FOLDED_ELEMENTS = 1024
FOLDED_PRODUCTS = 1 << 20

_ELEMENTWISE = (UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp)


def empty_value(op: TensorOp, build: Build) -> SSAValue | None:
    """A value without elements is a constant: there is nothing to compute."""
    if size_of(op.result):
        return None
    type = type_of(op.result)
    return build(ConstantOp(literal(np.zeros(type.get_shape(), dtype_of(type).numpy))))


def fold(op: TensorOp, build: Build) -> SSAValue | None:
    """An op on constants. An index out of range is left to be reported when the program runs."""
    if not folds(op):
        return None
    operands = [array for operand in op.operands if (array := array_in(operand)) is not None]
    try:
        value = evaluate_op(op, operands)
    except IndexOutOfRange:
        return None
    return build(ConstantOp(literal(value, dtype_of(type_of(op.result)))))


def folds(op: TensorOp) -> bool:
    """Whether an op is computed when compiling: its operands are known, and it is small."""
    if isinstance(op, IotaOp) or size_of(op.result) > FOLDED_ELEMENTS:
        return False
    return _products(op) <= FOLDED_PRODUCTS and all(
        array_in(operand) is not None for operand in op.operands
    )


def _products(op: TensorOp) -> int:
    """How many multiplications a matmul or a convolution takes."""
    if isinstance(op, MatmulOp):
        return size_of(op.result) * shape_of(op.a)[-1]
    if isinstance(op, ConvolutionOp):
        return size_of(op.result) * prod(shape_of(op.w)[1:])
    return 0


def fold_splats(
    op: UnaryOp | BinaryOp | CompareOp | SelectOp | CastOp, build: Build
) -> SSAValue | None:
    """An elementwise op on broadcast numbers: computed once, whatever the size."""
    numbers: list[Array] = []
    for operand in op.operands:
        number = splat_in(operand)
        if number is None:
            return None
        numbers.append(np.asarray(number, dtype_of(type_of(operand)).numpy))
    return filled(build, evaluate_op(op, numbers).item(), type_of(op.result))


def large_splat(op: ConstantOp, build: Build) -> SSAValue | None:
    """A large constant of one number is that number, broadcast: a literal holds all elements."""
    if size_of(op.result) <= FOLDED_ELEMENTS:
        return None
    number = splat_in(op.result)
    return None if number is None else filled(build, number, type_of(op.result))


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    ConstantOp: (large_splat,),
    **{op: (empty_value, fold_splats, fold) for op in _ELEMENTWISE},
    **{
        op: (empty_value, fold)
        for op in TENSOR_OPS
        if op is not ConstantOp and op not in _ELEMENTWISE
    },
}
