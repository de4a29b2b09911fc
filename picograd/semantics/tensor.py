"""What each tensor op means: one rule an op class, in NumPy.

A rule takes the op, its operands' arrays and the precision, and returns the result's array.
`"native"` gives each result the dtype that its type says (float16 and bfloat16 are computed with
in float32, and rounded once an op); `"float64"` computes with float64
wherever the type says float, as a reference for the other. Rules may return views of their
operands: nobody writes into a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Attribute

from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    compute_dtype,
    float16,
    from_ir,
    is_float_array,
)
from picograd.dialects.dtypes import from_numpy as dtype_of_numpy
from picograd.dialects.literals import array_of, scalar_value
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
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
    moves_elements,
)
from picograd.errors import IndexOutOfRange
from picograd.semantics.matrix_products import product
from picograd.semantics.ordering import argsort, scan
from picograd.semantics.philox import random_bits
from picograd.semantics.powers import power
from picograd.semantics.sliding import convolve, windows

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Sequence[Array]
Precision: TypeAlias = Literal["native", "float64"]
Rule: TypeAlias = Callable[[Any, Arrays, Precision], Array]


def numpy_dtype(element_type: Attribute, precision: Precision) -> np.dtype[np.generic]:
    """The dtype of the arrays that stand for tensors of an element type."""
    dtype = from_ir(element_type)
    if precision == "float64" and dtype.is_float:
        return np.dtype(np.float64)
    return dtype.numpy


def erf(x: Array) -> Array:
    """The error function, correctly rounded but for the last float64 bit (NumPy has none)."""
    values = map(math.erf, x.ravel().tolist())
    return np.fromiter(values, np.float64, x.size).reshape(x.shape).astype(x.dtype)


def _rsqrt(x: Array) -> Array:
    return np.reciprocal(np.sqrt(x))


def _unsigned(x: Array) -> Array:
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


def _shift_right(a: Array, b: Array) -> Array:
    """A logical shift; by a count outside [0, width) the result is 0, as NumPy has it."""
    return np.right_shift(_unsigned(a), _unsigned(b)).view(a.dtype)


def _shift_left(a: Array, b: Array) -> Array:
    return np.left_shift(_unsigned(a), _unsigned(b)).view(a.dtype)


def _rounded(x: Array, dtype: DType) -> Array:
    """float32 to the nearest number of a narrower type; in float64 precision nothing rounds."""
    return x.astype(dtype.numpy).astype(np.float32) if x.dtype == np.float32 else x


_UNARY: dict[UnaryKind, Callable[[Array], Array]] = {
    UnaryKind.NEG: np.negative,
    UnaryKind.ABS: np.abs,
    UnaryKind.SIGN: np.sign,
    UnaryKind.EXP: np.exp,
    UnaryKind.LOG: np.log,
    UnaryKind.SQRT: np.sqrt,
    UnaryKind.RSQRT: _rsqrt,
    UnaryKind.SIN: np.sin,
    UnaryKind.COS: np.cos,
    UnaryKind.TANH: np.tanh,
    UnaryKind.ERF: erf,
    UnaryKind.FLOOR: np.floor,
    UnaryKind.CEIL: np.ceil,
    UnaryKind.ROUND: np.rint,
    UnaryKind.NOT: np.invert,
    UnaryKind.ROUND_FLOAT16: partial(_rounded, dtype=float16),
    UnaryKind.ROUND_BFLOAT16: partial(_rounded, dtype=bfloat16),
}

# NumPy's integer x // 0 and x % 0 are 0, as here; its float floor_divide and remainder follow fmod
# as PyTorch's do.
_BINARY: dict[BinaryKind, Callable[[Array, Array], Array]] = {
    BinaryKind.ADD: np.add,
    BinaryKind.SUB: np.subtract,
    BinaryKind.MUL: np.multiply,
    BinaryKind.DIV: np.divide,
    BinaryKind.FLOORDIV: np.floor_divide,
    BinaryKind.REMAINDER: np.remainder,
    BinaryKind.POW: power,
    BinaryKind.MAXIMUM: np.maximum,
    BinaryKind.MINIMUM: np.minimum,
    BinaryKind.AND: np.bitwise_and,
    BinaryKind.OR: np.bitwise_or,
    BinaryKind.XOR: np.bitwise_xor,
    BinaryKind.SHL: _shift_left,
    BinaryKind.SHR: _shift_right,
}

_COMPARE: dict[CompareKind, Callable[[Array, Array], Array]] = {
    CompareKind.EQ: np.equal,
    CompareKind.NE: np.not_equal,
    CompareKind.LT: np.less,
    CompareKind.LE: np.less_equal,
    CompareKind.GT: np.greater,
    CompareKind.GE: np.greater_equal,
}

_REDUCE: dict[ReduceKind, np.ufunc] = {
    ReduceKind.ADD: np.add,
    ReduceKind.MUL: np.multiply,
    ReduceKind.MAX: np.maximum,
    ReduceKind.MIN: np.minimum,
    ReduceKind.AND: np.bitwise_and,
    ReduceKind.OR: np.bitwise_or,
}


def _constant(op: ConstantOp, operands: Arrays, precision: Precision) -> Array:
    array = array_of(op.value)
    return array.astype(numpy_dtype(op.result.type.element_type, precision), copy=False)


def _iota(op: IotaOp, operands: Arrays, precision: Precision) -> Array:
    return np.arange(op.size.value.data).astype(numpy_dtype(op.element_type, precision))


def _random_bits(op: RandomBitsOp, operands: Arrays, precision: Precision) -> Array:
    shape = ints(op.shape)
    return random_bits(np.ascontiguousarray(operands[0]), math.prod(shape)).reshape(shape)


def _unary(op: UnaryOp, operands: Arrays, precision: Precision) -> Array:
    return _UNARY[op.kind.data](operands[0])


def _binary(op: BinaryOp, operands: Arrays, precision: Precision) -> Array:
    return _BINARY[op.kind.data](operands[0], operands[1])


def _compare(op: CompareOp, operands: Arrays, precision: Precision) -> Array:
    return _COMPARE[op.kind.data](operands[0], operands[1])


def _select(op: SelectOp, operands: Arrays, precision: Precision) -> Array:
    return np.where(operands[0], operands[1], operands[2])


def convert(x: Array, dtype: np.dtype[np.generic]) -> Array:
    """`pico.cast`: float to int truncates and saturates, NaN gives 0; bool is `!= 0`.

    Half floats are reached from float32: what is wider is rounded to that first.
    """
    target = dtype_of_numpy(dtype)
    if target.is_bool:
        return x != 0
    if target.is_half:
        return x.astype(np.float32).astype(dtype)
    if target.is_float or not is_float_array(x):
        return x.astype(dtype, copy=False)
    limits = np.iinfo(cast(Any, dtype))
    wide = np.trunc(x.astype(np.float64))
    # The upper limit is no float64, the number after it is; both ends are set by hand.
    above, below = wide >= float(limits.max) + 1.0, wide < float(limits.min)
    inside = np.where(above | below | np.isnan(wide), 0.0, wide).astype(dtype)
    return np.where(above, dtype.type(limits.max), np.where(below, dtype.type(limits.min), inside))


def _cast(op: CastOp, operands: Arrays, precision: Precision) -> Array:
    return convert(operands[0], numpy_dtype(op.element_type, precision))


def _reduce(op: ReduceOp, operands: Arrays, precision: Precision) -> Array:
    (x,) = operands
    if not ints(op.axes):
        return x  # Nothing is combined: NumPy would add -0.0 to 0.0.
    return _REDUCE[op.kind.data].reduce(x, axis=ints(op.axes), dtype=x.dtype)


def _argreduce(op: ArgReduceOp, operands: Arrays, precision: Precision) -> Array:
    choose = np.argmax if op.kind.data == ArgReduceKind.MAX else np.argmin
    index = numpy_dtype(op.result.type.element_type, precision)
    return np.asarray(choose(operands[0], axis=int_value(op.axis)), index)


def _scan(op: ScanOp, operands: Arrays, precision: Precision) -> Array:
    return scan(op.kind.data, operands[0], int_value(op.axis), exclusive=op.exclusive is not None)


def _argsort(op: ArgSortOp, operands: Arrays, precision: Precision) -> Array:
    order = argsort(operands[0], int_value(op.axis), descending=op.descending is not None)
    return order.astype(numpy_dtype(op.result.type.element_type, precision))


def _matmul(op: MatmulOp, operands: Arrays, precision: Precision) -> Array:
    return product(operands[0], operands[1])


def _convolution(op: ConvolutionOp, operands: Arrays, precision: Precision) -> Array:
    return convolve(op, operands[0], operands[1])


def _reshape(op: ReshapeOp, operands: Arrays, precision: Precision) -> Array:
    return operands[0].reshape(ints(op.shape))


def _permute(op: PermuteOp, operands: Arrays, precision: Precision) -> Array:
    return operands[0].transpose(ints(op.permutation))


def _broadcast(op: BroadcastOp, operands: Arrays, precision: Precision) -> Array:
    return np.broadcast_to(operands[0], ints(op.shape))


def _slice(op: SliceOp, operands: Arrays, precision: Precision) -> Array:
    bounds = zip(ints(op.starts), ints(op.limits), ints(op.steps), strict=True)
    return operands[0][tuple(slice(*bound) for bound in bounds)]


def _reverse(op: ReverseOp, operands: Arrays, precision: Precision) -> Array:
    return np.flip(operands[0], ints(op.axes))


def _windows(op: WindowsOp, operands: Arrays, precision: Precision) -> Array:
    numbers = (op.axis, op.size, op.stride, op.dilation)
    return windows(operands[0], *map(int_value, numbers))


def pad(op: PadOp, x: Array, value: Any) -> Array:
    """x surrounded and interspersed with `value`, as op says."""
    result = np.full(op.result.type.get_shape(), value, x.dtype)
    spacing = zip(ints(op.low), ints(op.interior), x.shape, strict=True)
    inside = tuple(
        slice(low, low + max(size * (gap + 1) - gap, 0), gap + 1) for low, gap, size in spacing
    )
    result[inside] = x
    return result


def _pad(op: PadOp, operands: Arrays, precision: Precision) -> Array:
    return pad(op, operands[0], scalar_value(op.value))


def _concat(op: ConcatOp, operands: Arrays, precision: Precision) -> Array:
    return np.concatenate(operands, int_value(op.axis))


def check_index(what: str, index: Array, size: int) -> None:
    """Raise IndexOutOfRange unless all of `index` lies in [0, size)."""
    outside = (index < 0) | (index >= size)
    if outside.any():
        place = [int(i) for i in np.argwhere(outside)[0]]
        raise IndexOutOfRange.in_data(
            int(index[tuple(place)]),
            size,
            place=f"at position {place} of the index",
            where=what,
        )


def _gather(op: GatherOp, operands: Arrays, precision: Precision) -> Array:
    x, index = operands
    axis = int_value(op.axis)
    check_index(op.name, index, x.shape[axis])
    return np.take_along_axis(x, index, axis)


def _scatter(op: ScatterOp, operands: Arrays, precision: Precision) -> Array:
    x, index, updates = operands
    axis = int_value(op.axis)
    result = x.copy()
    if not x.size:
        return result  # Only indices that are used are checked: there is nothing to write into.
    check_index(op.name, index, x.shape[axis])
    place: list[Array] = list(np.indices(index.shape, sparse=True))
    place[axis] = index
    # Row-major order is the order along the axis for the updates that meet at one element.
    if op.kind.data == ScatterKind.ADD:
        np.add.at(result, tuple(place), updates)
    else:
        result[tuple(place)] = updates
    return result


EVALUATE: dict[type[TensorOp], Rule] = {
    ConstantOp: _constant,
    IotaOp: _iota,
    RandomBitsOp: _random_bits,
    UnaryOp: _unary,
    BinaryOp: _binary,
    CompareOp: _compare,
    SelectOp: _select,
    CastOp: _cast,
    ReduceOp: _reduce,
    ArgReduceOp: _argreduce,
    ScanOp: _scan,
    ArgSortOp: _argsort,
    MatmulOp: _matmul,
    ConvolutionOp: _convolution,
    ReshapeOp: _reshape,
    PermuteOp: _permute,
    BroadcastOp: _broadcast,
    SliceOp: _slice,
    ReverseOp: _reverse,
    WindowsOp: _windows,
    PadOp: _pad,
    ConcatOp: _concat,
    GatherOp: _gather,
    ScatterOp: _scatter,
}


def evaluate_op(op: TensorOp, operands: Arrays, precision: Precision = "native") -> Array:
    """The value of one op on arrays of its operands' types."""
    with np.errstate(all="ignore"):
        if not moves_elements(op):
            operands = [_computed_with(operand) for operand in operands]
        result = np.asarray(EVALUATE[type(op)](op, operands, precision))
        dtype = from_ir(op.result.type.element_type)
        if precision == "native" and dtype.is_half:
            return result.astype(dtype.numpy, copy=False)
        return result


def _computed_with(x: Array) -> Array:
    """Half floats as float32: an op computes in it, sums included, and rounds its result once."""
    dtype = dtype_of_numpy(x.dtype)
    return x.astype(compute_dtype(dtype).numpy) if dtype.is_half else x
