"""What ops that move elements say of axes: views, slices, padding and concatenation."""

from __future__ import annotations

from typing import TypeAlias

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
from picograd.compiler.validation.placed_axes import Placed, join_all, without
from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import (
    BroadcastOp,
    ConcatOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    SliceOp,
    TensorOp,
    int_array,
    int_value,
    ints,
)

MOST_PARTS = 8
"""An axis is taken for so many equal parts at most where a slice takes one of them."""


def reshape_axes(axes: Axes, op: ReshapeOp) -> Placed:
    result = axes.fresh_shape(op.result)
    axes.join(_product(axes.of[op.x]), _product(result), title(op))
    return Placed(result, lambda size: {"shape": int_array(map(size, result))})


def _product(axes: tuple[Axis, ...]) -> Axis:
    return tuple(atom for axis in axes for atom in axis)


def broadcast_axes(axes: Axes, op: BroadcastOp) -> Placed:
    old, result = axes.of[op.x], list(axes.fresh_shape(op.result))
    new = len(result) - len(old)
    for i, axis in enumerate(old):
        if axes.size(axis) == axes.size(result[new + i]):
            result[new + i] = axis
        else:
            axes.pin(axis, f"{title(op)} stretches it")
    shape = tuple(result)
    return Placed(shape, lambda size: {"shape": int_array(map(size, shape))})


def permute_axes(axes: Axes, op: PermuteOp) -> Placed:
    old = axes.of[op.x]
    return Placed(tuple(old[axis] for axis in ints(op.permutation)))


def slice_axes(axes: Axes, op: SliceOp) -> Placed:
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


def pad_axes(axes: Axes, op: PadOp) -> Placed:
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


def concat_axes(axes: Axes, op: ConcatOp) -> Placed:
    axis = int_value(op.axis)
    first, *others = (axes.of[x] for x in op.xs)
    for other in others:
        join_all(axes, without(first, axis), without(other, axis), op)
    result = first[axis]
    if others:
        result = axes.fresh(type_of(op.result).get_shape()[axis], place(op.result, axis))
        axes.constraints.append(Sum(result, tuple(axes.of[x][axis] for x in op.xs)))
    return Placed((*first[:axis], result, *first[axis + 1 :]))
