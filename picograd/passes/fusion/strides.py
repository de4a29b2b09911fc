"""How the axes of an op's operands and of its result step through the rows of a kernel.

Two tables: from the result to the operands, and, where that is certain, from an operand that covers
all rows to the result. Reductions and products are missing in the second: what they need of a row
says nothing of where their result goes; it is where alignment starts.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from picograd.dialects.tensor import (
    ArgReduceOp,
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
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_value,
    ints,
)

Strides: TypeAlias = tuple[int | None, ...]
ToOperands: TypeAlias = Callable[[Any, Strides], Sequence[Strides]]
ToResult: TypeAlias = Callable[[Any, int, Strides], Strides]


class Misaligned(Exception):
    """No one loop over rows computes the body; caught within the package."""


def row_major(shape: Sequence[int]) -> Strides:
    """The strides of a value whose elements are the rows, in order."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _shape(value: Any) -> tuple[int, ...]:
    return value.type.get_shape()


def _same_for_all(op: TensorOp, strides: Strides) -> Sequence[Strides]:
    return (strides,) * len(op.operands)


def _broadcast_operand(op: BroadcastOp, strides: Strides) -> Sequence[Strides]:
    return (strides[len(strides) - len(_shape(op.x)) :],)


def _permute_operand(op: PermuteOp, strides: Strides) -> Sequence[Strides]:
    source: list[int | None] = [None] * len(strides)
    for stride, axis in zip(strides, ints(op.permutation), strict=True):
        source[axis] = stride
    return (tuple(source),)


def _reshape_operand(op: ReshapeOp, strides: Strides) -> Sequence[Strides]:
    return (regroup(_shape(op.result), strides, _shape(op.x), strict=False),)


def _moved_axes(op: SliceOp | ReverseOp | PadOp | ConcatOp) -> tuple[bool, ...]:
    """For each axis, whether the op moves elements along it."""
    shape = _shape(op.result)
    if isinstance(op, ReverseOp):
        return tuple(axis in ints(op.axes) for axis in range(len(shape)))
    if isinstance(op, ConcatOp):
        return tuple(axis == int_value(op.axis) for axis in range(len(shape)))
    # A slice or pad that keeps the size of an axis keeps the axis.
    return tuple(a != b for a, b in zip(_shape(op.x), shape, strict=True))


def _moved_operands(op: SliceOp | ReverseOp | PadOp | ConcatOp, strides: Strides) -> list[Strides]:
    kept = tuple(
        None if moved else stride for moved, stride in zip(_moved_axes(op), strides, strict=True)
    )
    return [kept] * len(op.operands)


def _gather_operands(op: GatherOp, strides: Strides) -> Sequence[Strides]:
    axis = int_value(op.axis)
    return (*strides[:axis], None, *strides[axis + 1 :]), strides


def _reduce_operand(op: ReduceOp | ArgReduceOp, strides: Strides) -> Sequence[Strides]:
    axes = ints(op.axes) if isinstance(op, ReduceOp) else (int_value(op.axis),)
    kept = iter(strides)
    return (tuple(None if axis in axes else next(kept) for axis in range(len(_shape(op.x)))),)


def _matmul_operands(op: MatmulOp, strides: Strides) -> Sequence[Strides]:
    *batch, row, column = strides
    return (*batch, row, None), (*batch, None, column)


def _convolution_operands(op: ConvolutionOp, strides: Strides) -> Sequence[Strides]:
    batch, output, *places = strides
    within = (None,) * (len(places) + 1)
    return (batch, *within), (output, *within)


def _windows_operand(op: WindowsOp, strides: Strides) -> Sequence[Strides]:
    axis = int_value(op.axis)
    return ((*strides[:axis], None, *strides[axis + 2 :]),)


def _no_operands(op: TensorOp, strides: Strides) -> Sequence[Strides]:
    return ()


def _state_operand(op: RandomBitsOp, strides: Strides) -> Sequence[Strides]:
    return ((None,),)


