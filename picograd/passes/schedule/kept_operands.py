"""Which operands of products are worth keeping, where weights alone decide them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from xdsl.ir import SSAValue

from picograd.dialects.argument_notes import LAID_OUT, MOST_KEPT
from picograd.dialects.dtypes import dtype_of, nbytes_of, type_of
from picograd.dialects.tensor import BroadcastOp, MatmulOp, PermuteOp, TensorOp, ints
from picograd.passes.schedule.constant_panels import left_pays, panel_columns
from picograd.targets import Target

_FLOATS = ("float32", "float64")
"""What register tiles are made of: other types are converted first, in a layout of their own."""


def chosen_columns(
    op: MatmulOp, target: Target, least: int, decided_by: Iterable[SSAValue]
) -> int | None:
    """The columns of the panels that suit a product; None where it is better left alone.

    `least` is how many terms are worth it; arguments decide the right operand.
    """
    weight = weight_of(op.b)
    dtype = dtype_of(type_of(weight))
    *batch, rows, depth = op.a.type.get_shape()
    *own, _, columns = type_of(weight).get_shape()
    if dtype.name not in _FLOATS or prod(batch) * rows * depth * columns < max(1, least):
        return None
    # What is read for every batch alike meets the rows of all of them.
    together = prod(batch) // max(1, prod(own)) * rows
    bits, transposed = 8 * dtype.itemsize, _is_transposed(weight)
    panel = panel_columns(together, depth, columns, bits, target, transposed=transposed)
    if panel is None:
        return None
    nbytes = prod(own) * depth * -(-columns // panel) * panel * dtype.itemsize
    return panel if nbytes <= _most_kept(decided_by) else None


def keeps_left(
    op: MatmulOp, target: Target, least: int, decided_by: Iterable[SSAValue], *, asked: bool
) -> bool:
    """Whether the left operand of a product is worth keeping: it is read row by row, so only where
    it does not lie so, or has to be computed.

    As for `chosen_columns`; with `asked` it need not pay, but fit.
    """
    weight = weight_of(op.a)
    if not isinstance(weight.owner, TensorOp) or LAID_OUT in weight.owner.attributes:
        return False
    type = type_of(weight)
    if nbytes_of(type) > _most_kept(decided_by):
        return False
    if not (_is_transposed(weight) or _is_computed(weight)):
        return False
    *batch, _, columns = op.b.type.get_shape()
    *own, rows, depth = type.get_shape()
    # What every batch reads alike meets the columns of all of them.
    together = prod(batch) // max(1, prod(own)) * columns
    terms = prod(batch) * rows * depth * columns
    pays = terms >= max(1, least) and left_pays(together, target)
    return asked or (dtype_of(type).name in _FLOATS and pays)


def _most_kept(decided_by: Iterable[SSAValue]) -> int:
    """How many bytes may be kept of what these arguments decide."""
    return MOST_KEPT * sum(nbytes_of(type_of(argument)) for argument in decided_by)


def weight_of(value: SSAValue) -> SSAValue:
    """An operand of a product, before it was repeated along batches."""
    while isinstance(value.owner, BroadcastOp):
        source = value.owner.x
        if source.type.get_shape()[-2:] != type_of(value).get_shape()[-2:]:
            break
        value = source
    return value


def _is_transposed(weight: SSAValue) -> bool:
    """Whether the elements of a weight's rows lie apart in memory."""
    op = weight.owner
    return isinstance(op, PermuteOp) and ints(op.permutation)[-1] != len(ints(op.permutation)) - 1


def _is_computed(weight: SSAValue) -> bool:
    """Whether a weight is more than a view of an argument."""
    op = weight.owner
    if not isinstance(op, TensorOp):
        return False
    return not op.IS_VIEW or any(_is_computed(operand) for operand in op.operands)
