"""Rules for gather and scatter. None of them loses the check that an index is in range."""

from xdsl.ir import Operation, SSAValue

from picograd.dialects.tensor import (
    BinaryOp,
    BroadcastOp,
    CompareOp,
    GatherOp,
    IotaOp,
    ReshapeOp,
    ScatterKind,
    ScatterOp,
    SelectOp,
    int_value,
)
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.folding import folds
from picograd.passes.rules.matching import dtype_of_value, shape_of, size_of


def scatter_nothing(op: ScatterOp, build: Build) -> SSAValue | None:
    """A scatter of no updates."""
    return op.x if not size_of(op.updates) else None


def scatter_of_one(op: ScatterOp, build: Build) -> SSAValue | None:
    """One update for each row: every element asks whether it is the one that is meant.

    A scatter is a loop in sequence, while this is elementwise and fuses with what is around it (the
    gradient of cross entropy is one). The gather from 0, 1, 2, … is the index itself, but checked.
    What is known when compiling is left to folding; nothing is asked of an index into nothing.
    """
    axis, shape = int_value(op.axis), shape_of(op.x)
    if shape_of(op.index)[axis] != 1 or not size_of(op.updates) or not size_of(op.x) or folds(op):
        return None
    along = [1] * len(shape)
    along[axis] = shape[axis]
    numbers = build(ReshapeOp(build(IotaOp(shape[axis], dtype_of_value(op.index))), along))
    everywhere = build(BroadcastOp(numbers, shape))
    checked = build(GatherOp(everywhere, op.index, axis))
    hit = build(CompareOp("eq", everywhere, build(BroadcastOp(checked, shape))))
    update = build(BroadcastOp(op.updates, shape))
    if op.kind.data == ScatterKind.ADD:
        update = build(BinaryOp("add", op.x, update))
    return build(SelectOp(hit, update, op.x))


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    ScatterOp: (scatter_nothing, scatter_of_one),
}
