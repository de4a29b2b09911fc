"""What ops that look numbers up say of axes: no index may fall out of range when sizes change."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.ir import SSAValue

from picograd.compiler.validation.axes import Axes, Axis, title
from picograd.compiler.validation.placed_axes import Placed, join_all, without
from picograd.dialects.literals import array_of
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    CastOp,
    ConcatOp,
    ConstantOp,
    GatherOp,
    IotaOp,
    RandomBitsOp,
    ScatterOp,
    SelectOp,
    TensorOp,
    int_value,
    is_view,
)


def gather_axes(axes: Axes, op: GatherOp) -> Placed:
    data, index, axis = axes.of[op.x], axes.of[op.index], int_value(op.axis)
    join_all(axes, without(data, axis), without(index, axis), op)
    _keep_in_range(axes, op.index, data[axis], op)
    return Placed(index)


def scatter_axes(axes: Axes, op: ScatterOp) -> Placed:
    data, index, axis = axes.of[op.x], axes.of[op.index], int_value(op.axis)
    join_all(axes, without(data, axis), without(index, axis), op)
    join_all(axes, index, axes.of[op.updates], op)
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
