"""One rule for each tensor op: how one element of its result is computed.

Views have no rule; `views` maps their indices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, i32
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.dialects.literals import splat_value
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceOp,
    BinaryOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    RandomBitsOp,
    ReduceOp,
    SelectOp,
    UnaryOp,
    int_value,
    ints,
)
from picograd.passes.lowering.arithmetic import (
    binary,
    compare,
    convert,
    is_float,
    number,
    select,
    unary,
    width_of,
)
from picograd.passes.lowering.checked import checked
from picograd.passes.lowering.elements import At, Rule, shape_of
from picograd.passes.lowering.indices import (
    Condition,
    Index,
    in_range,
    linearize,
    quotient,
    remainder,
)
from picograd.passes.lowering.nest import dims_of
from picograd.passes.lowering.ordered import FILL, extreme, filled
from picograd.passes.lowering.philox import ROUNDS, chosen_word, first_counter, one_round
from picograd.passes.lowering.products import (
    close_reduction,
    convolution,
    matmul,
    open_reduction,
)

# Sources


def _constant(op: ConstantOp, index: Index, at: At) -> SSAValue:
    value = splat_value(op.value)
    # Constants of different elements have become buffers; one without elements is never read.
    return at.constant(0 if value is None else value, op.result.type.element_type)


def _iota(op: IotaOp, index: Index, at: At) -> SSAValue:
    return at.add(loop.IndexOp(index[0], op.element_type))


def _random_bits(op: RandomBitsOp, index: Index, at: At) -> SSAValue:
    state = [at.element(op.state, (Linear.of(n),)) for n in range(4)]
    position = linearize(index, shape_of(op.result))
    ranges = at.elements.ranges
    counter, key = first_counter(at, state, quotient(position, 4, ranges))
    body = at.elements.open(at.scope, "philox", (ROUNDS,), sequential=True)
    carried = [*counter, *key]
    arguments = [body.block.insert_arg(word.type, n + 1) for n, word in enumerate(carried)]
    inner = At(at.elements, body, at.guard)
    body.block.add_op(loop.YieldOp(*one_round(inner, arguments[:4], arguments[4:])))
    rounds = loop.ForOp(dims_of(body)[0], carried, body.block)
    at.scope.block.add_op(rounds)
    return chosen_word(at, rounds.results[:4], remainder(position, 4, ranges))


# Elementwise


def _operands(op: Operation, index: Index, at: At) -> list[SSAValue]:
    """The operands' elements at one index.

    Those that take loops come first: a load made before a loop would occupy registers all the way
    through it.
    """
    costly = at.elements.costly
    in_order = sorted(op.operands, key=lambda operand: not costly[operand])
    found = {operand: at.element(operand, index) for operand in in_order}
    return [found[operand] for operand in op.operands]


def _unary(op: UnaryOp, index: Index, at: At) -> SSAValue:
    return unary(at, op.kind.data, at.element(op.x, index))


def _binary(op: BinaryOp, index: Index, at: At) -> SSAValue:
    return binary(at, op.kind.data, *_operands(op, index, at))


def _compare(op: CompareOp, index: Index, at: At) -> SSAValue:
    return compare(at, op.kind.data.value, *_operands(op, index, at))


def _select(op: SelectOp, index: Index, at: At) -> SSAValue:
    return select(at, *_operands(op, index, at))


def _cast(op: CastOp, index: Index, at: At) -> SSAValue:
    return convert(at, at.element(op.x, index), op.element_type)


# Reductions


def _reduce(op: ReduceOp, index: Index, at: At) -> SSAValue:
    shape, axes = shape_of(op.x), ints(op.axes)
    opened = open_reduction(at, op, shape, axes)
    if opened is None:
        return at.element(op.x, _merge(shape, dict.fromkeys(axes, Linear.of(0)), index))
    scope, inner = opened
    body = At(at.elements, scope, at.guard)
    value = body.element(op.x, _merge(shape, inner, index))
    return close_reduction(at, op.kind.data.value, scope, value)


def _merge(shape: Sequence[int], some: dict[int, Linear], others: Iterable[Linear]) -> Index:
    """The index whose positions along some axes are given by axis, and the others in order."""
    rest = iter(others)
    return tuple(some[axis] if axis in some else next(rest) for axis in range(len(shape)))


def _argreduce(op: ArgReduceOp, index: Index, at: At) -> SSAValue:
    shape, axis = shape_of(op.x), int_value(op.axis)
    result_type, value_type = op.result.type.element_type, op.x.type.element_type
    # A vector holds twice as many positions of 32 bits.
    position_type = i32 if shape[axis] < 2**31 else result_type
    opened = open_reduction(at, op, shape, (axis,))
    if opened is None:
        return at.constant(0, result_type)
    scope, inner = opened
    body = At(at.elements, scope, at.guard)
    value = body.element(op.x, _merge(shape, inner, index))
    position = body.add(loop.IndexOp(inner[axis], position_type))
    scope.block.add_op(loop.YieldOp(value, position))
    # The element that no other is worse than.
    worst = extreme(-1 if op.kind.data is ArgReduceKind.MAX else 1, value_type)
    last = 2 ** (width_of(position_type) - 1) - 1
    reduction = loop.ReduceOp(
        None,
        dims_of(scope),
        [value_type, position_type],
        body=scope.block,
        identities=[at.constant(worst, value_type), at.constant(last, position_type)],
        combiner=_first_best(op.kind.data, value_type, position_type),
    )
    at.scope.block.add_op(reduction)
    return convert(at, reduction.results[1], result_type)


class _Combiner:
    """The body of a combiner, as a place for arithmetic."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def constant(self, value: bool | float, type: Attribute) -> SSAValue:
        return self.add(number(value, type))


