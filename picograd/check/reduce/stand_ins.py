"""Something simpler in the place of an op, at any level: one of its operands, or a constant."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IndexType, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.check.reduce.chunks import fewest
from picograd.check.reduce.excerpt import Values, values_of
from picograd.check.reduce.search import REFUSALS, Program, Search
from picograd.check.reduce.tidy import tidied
from picograd.dialects.dtypes import dtype_of
from picograd.dialects.literals import Array, literal
from picograd.dialects.tensor import ConstantOp, TensorOp

StandIn: TypeAlias = Callable[[Operation], SSAValue]
"""What takes the place of an op's result; a constant is inserted before the op."""

StandIns: TypeAlias = Mapping[int, Sequence[StandIn]]
"""What may stand for ops, which are numbered in the order in which a walk meets them."""

_LARGEST_CONSTANT = 64
"""What an op computes becomes a constant up to so many elements; equal ones are always short."""


def ops_by_operands(search: Search) -> None:
    """Let operands of its own type stand for an op: first for many ops at once, then one by one."""
    base = search.best
    first = {number: stand_ins[0] for number, stand_ins in _operands_in(base).items()}

    def keeping(kept: Sequence[int]) -> bool:
        gone = {number: first[number] for number in first if number not in set(kept)}
        return search.accept(lambda: _with_stand_ins(base, gone))

    fewest(list(first), keeping)
    _one_by_one(search, _operands_in)


def ops_by_constants(search: Search) -> None:
    """Let a constant stand for an op: ones, zeros, or what the op computes."""
    _one_by_one(search, _constants_in)


def _one_by_one(search: Search, stand_ins_in: Callable[[Program], StandIns]) -> None:
    """Try what may stand for each op, from the last to the first."""
    table = stand_ins_in(search.best)
    waiting = sorted(table)
    while waiting and not search.over:
        number = waiting.pop()
        base = search.best
        if any(
            search.accept(partial(_with_stand_ins, base, {number: stand_in}))
            for stand_in in table[number]
        ):
            table = stand_ins_in(search.best)
            waiting = sorted(other for other in table if other < number)


def _with_stand_ins(program: Program, gone: Mapping[int, StandIn]) -> Program:
    """A copy of a program in which some ops are replaced, without what nobody reads then."""
    copy = program.module.clone()
    ops = list(copy.walk())
    for number in sorted(gone):
        op = ops[number]
        op.results[0].replace_all_uses_with(gone[number](op))
        Rewriter.erase_op(op)
    return tidied(Program(copy, program.inputs))


def _operands_in(program: Program) -> StandIns:
    """For each op with one result, its operands of the result's type."""
    found: dict[int, Sequence[StandIn]] = {}
    for number, op in enumerate(program.module.walk()):
        if len(op.results) == 1:
            places = [n for n, v in enumerate(op.operands) if v.type == op.results[0].type]
            if places:
                found[number] = [partial(_operand, place) for place in places]
    return found


def _operand(place: int, op: Operation) -> SSAValue:
    return op.operands[place]


def _constants_in(program: Program) -> StandIns:
    """For each op that is no constant, constants of its result's type."""
    values: Values = {}
    with suppress(*REFUSALS):  # of another level, or not to be run: ones and zeros are left
        values = values_of(program)
    found: dict[int, Sequence[StandIn]] = {}
    for number, op in enumerate(program.module.walk()):
        if isinstance(op, TensorOp) and not isinstance(op, ConstantOp):
            found[number] = [partial(_constant, array) for array in _arrays_for(op, values)]
        elif len(op.results) == 1 and not isinstance(op, arith.ConstantOp):
            numbers = [_scalar(op.results[0].type, value) for value in (1, 0)]
            if None not in numbers:
                found[number] = [partial(_scalar_constant, n) for n in numbers if n is not None]
    return found


def _arrays_for(op: TensorOp, values: Values) -> list[Array]:
    shape, dtype = op.result.type.get_shape(), dtype_of(op.result.type).numpy
    arrays = [np.ones(shape, dtype), np.zeros(shape, dtype)]
    computed = values.get(op.result)
    if computed is not None and computed.size <= _LARGEST_CONSTANT:
        arrays.append(computed)
    return arrays


def _constant(array: Array, op: Operation) -> SSAValue:
    constant = ConstantOp(literal(array))
    Rewriter.insert_op(constant, InsertPoint.before(op))
    return constant.result


def _scalar(type: Attribute, value: int) -> Attribute | None:
    """The attribute of a number; None for a type that is no scalar's."""
    if isinstance(type, IntegerType):
        return IntegerAttr(value, cast(IntegerType, type))
    if isinstance(type, IndexType):
        return IntegerAttr(value, type)
    if isinstance(type, AnyFloat):
        return FloatAttr(float(value), type)
    return None


def _scalar_constant(value: Attribute, op: Operation) -> SSAValue:
    constant = arith.ConstantOp(cast(Any, value))
    Rewriter.insert_op(constant, InsertPoint.before(op))
    return constant.result
