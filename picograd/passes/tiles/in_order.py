"""Combiners for values whose positions come in order, as they do in each lane of a loop.

argmax prefers the earlier of two equal elements, so that any order and grouping gives the same.
Where the right value surely comes later than the left one, that comparison is false, and what hangs
on it falls away: half of the work of a lane.
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.loop import CompareOp, IndexOp, ReduceOp, yielded


def increasing(op: ReduceOp, variable: SSAValue) -> list[int]:
    """The numbers of the values of a reduction that grow with an induction variable."""
    return [
        number
        for number, value in enumerate(yielded(op.body.block))
        if isinstance(value.owner, IndexOp)
        and value.owner.expression.coefficient(variable) > 0
        and value.owner.expression.values() == {variable}
    ]


def in_order(op: ReduceOp, variable: SSAValue) -> ReduceOp | None:
    """A copy of a reduction, in no block, whose combiner takes the left values for earlier ones.

    None if that makes no difference. The copy's combiner does not commute: it is for loops that go
    through the variable in order.
    """
    copy = op.clone()
    assert copy.combiner is not None
    block = copy.combiner.block
    count = len(op.outputs)
    pairs = {(block.args[count + n], block.args[n]) for n in increasing(op, variable)}
    never = [
        compared
        for compared in block.ops
        if isinstance(compared, CompareOp)
        and compared.predicate.data == "lt"
        and (compared.left, compared.right) in pairs
    ]
    if not never:
        copy.erase()
        return None
    _assume_false(block, {compared.result for compared in never})
    return copy


def _assume_false(block: Block, never: set[SSAValue]) -> None:
    """Simplify what hangs on values that are false, and erase what nobody uses any more."""
    for op in list(block.ops):
        if not isinstance(op, arith.AndIOp | arith.OrIOp):
            continue
        others = [value for value in op.operands if value not in never]
        if len(others) == 2:
            continue
        if isinstance(op, arith.AndIOp) or not others:
            never.add(op.result)
        else:
            op.result.replace_all_uses_with(others[0])
    for op in reversed(list(block.ops)):
        if op.results and not any(result.uses for result in op.results):
            Rewriter.erase_op(op)
    left = [value for value in never if value.uses and _is_in(value, block)]
    if left:
        false = arith.ConstantOp.from_int_and_width(0, 1)
        first = block.first_op
        assert first is not None
        block.insert_op_before(false, first)
        for value in left:
            value.replace_all_uses_with(false.result)


def _is_in(value: SSAValue, block: Block) -> bool:
    return isinstance(value.owner, Operation) and value.owner.parent is block
