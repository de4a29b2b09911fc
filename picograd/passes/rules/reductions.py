"""Rules for reductions, products, scans and sorts: over nothing, over one element, joined."""

from xdsl.ir import Operation, SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.literals import scalar_value
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    ConvolutionOp,
    MatmulOp,
    PadOp,
    ReduceKind,
    ReduceOp,
    ReshapeOp,
    ScanKind,
    ScanOp,
    int_value,
    ints,
)
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.matching import (
    all_bits,
    defining,
    dtype_of_value,
    filled,
    shape_of,
    size_of,
)

# Combining in another order changes no bit.
_ORDER_FREE = (ReduceKind.MAX, ReduceKind.MIN, ReduceKind.AND, ReduceKind.OR)


def reduce_nothing(op: ReduceOp, build: Build) -> SSAValue | None:
    """Over no axes: the value itself. Over axes of one element: a reshape."""
    shape, axes = shape_of(op.x), ints(op.axes)
    if not axes:
        return op.x
    wide = [axis for axis in axes if shape[axis] != 1]
    if not wide and not _adds_to_zero(op):
        return build(ReshapeOp(op.x, shape_of(op.result)))
    return None


def _adds_to_zero(op: ReduceOp) -> bool:
    """Whether the sum of one element may differ from it: 0.0 + -0.0 is 0.0."""
    return op.kind.data == ReduceKind.ADD and dtype_of_value(op.x).is_float


def reduce_of_empty(op: ReduceOp, build: Build) -> SSAValue | None:
    """The sum of no elements is 0, their product 1; all of none is true, any of none is false."""
    if size_of(op.x) or not size_of(op.result):
        return None
    dtype = dtype_of_value(op.x)
    identity: dict[ReduceKind, int | bool] = {
        ReduceKind.ADD: 0,
        ReduceKind.MUL: 1,
        ReduceKind.AND: all_bits(dtype),
        ReduceKind.OR: False if dtype.is_bool else 0,
    }
    return filled(build, identity[op.kind.data], type_of(op.result))


def reduce_of_reduce(op: ReduceOp, build: Build) -> SSAValue | None:
    """max of max is one max over all axes; also sums and products of integers, which wrap alike."""
    inner = defining(op.x)
    if not isinstance(inner, ReduceOp) or inner.kind.data != op.kind.data:
        return None
    if op.kind.data not in _ORDER_FREE and not dtype_of_value(op.x).is_int:
        return None
    kept = [axis for axis in range(len(shape_of(inner.x))) if axis not in ints(inner.axes)]
    axes = sorted([*ints(inner.axes), *(kept[axis] for axis in ints(op.axes))])
    return build(ReduceOp(op.kind.data, inner.x, axes))


def argreduce_of_one(op: ArgReduceOp, build: Build) -> SSAValue | None:
    """The index of the only element is 0."""
    if shape_of(op.x)[int_value(op.axis)] != 1:
        return None
    return filled(build, 0, type_of(op.result))


def scan_of_one(op: ScanOp, build: Build) -> SSAValue | None:
    """The running total of one element is that element; of those before it, 0 or 1."""
    if shape_of(op.x)[int_value(op.axis)] != 1:
        return None
    if op.exclusive:
        return filled(build, int(op.kind.data == ScanKind.MUL), type_of(op.result))
    # As for a sum: 0.0 + -0.0 is 0.0.
    adds = op.kind.data == ScanKind.ADD and dtype_of_value(op.x).is_float
    return None if adds else op.x


def argsort_of_one(op: ArgSortOp, build: Build) -> SSAValue | None:
    """The only element comes first."""
    if shape_of(op.x)[int_value(op.axis)] != 1:
        return None
    return filled(build, 0, type_of(op.result))


def matmul_of_empty(op: MatmulOp, build: Build) -> SSAValue | None:
    """A product over no inner elements is 0."""
    if shape_of(op.a)[-1] or not size_of(op.result):
        return None
    return filled(build, 0, type_of(op.result))


def convolution_of_empty(op: ConvolutionOp, build: Build) -> SSAValue | None:
    """A convolution of no channels is 0."""
    if shape_of(op.w)[1] or not size_of(op.result):
        return None
    return filled(build, 0, type_of(op.result))


def convolution_of_pad(op: ConvolutionOp, build: Build) -> SSAValue | None:
    """Zeros around the spatial axes are part of the convolution."""
    inner = defining(op.x)
    if not isinstance(inner, PadOp) or any(ints(inner.interior)):
        return None
    low, high = ints(inner.low), ints(inner.high)
    # -0.0 is no 0: a product with it has another sign.
    if str(scalar_value(inner.value)) not in ("0", "0.0") or any((*low[:2], *high[:2])):
        return None
    new_low = [a + b for a, b in zip(ints(op.low), low[2:], strict=True)]
    new_high = [a + b for a, b in zip(ints(op.high), high[2:], strict=True)]
    groups = int_value(op.groups)
    return build(
        ConvolutionOp(
            inner.x, op.w, ints(op.strides), new_low, new_high, ints(op.dilations), groups
        )
    )


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    ReduceOp: (reduce_nothing, reduce_of_empty, reduce_of_reduce),
    ArgReduceOp: (argreduce_of_one,),
    ScanOp: (scan_of_one,),
    ArgSortOp: (argsort_of_one,),
    MatmulOp: (matmul_of_empty,),
    ConvolutionOp: (convolution_of_empty, convolution_of_pad),
}
