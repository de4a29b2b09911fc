"""One rule for each tensor op: how one element of its result is computed.

Views have no rule; `views` maps their indices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.dialects.literals import splat_value
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceOp,
    BinaryKind,
    BinaryOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    RandomBitsOp,
    ReduceOp,
    ScatterKind,
    ScatterOp,
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
from picograd.passes.lowering.elements import At, Elements, Rule, shape_of
from picograd.passes.lowering.indices import (
    Condition,
    Index,
    in_range,
    linearize,
    quotient,
    remainder,
)
from picograd.passes.lowering.nest import Scope, dims_of
from picograd.passes.lowering.philox import ROUNDS, chosen_word, first_counter, one_round

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


def _open_reduction(
    at: At, op: Operation, shape: Sequence[int], axes: Sequence[int]
) -> tuple[Scope, dict[int, Linear]] | None:
    """The body of a reduction over some axes, and each axis's index; None when all are 1."""
    looped = [axis for axis in axes if shape[axis] != 1]
    if not looped:
        return None
    label = ("reduce", at.elements.plan.position(op.results[0]))
    extents = [shape[axis] for axis in looped]
    scope = at.elements.open(at.scope, label, extents, sequential=True)
    variables = dict(zip(looped, map(Linear.of, scope.block.args), strict=True))
    return scope, {axis: variables.get(axis, Linear.of(0)) for axis in axes}


def _close_reduction(at: At, kind: str, scope: Scope, value: SSAValue) -> SSAValue:
    scope.block.add_op(loop.YieldOp(value))
    return at.add(loop.ReduceOp(kind, dims_of(scope), [value.type], body=scope.block))


def _reduce(op: ReduceOp, index: Index, at: At) -> SSAValue:
    shape, axes = shape_of(op.x), ints(op.axes)
    opened = _open_reduction(at, op, shape, axes)
    if opened is None:
        return at.element(op.x, _merge(shape, dict.fromkeys(axes, Linear.of(0)), index))
    scope, inner = opened
    body = At(at.elements, scope, at.guard)
    value = body.element(op.x, _merge(shape, inner, index))
    return _close_reduction(at, op.kind.data.value, scope, value)


def _merge(shape: Sequence[int], some: dict[int, Linear], others: Iterable[Linear]) -> Index:
    """The index whose positions along some axes are given by axis, and the others in order."""
    rest = iter(others)
    return tuple(some[axis] if axis in some else next(rest) for axis in range(len(shape)))


def _matmul(op: MatmulOp, index: Index, at: At) -> SSAValue:
    *batch, row, column = index
    shape = shape_of(op.a)
    opened = _open_reduction(at, op, shape, (len(shape) - 1,))
    if opened is None:
        body, inner = at, Linear.of(0)
    else:
        body, inner = At(at.elements, opened[0], at.guard), opened[1][len(shape) - 1]
    left = body.element(op.a, (*batch, row, inner))
    right = body.element(op.b, (*batch, inner, column))
    product = binary(body, BinaryKind.MUL, left, right)
    return product if opened is None else _close_reduction(at, "add", opened[0], product)


def _argreduce(op: ArgReduceOp, index: Index, at: At) -> SSAValue:
    shape, axis = shape_of(op.x), int_value(op.axis)
    position_type, value_type = op.result.type.element_type, op.x.type.element_type
    opened = _open_reduction(at, op, shape, (axis,))
    if opened is None:
        return at.constant(0, position_type)
    scope, inner = opened
    body = At(at.elements, scope, at.guard)
    value = body.element(op.x, _merge(shape, inner, index))
    position = body.add(loop.IndexOp(inner[axis], position_type))
    scope.block.add_op(loop.YieldOp(value, position))
    worst = _worst(op.kind.data, value_type)
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
    return reduction.results[1]


def _worst(kind: ArgReduceKind, type: Attribute) -> float:
    """The element that no other is worse than."""
    sign = -1 if kind is ArgReduceKind.MAX else 1
    if is_float(type):
        return sign * float("inf")
    half = 2 ** (width_of(type) - 1)
    return -half if sign < 0 else half - 1


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
    equal = compare(place, "eq", a, b)
    if is_float(value):
        nan_a, nan_b = compare(place, "ne", a, a), compare(place, "ne", b, b)
        number_a = compare(place, "eq", a, a)
        better = either(better, both(nan_b, number_a))
        equal = either(equal, both(nan_a, nan_b))
    take_b = either(better, both(equal, compare(place, "lt", at_b, at_a)))
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