OPERAND_STRIDES: dict[type[TensorOp], ToOperands] = {
    UnaryOp: _same_for_all,
    BinaryOp: _same_for_all,
    CompareOp: _same_for_all,
    SelectOp: _same_for_all,
    CastOp: _same_for_all,
    BroadcastOp: _broadcast_operand,
    PermuteOp: _permute_operand,
    ReshapeOp: _reshape_operand,
    SliceOp: _moved_operands,
    ReverseOp: _moved_operands,
    PadOp: _moved_operands,
    ConcatOp: _moved_operands,
    GatherOp: _gather_operands,
    ReduceOp: _reduce_operand,
    ArgReduceOp: _reduce_operand,
    MatmulOp: _matmul_operands,
    ConvolutionOp: _convolution_operands,
    WindowsOp: _windows_operand,
    RandomBitsOp: _state_operand,
    ConstantOp: _no_operands,
    IotaOp: _no_operands,
}


def _same(op: TensorOp, operand: int, strides: Strides) -> Strides:
    return strides


def _broadcast_result(op: BroadcastOp, operand: int, strides: Strides) -> Strides:
    return (None,) * (len(_shape(op.result)) - len(strides)) + strides


def _permute_result(op: PermuteOp, operand: int, strides: Strides) -> Strides:
    return tuple(strides[axis] for axis in ints(op.permutation))


def _reshape_result(op: ReshapeOp, operand: int, strides: Strides) -> Strides:
    return regroup(_shape(op.x), strides, _shape(op.result), strict=True)


def _moved_result(
    op: SliceOp | ReverseOp | PadOp | ConcatOp, operand: int, strides: Strides
) -> Strides:
    for moved, stride in zip(_moved_axes(op), strides, strict=True):
        if moved and stride is not None:
            raise Misaligned
    return strides


def _windows_result(op: WindowsOp, operand: int, strides: Strides) -> Strides:
    axis = int_value(op.axis)
    if strides[axis] is not None:
        raise Misaligned
    return (*strides[:axis], None, None, *strides[axis + 1 :])


def _gather_result(op: GatherOp, operand: int, strides: Strides) -> Strides:
    if operand == 0 and strides[int_value(op.axis)] is not None:
        raise Misaligned
    return strides


RESULT_STRIDES: dict[type[TensorOp], ToResult] = {
    UnaryOp: _same,
    BinaryOp: _same,
    CompareOp: _same,
    SelectOp: _same,
    CastOp: _same,
    BroadcastOp: _broadcast_result,
    PermuteOp: _permute_result,
    ReshapeOp: _reshape_result,
    SliceOp: _moved_result,
    ReverseOp: _moved_result,
    PadOp: _moved_result,
    ConcatOp: _moved_result,
    GatherOp: _gather_result,
    WindowsOp: _windows_result,
}


def regroup(
    shape: Sequence[int], strides: Strides, new_shape: Sequence[int], *, strict: bool
) -> Strides:
    """The strides of a value under another shape.

    Axes that a reshape splits or joins must step through the rows evenly, or lie within them all.
    Otherwise raises Misaligned if `strict`, else says of them that they lie within a row.
    """
    old = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size != 1]
    new = [axis for axis, size in enumerate(new_shape) if size != 1]
    result: list[int | None] = [None] * len(new_shape)
    if 0 in shape and [size for size, _ in old] != [new_shape[axis] for axis in new]:
        # Without elements the sizes say nothing of which axes are split or joined.
        if strict and any(stride is not None for _, stride in old):
            raise Misaligned
        return tuple(result)
    i = j = 0
    while i < len(old):
        first, last, small, large = i, j, old[i][0], new_shape[new[j]]
        i, j = i + 1, j + 1
        while small != large:
            if small < large:
                small *= old[i][0]
                i += 1
            else:
                large *= new_shape[new[j]]
                j += 1
        step = _joint_step(old[first:i], strict)
        for axis in reversed(new[last:j]):
            result[axis] = step
            step = None if step is None else step * new_shape[axis]
    return tuple(result)


def _joint_step(axes: Sequence[tuple[int, int | None]], strict: bool) -> int | None:
    """The stride of several axes as one: None within rows."""
    step = axes[-1][1]
    expected = step
    for size, stride in reversed(axes):
        if stride != expected:
            if strict:
                raise Misaligned
            return None
        expected = None if expected is None else expected * size
    return step
