"""What each tensor op says of the axes of its operands and result, one row an op class.

A rule joins axes that must have one size and notes sums and windows; it returns the axes of the
result, and the properties that hold sizes, as functions of the sizes that axes are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.ir import Attribute, SSAValue

from picograd.compiler.validation.axes import (
    BETWEEN,
    Axes,
    Axis,
    SizeOf,
    Sliding,
    Sum,
    place,
    title,
)
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
    is_view,
    window_span,
)
from picograd.semantics.batching import BATCHING

Changes: TypeAlias = dict[str, Attribute]

MOST_PARTS = 8
"""An axis is taken for so many equal parts at most where a slice takes one of them."""


@dataclass(frozen=True)
class Placed:
    """The axes of a result, and the properties that change with their sizes."""

    axes: tuple[Axis, ...]
    changes: Callable[[SizeOf], Changes] = lambda size: {}


Rule: TypeAlias = Callable[[Axes, Any], Placed]


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
        _join_all(axes, first, other, op)
    return Placed(first)


def _join_all(axes: Axes, some: tuple[Axis, ...], others: tuple[Axis, ...], op: TensorOp) -> None:
    for one, other in zip(some, others, strict=True):
        axes.join(one, other, title(op))


def _reduce(axes: Axes, op: ReduceOp) -> Placed:
    gone = ints(op.axes)
    return Placed(tuple(axis for i, axis in enumerate(axes.of[op.x]) if i not in gone))


def _argreduce(axes: Axes, op: ArgReduceOp) -> Placed:
    gone = int_value(op.axis)
    return Placed(tuple(axis for i, axis in enumerate(axes.of[op.x]) if i != gone))


def _matmul(axes: Axes, op: MatmulOp) -> Placed:
    left, right = axes.of[op.a], axes.of[op.b]
    _join_all(axes, left[:-2], right[:-2], op)
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


def _reshape(axes: Axes, op: ReshapeOp) -> Placed:
    result = axes.fresh_shape(op.result)
    axes.join(_product(axes.of[op.x]), _product(result), title(op))
    return Placed(result, lambda size: {"shape": int_array(map(size, result))})


def _product(axes: tuple[Axis, ...]) -> Axis:
    return tuple(atom for axis in axes for atom in axis)


def _broadcast(axes: Axes, op: BroadcastOp) -> Placed:
    old, result = axes.of[op.x], list(axes.fresh_shape(op.result))
    new = len(result) - len(old)
    for i, axis in enumerate(old):
        if axes.size(axis) == axes.size(result[new + i]):
            result[new + i] = axis
        else:
            axes.pin(axis, f"{title(op)} stretches it")
    shape = tuple(result)
    return Placed(shape, lambda size: {"shape": int_array(map(size, shape))})


def _permute(axes: Axes, op: PermuteOp) -> Placed:
    old = axes.of[op.x]
    return Placed(tuple(old[axis] for axis in ints(op.permutation)))


def _slice(axes: Axes, op: SliceOp) -> Placed:
    places = [
        _slice_axis(axes, op, number, *numbers)
        for number, numbers in enumerate(
            zip(ints(op.starts), ints(op.limits), ints(op.steps), strict=True)
        )
    ]
    return Placed(
        tuple(result for result, _, _ in places),
        lambda size: {
            "starts": int_array(_total(size, start) for _, start, _ in places),
            "limits": int_array(
                _total(size, start) + _total(size, taken) for _, start, taken in places
            ),
        },
    )


Places: TypeAlias = tuple[Axis, tuple[Axis, ...], tuple[Axis, ...]]
"""The axis of a result, what stands before the elements that are taken, and these."""


def _total(size: SizeOf, parts: tuple[Axis, ...]) -> int:
    return sum(map(size, parts))


def _slice_axis(axes: Axes, op: SliceOp, axis: int, start: int, limit: int, step: int) -> Places:
    whole, taken = axes.of[op.x][axis], limit - start
    total = axes.size(whole)
    if taken == total and step == 1:
        return whole, (), (whole,)
    if step == 1 and _is_part(total, taken, start):
        part = axes.fresh(taken, place(op.result, axis))
        _join_parts(axes, whole, total // taken, part, op)
        return part, (part,) * (start // taken), (part,)
    where = place(op.result, axis)
    if step == 1:
        middle = result = axes.fresh(taken, where)
    else:
        middle = axes.fresh(taken, f"what {where} steps through", BETWEEN)
        result = axes.fresh(-(-taken // step), where)
        slack = (taken - 1) % step if taken else 0
        axes.constraints.append(Sliding(middle, (), result, step, slack=slack))
    if not taken:
        axes.pin(middle, "nothing is taken")
    before = axes.gap(whole, middle, "before", start)
    axes.constraints.append(
        Sum(whole, (*before, middle, *axes.gap(whole, middle, "after", total - limit)))
    )
    return result, before, (middle,)


def _is_part(total: int, part: int, start: int) -> bool:
    """Whether a range of an axis looks like one of several equal parts, as of a packed weight."""
    return part > 1 and total % part == 0 and start % part == 0 and total // part <= MOST_PARTS


def _join_parts(axes: Axes, whole: Axis, count: int, part: Axis, op: TensorOp) -> None:
    parts = axes.fresh(count, f"the parts that {title(op)} knows")
    axes.pin(parts, f"{title(op)} knows {count} equal parts")
    axes.join(whole, (*parts, *part), title(op))


def _pad(axes: Axes, op: PadOp) -> Placed:
    places = [
        _pad_axis(axes, op, number, *numbers)
        for number, numbers in enumerate(
            zip(ints(op.low), ints(op.high), ints(op.interior), strict=True)
        )
    ]
    return Placed(
        tuple(result for result, _, _ in places),
        lambda size: {
            "low": int_array(_total(size, low) for _, low, _ in places),
            "high": int_array(_total(size, high) for _, _, high in places),
        },
    )


def _pad_axis(axes: Axes, op: PadOp, axis: int, low: int, high: int, interior: int) -> Places:
    part = axes.of[op.x][axis]
    old, new = axes.size(part), type_of(op.result).get_shape()[axis]
    if new == old and not interior:
        return part, (), ()
    whole = axes.fresh(new, place(op.result, axis))
    if not interior and _is_part(new, old, low):
        _join_parts(axes, whole, new // old, part, op)
        return whole, (part,) * (low // old), (part,) * (high // old)
    middle = part
    if interior:
        where = f"axis {axis} between low and high of {title(op)}"
        middle = axes.fresh(new - low - high, where, BETWEEN)
        axes.constraints.append(Sliding(middle, (), part, interior + 1, exact=True))
    before, after = axes.gap(whole, middle, "before", low), axes.gap(whole, middle, "after", high)
    axes.constraints.append(Sum(whole, (*before, middle, *after)))
    return whole, before, after


def _concat(axes: Axes, op: ConcatOp) -> Placed:
    axis = int_value(op.axis)
    first, *others = (axes.of[x] for x in op.xs)
    for other in others:
        _join_all(axes, _without(first, axis), _without(other, axis), op)
    result = first[axis]
    if others:
        result = axes.fresh(type_of(op.result).get_shape()[axis], place(op.result, axis))
        axes.constraints.append(Sum(result, tuple(axes.of[x][axis] for x in op.xs)))
    return Placed((*first[:axis], result, *first[axis + 1 :]))


def _without(axes: tuple[Axis, ...], axis: int) -> tuple[Axis, ...]:
    return axes[:axis] + axes[axis + 1 :]


def _gather(axes: Axes, op: GatherOp) -> Placed:
    data, index, axis = axes.of[op.x], axes.of[op.index], int_value(op.axis)
    _join_all(axes, _without(data, axis), _without(index, axis), op)
    _keep_in_range(axes, op.index, data[axis], op)
    return Placed(index)


def _scatter(axes: Axes, op: ScatterOp) -> Placed:
    data, index, axis = axes.of[op.x], axes.of[op.index], int_value(op.axis)
    _join_all(axes, _without(data, axis), _without(index, axis), op)
    _join_all(axes, index, axes.of[op.updates], op)
    _keep_in_range(axes, op.index, data[axis], op)
    return Placed(data)


def _keep_in_range(axes: Axes, index: SSAValue, axis: Axis, op: TensorOp) -> None:
    """Let no index that the program computes fall out of an axis when sizes change.

    Indices from the program's arguments are the caller's affair. Positions along another axis are
    in range as long as both axes have one size; where they are computed with, nothing may change.
    """
    for source, is_plain in _origins(index):
        if isinstance(source, ConstantOp) and is_plain and not array_of(source.value).any():
            continue  # 0 is in range of any axis
        if isinstance(source, IotaOp):
            positions = axes.of[source.result][0]
        elif isinstance(source, ArgSortOp | ArgReduceOp):
            positions = axes.of[source.x][int_value(source.axis)]
        else:
            axes.pin(axis, f"{title(op)} looks up numbers that {title(source)} gives")
            continue
        if is_plain and axes.size(positions) == axes.size(axis):
            axes.join(positions, axis, title(op))
        else:
            for pinned in (positions, axis):
                axes.pin(pinned, f"{title(op)} looks up positions that {title(source)} counts")


def _origins(index: SSAValue) -> Iterator[tuple[TensorOp, bool]]:
    """The ops in which numbers of an index begin, and whether these reach it as they are."""
    waiting, seen = [(index, True)], set[SSAValue]()
    while waiting:
        value, is_plain = waiting.pop()
        op = value.owner
        if value in seen or not isinstance(op, TensorOp):
            continue
        seen.add(value)
        if isinstance(op, ConstantOp | IotaOp | ArgSortOp | ArgReduceOp | RandomBitsOp):
            yield op, is_plain
        elif isinstance(op, GatherOp):
            waiting.append((op.x, is_plain))
        elif isinstance(op, SelectOp):
            waiting += [(op.on_true, is_plain), (op.on_false, is_plain)]
        else:
            plain = is_plain and (is_view(op) or isinstance(op, CastOp | ConcatOp))
            waiting += [(operand, plain) for operand in op.operands]


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
        ReshapeOp: _reshape,
        PermuteOp: _permute,
        BroadcastOp: _broadcast,
        SliceOp: _slice,
        ReverseOp: _elementwise,
        WindowsOp: _windows,
        PadOp: _pad,
        ConcatOp: _concat,
        GatherOp: _gather,
        ScatterOp: _scatter,
    },
)
"""The rule of each op class; a test fails where an op lacks one."""