def _first_best(kind: ArgReduceKind, value: Attribute, position: Attribute) -> Block:
    """The better of two elements and its position: the first of equal ones, NaN before all."""
    block = Block(arg_types=[value, position, value, position])
    a, at_a, b, at_b = block.args
    for argument, name in zip(block.args, ("a", "at_a", "b", "at_b"), strict=True):
        argument.name_hint = name
    place = _Combiner(block)

    def both(x: SSAValue, y: SSAValue) -> SSAValue:
        return place.add(arith.AndIOp(x, y))

    def either(x: SSAValue, y: SSAValue) -> SSAValue:
        return place.add(arith.OrIOp(x, y))

    better = compare(place, "gt" if kind is ArgReduceKind.MAX else "lt", b, a)
    earlier = compare(place, "lt", at_b, at_a)
    take_b = either(better, both(compare(place, "eq", a, b), earlier))
    if is_float(value):
        nan_b, number_a = compare(place, "ne", b, b), compare(place, "eq", a, a)
        take_b = either(take_b, both(nan_b, either(number_a, earlier)))
    chosen = select(place, take_b, b, a), select(place, take_b, at_b, at_a)
    block.add_op(loop.YieldOp(*chosen))
    return block


# Data movement


def _pad(op: PadOp, index: Index, at: At) -> SSAValue:
    shape, ranges = shape_of(op.x), at.elements.ranges
    fill = op.value
    assert isinstance(fill, IntegerAttr | FloatAttr)
    outside = at.constant(fill.value.data, op.x.type.element_type)
    guard: tuple[Condition, ...] = ()
    source: list[Linear] = []
    for expression, low, gap, size in zip(
        index, ints(op.low), ints(op.interior), shape, strict=True
    ):
        moved, step = expression - low, gap + 1
        conditions = in_range(moved, 0, (size - 1) * step + 1, ranges)
        between = remainder(moved, step, ranges)
        never = between.is_constant and between.constant != 0
        if conditions is None or never or size == 0:
            return outside
        guard += conditions
        if not between.is_constant:
            guard += (Condition("eq", between, 0),)
        source.append(quotient(moved, step, ranges))
    element = at.under(guard).element(op.x, tuple(source))
    return select(at, at.holds(guard), element, outside) if guard else element


def _concat(op: ConcatOp, index: Index, at: At) -> SSAValue:
    axis, ranges = int_value(op.axis), at.elements.ranges
    pieces: list[tuple[SSAValue, tuple[Condition, ...]]] = []
    start = 0
    for piece in op.xs:
        size = shape_of(piece)[axis]
        moved = index[axis] - start
        guard = in_range(moved, 0, size, ranges)
        start += size
        if guard is not None:
            source = (*index[:axis], moved, *index[axis + 1 :])
            pieces.append((at.under(guard).element(piece, source), guard))
    if not pieces:
        return at.constant(0, op.result.type.element_type)
    result = pieces[-1][0]
    for element, guard in reversed(pieces[:-1]):
        below = tuple(condition for condition in guard if condition.predicate == "lt")
        result = select(at, at.holds(below), element, result)
    return result


def _gather(op: GatherOp, index: Index, at: At) -> SSAValue:
    axis = int_value(op.axis)
    size = shape_of(op.x)[axis]
    position = checked(op.index, index, size, at)
    if 0 in shape_of(op.x):
        return at.constant(0, op.result.type.element_type)
    return at.element(op.x, (*index[:axis], position, *index[axis + 1 :]))


RULES: dict[type[Operation], Rule] = {
    ConstantOp: _constant,
    IotaOp: _iota,
    RandomBitsOp: _random_bits,
    UnaryOp: _unary,
    BinaryOp: _binary,
    CompareOp: _compare,
    SelectOp: _select,
    CastOp: _cast,
    ReduceOp: _reduce,
    ArgReduceOp: _argreduce,
    MatmulOp: matmul,
    ConvolutionOp: convolution,
    PadOp: _pad,
    ConcatOp: _concat,
    GatherOp: _gather,
    **dict.fromkeys(FILL, filled),
}
"""How one element of each op's result is computed. Rules take the op, the index and the place."""
