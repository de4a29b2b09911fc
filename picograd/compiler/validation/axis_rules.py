"""What each tensor op says of the axes of its operands and result, one row an op class.

A rule joins axes that must have one size and notes sums and windows; it returns the axes of the
result, and the properties that hold sizes, as functions of the sizes that axes are given.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from xdsl.ir import SSAValue

from picograd.compiler.validation.axes import Axes, Axis, SizeOf, Sliding, place, title
from picograd.compiler.validation.axis_indices import gather_axes, scatter_axes
from picograd.compiler.validation.axis_moves import (
    broadcast_axes,
    concat_axes,
    pad_axes,
    permute_axes,
    reshape_axes,
    slice_axes,
)
from picograd.compiler.validation.placed_axes import Changes, Placed, Rule, join_all
from picograd.dialects.dtypes import type_of
from picograd.dialects.literals import array_of, literal
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
    window_span,
)
from picograd.semantics.batching import BATCHING


def relate(axes: Axes, op: TensorOp) -> Placed:
    """Note what an op says of the axes of its values."""
    rule = AXES.get(type(op))
    if rule is None and BATCHING.get(type(op)) is BATCHING[BinaryOp]:
        # An elementwise op that somebody else registered.
        rule = _elementwise
    if rule is None:
        return _unknown(axes, op)
    return rule(axes, op)


def _unknown(axes: Axes, op: TensorOp) -> Placed:
    reason = f"nothing is known of how the axes of {op.name} go together"
    for operand in op.operands:
        for axis in axes.of[operand]:
            axes.pin(axis, reason)
    result = axes.fresh_shape(op.result)
    for axis in result:
        axes.pin(axis, reason)
    return Placed(result)


def _elementwise(axes: Axes, op: TensorOp) -> Placed:
    first, *others = (axes.of[operand] for operand in op.operands)
    for other in others:
        join_all(axes, first, other, op)
    return Placed(first)


def _reduce(axes: Axes, op: ReduceOp) -> Placed:
    gone = ints(op.axes)
    return Placed(tuple(axis for i, axis in enumerate(axes.of[op.x]) if i not in gone))


def _argreduce(axes: Axes, op: ArgReduceOp) -> Placed:
    gone = int_value(op.axis)
    return Placed(tuple(axis for i, axis in enumerate(axes.of[op.x]) if i != gone))


def _matmul(axes: Axes, op: MatmulOp) -> Placed:
    left, right = axes.of[op.a], axes.of[op.b]
    join_all(axes, left[:-2], right[:-2], op)
    axes.join(left[-1], right[-2], title(op))
    return Placed((*left[:-1], right[-1]))


def _convolution(axes: Axes, op: ConvolutionOp) -> Placed:
    data, kernel, where = axes.of[op.x], axes.of[op.w], title(op)
    groups = int_value(op.groups)
    parts: Axis = ()
    if groups > 1:
        parts = axes.fresh(groups, f"the groups of {where}")
        outputs = type_of(op.w).get_shape()[0] // groups
        axes.join(
            kernel[0], (*parts, *axes.fresh(outputs, f"outputs of a group of {where}")), where
        )
    axes.join(data[1], (*parts, *kernel[1]), where)
    strides, low, high, dilations = map(ints, (op.strides, op.low, op.high, op.dilations))
    spatial: list[Axis] = []
    for i, (stride, dilation) in enumerate(zip(strides, dilations, strict=True)):
        padding, axis = low[i] + high[i], i + 2
        spatial.append(
            _windows_of(axes, data[axis], kernel[axis], op.result, axis, stride, dilation, padding)
        )
    return Placed((data[0], kernel[0], *spatial), lambda size: {"groups": int_attr(size(parts))})


def _windows_of(
    axes: Axes,
    whole: Axis,
    window: Axis,
    result: SSAValue,
    axis: int,
    stride: int,
    dilation: int,
    padding: int = 0,
) -> Axis:
    room = axes.size(whole) + padding - window_span(axes.size(window), dilation)
    count = axes.fresh(room // stride + 1, place(result, axis))
    axes.constraints.append(
        Sliding(whole, window, count, stride, dilation, padding, slack=room % stride)
    )
    return count


def _windows(axes: Axes, op: WindowsOp) -> Placed:
    old, axis = axes.of[op.x], int_value(op.axis)
    size = axes.fresh(int_value(op.size), place(op.result, axis + 1))
    stride, dilation = int_value(op.stride), int_value(op.dilation)
    count = _windows_of(axes, old[axis], size, op.result, axis, stride, dilation)
    return Placed(
        (*old[:axis], count, size, *old[axis + 1 :]), lambda of: {"size": int_attr(of(size))}
    )


def _constant(axes: Axes, op: ConstantOp) -> Placed:
    result = axes.fresh_shape(op.result)
    for axis in result:
        if type_of(op.result).get_shape() and not axes.size(axis):
            axes.pin(axis, "a constant without elements has none to repeat")

    def resized(size: SizeOf) -> Changes:
        """The first elements of the constant, from the beginning again where there are too few."""
        array = array_of(op.value)
        for number, axis in enumerate(result):
            if size(axis) != array.shape[number]:
                array = np.take(array, np.arange(size(axis)) % array.shape[number], number)
        return {"value": literal(array)} if array.shape != array_of(op.value).shape else {}

    return Placed(result, resized)


def _iota(axes: Axes, op: IotaOp) -> Placed:
    (axis,) = result = axes.fresh_shape(op.result)
    return Placed(result, lambda size: {"size": int_attr(size(axis))})


def _random_bits(axes: Axes, op: RandomBitsOp) -> Placed:
    axes.pin(axes.of[op.state][0], f"{title(op)} reads a state of four words")
    result = axes.fresh_shape(op.result)
    return Placed(result, lambda size: {"shape": int_array(map(size, result))})


AXES: dict[type[TensorOp], Rule] = cast(
    dict[type[TensorOp], Rule],
    {
        ConstantOp: _constant,
        IotaOp: _iota,
        RandomBitsOp: _random_bits,
        UnaryOp: _elementwise,
        BinaryOp: _elementwise,
        CompareOp: _elementwise,
        SelectOp: _elementwise,
        CastOp: _elementwise,
        ReduceOp: _reduce,
        ArgReduceOp: _argreduce,
        ScanOp: _elementwise,
        ArgSortOp: _elementwise,
        MatmulOp: _matmul,
        ConvolutionOp: _convolution,
        ReshapeOp: reshape_axes,
        PermuteOp: permute_axes,
        BroadcastOp: broadcast_axes,
        SliceOp: slice_axes,
        ReverseOp: _elementwise,
        WindowsOp: _windows,
        PadOp: pad_axes,
        ConcatOp: concat_axes,
        GatherOp: gather_axes,
        ScatterOp: scatter_axes,
    },
)
"""The rule of each op class; a test fails where an op lacks one."""