def _checked(index: SSAValue, place: Index, size: int, at: At) -> Linear:
    """The position that an element of an index tensor names, checked to be below `size`.

    It is looked up as far out as its own index allows: once a row, not once an element.
    """
    elements = at.elements
    index, place = elements.resolve(index, place)
    leaves = {leaf for e in place for leaf in e.values()}
    leaves.update(leaf for condition in at.guard for leaf in condition.expression.values())
    at = At(elements, elements.settle(at.scope, leaves, far=True), at.guard)
    value = at.element(index, place)
    if at.guard:
        # What is read out of bounds must not count as an index out of range.
        value = select(at, at.holds(at.guard), value, at.constant(0, value.type))
    if size == 0:
        # Nothing is in range: every index is an error.
        value = at.constant(-1, value.type)
    key = ("checked", value, size)
    found = at.scope.recall(key)
    if found is not None:
        return Linear.of(found[1])
    position = at.add(loop.CheckedIndexOp(value, max(1, size)))
    at.scope.memo[key] = (position, 1)
    elements.ranges[position] = (0, max(0, size - 1))
    elements.homes[position] = at.scope
    return Linear.of(position)


def _gather(op: GatherOp, index: Index, at: At) -> SSAValue:
    axis = int_value(op.axis)
    size = shape_of(op.x)[axis]
    position = _checked(op.index, index, size, at)
    if 0 in shape_of(op.x):
        return at.constant(0, op.result.type.element_type)
    return at.element(op.x, (*index[:axis], position, *index[axis + 1 :]))


def _scatter(op: ScatterOp, index: Index, at: At) -> SSAValue:
    """A scatter is a loop with stores: the whole result goes to a buffer, at the kernel's top."""
    elements, root = at.elements, at.elements.root
    shape = shape_of(op.result)
    local = elements.allocate(op.result, root, range(len(shape)), {})
    scatter_into(op, local.memref, elements)
    root.locals[op.result] = local
    return at.element(op.result, index)


def scatter_into(op: ScatterOp, memref: SSAValue, elements: Elements) -> None:
    """Fill a buffer with a scatter's result, at the top of the kernel.

    First a copy of x; then, in parallel over all axes but one and in order along that one, the
    updates.
    """
    shape, axis = shape_of(op.result), int_value(op.axis)
    name = elements.plan.position(op.result)
    root = elements.root
    scopes, index = elements.open_all(root, f"copy {name}", shape, range(len(shape)))
    inner = scopes[-1] if scopes else root
    full = tuple(index[n] for n in range(len(shape)))
    element = elements.element(op.x, full, inner, ())
    inner.block.add_op(loop.StoreOp(element, memref, full))
    elements.close_all(scopes)

    updates = shape_of(op.index)
    others = [n for n in range(len(shape)) if n != axis]
    scopes, index = elements.open_all(root, f"scatter {name}", updates, others)
    outer = scopes[-1] if scopes else root
    steps = elements.open(outer, "scatter", (updates[axis],), sequential=True)
    source = tuple({**index, axis: Linear.of(steps.block.args[0])}[n] for n in range(len(shape)))
    at = At(elements, steps, ())
    target = list(source)
    target[axis] = _checked(op.index, source, shape[axis], at)
    update = at.element(op.updates, source)
    if op.kind.data is ScatterKind.ADD:
        before = at.add(loop.LoadOp(memref, target))
        update = binary(at, BinaryKind.ADD, before, update)
    steps.block.add_ops([loop.StoreOp(update, memref, target), loop.YieldOp()])
    outer.block.add_op(loop.ForOp(dims_of(steps)[0], body=steps.block))
    elements.close_all(scopes)


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
    MatmulOp: _matmul,
    PadOp: _pad,
    ConcatOp: _concat,
    GatherOp: _gather,
    ScatterOp: _scatter,
}
"""How one element of each op's result is computed. Rules take the op, the index and the place."""
