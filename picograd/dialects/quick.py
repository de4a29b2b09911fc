# pyright: reportPrivateUsage=false
"""Making and copying ops in a third of the time that xDSL takes: this file and `quick_classes` are
the only ones that know what is inside of its classes.

`Operation.create` looks for default values of properties, asks twice for operands that it was just
given, and makes each of an op's lists through a property. Where a pass makes thousands of ops that
are like others, with all of their properties, none of that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import TypeVar

from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue, Use
from xdsl.ir.core import SSAValues

OpT = TypeVar("OpT", bound=Operation)
T = TypeVar("T")

_NOWHERE = UnknownLoc()


def create(
    kind: type[OpT],
    operands: Iterable[SSAValue],
    result_types: Iterable[Attribute],
    properties: Mapping[str, Attribute],
    attributes: Mapping[str, Attribute] = {},
) -> OpT:
    """An op without regions; `properties` are all that it has."""
    op = kind.__new__(kind)
    given = SSAValues(operands)
    uses: list[Use] = []
    for index, value in enumerate(given):
        use = Use.__new__(Use)
        use._operation = op
        use._index = index
        use._prev_use = None
        first = use._next_use = value.first_use
        if first is not None:
            first._prev_use = use
        value.first_use = use
        uses.append(use)
    op._operands = given
    op._operand_uses = tuple(uses)
    op._successors = ()
    op._successor_uses = ()
    op.results = SSAValues([OpResult(type, op, n) for n, type in enumerate(result_types)])
    op.properties = dict(properties)
    op.attributes = dict(attributes)
    op.location = _NOWHERE
    op.regions = ()
    return op


def put_before(op: Operation, new: Iterable[Operation]) -> None:
    """Put ops that stand in no block, and hold none, in front of one."""
    assert op.parent is not None, "the op stands in a block"
    last = _link(op.parent, op._prev_op, new)
    op._prev_op = last
    if last is not None:
        last._next_op = op


def _link(block: Block, last: Operation | None, new: Iterable[Operation]) -> Operation | None:
    """Let ops follow `last`, or begin the block; what follows the last of them, which is handed
    back, is for the caller to say.
    """
    for each in new:
        each.parent = block
        each._prev_op = last
        if last is None:
            block._first_op = each
        else:
            last._next_op = each
        last = each
    return last


def put_in_order(ops: Sequence[Operation], order: Iterable[Operation]) -> None:
    """Let ops that follow one another in a block follow one another in another order."""
    block, before, after = ops[0].parent, ops[0]._prev_op, ops[-1]._next_op
    assert block is not None, "the ops stand in a block"
    last = _link(block, before, order)
    assert last is not None, "there are ops"
    last._next_op = after
    if after is None:
        block._last_op = last
    else:
        after._prev_op = last


def take_all(block: Block) -> list[Operation]:
    """Take all ops out of a block, in order."""
    ops = list(block.ops)
    for op in ops:
        op.parent = op._prev_op = op._next_op = None
    block._first_op = block._last_op = None
    return ops


def put_last(block: Block, ops: Iterable[Operation]) -> None:
    """Put ops that stand in no block, and do not hold this one, at the end of a block."""
    last = _link(block, block._last_op, ops)
    if last is not None:
        last._next_op = None
        block._last_op = last


ValueT = TypeVar("ValueT", bound=SSAValue)


def named_alike(value: ValueT, old: SSAValue) -> ValueT:
    """A value, called like another, whose name need not be looked at again."""
    value._name = old._name
    return value


def remembered(op: Operation, given: tuple[object, ...], make: Callable[[], T]) -> T:
    """What `make` gives, which depends on an op's operands and on what is `given`, and on nothing
    else: it is kept with the op until one of these is another. Not to be changed.
    """
    known: tuple[SSAValues, tuple[object, ...], T] | None = vars(op).get("_remembered")
    if known is not None and known[0] is op._operands and all(map(is_, known[1], given)):
        return known[2]
    found = make()
    remember(op, given, found)
    return found


def remember(op: Operation, given: tuple[object, ...], found: object) -> None:
    """Keep what `remembered` is to find, where it is known already."""
    vars(op)["_remembered"] = (op._operands, given, found)


def values_in(root: Operation) -> tuple[dict[SSAValue, None], set[SSAValue]]:
    """What an op and all that is in it use, in order, and what they define."""
    used: dict[SSAValue, None] = {}
    defined: set[SSAValue] = set()
    stack: list[Operation | None] = [root]
    while stack:
        op = stack.pop()
        if op is None:
            continue
        if op is not root:
            stack.append(op._next_op)
        used.update(dict.fromkeys(op._operands))
        defined.update(op.results)
        for region in reversed(op.regions):
            for block in reversed(region.blocks):
                defined.update(block._args)
                stack.append(block._first_op)
    return used, defined


def clone(op: OpT, values: dict[SSAValue, SSAValue] | None = None) -> OpT:
    """A copy of an op and of all that is in it, called alike.

    What `values` lists is replaced; what the copy gives is added to it.
    """
    if values is None:
        values = {}
    if op.regions or op._successors:
        copying = _Copying({id(old): new for old, new in values.items()})
        copy = copying.op(op)
        copying.finish()
    else:
        operands = [values.get(value, value) for value in op._operands]
        types = [result._type for result in op.results]
        copy = create(type(op), operands, types, op.properties, op.attributes)
        copy.location = op.location
        for result, new in zip(op.results, copy.results, strict=True):
            new._name = result._name
    values.update(zip(op.results, copy.results, strict=True))
    return copy


def clone_block(block: Block) -> Block:
    """A copy of a block, in no region."""
    copying = _Copying({})
    copy = copying.block_arguments(block)
    copying.block_ops(block, copy)
    copying.finish()
    return copy


class _Copying:
    """One copying: what stands for which value and block, found by number, which takes less time
    than asking a value for its hash.
    """

    def __init__(self, values: dict[int, SSAValue]) -> None:
        self.values = values
        self.blocks: dict[int, Block] = {}
        self.unknown: list[tuple[Operation, int, SSAValue]] = []

    def finish(self) -> None:
        """Replace what was used before it was copied."""
        for user, index, value in self.unknown:
            if id(value) in self.values:
                user.operands[index] = self.values[id(value)]

    def op(self, op: OpT) -> OpT:
        values = self.values
        given = op._operands
        operands = [values.get(id(value), value) for value in given]
        types = [result._type for result in op.results]
        copy = create(type(op), operands, types, op.properties, op.attributes)
        for index, value in enumerate(given):
            if id(value) not in values:
                self.unknown.append((copy, index, value))
        for result, new in zip(op.results, copy.results, strict=True):
            values[id(result)] = new
            new._name = result._name
        copy.location = op.location
        for region in op.regions:
            self.region(region, copy)
        if op._successors:
            copy.successors = [self.blocks.get(id(block), block) for block in op._successors]
        return copy

    def region(self, region: Region, parent: Operation) -> None:
        blocks = list(region.blocks)
        copies = [self.block_arguments(block) for block in blocks]
        parent.add_region(Region(copies))
        for block, copy in zip(blocks, copies, strict=True):
            self.block_ops(block, copy)

    def block_arguments(self, block: Block) -> Block:
        copy = Block(arg_types=[argument._type for argument in block._args])
        for argument, new in zip(block._args, copy._args, strict=True):
            self.values[id(argument)] = new
            new._name = argument._name
            new.location = argument.location
        self.blocks[id(block)] = copy
        return copy

    def block_ops(self, block: Block, copy: Block) -> None:
        copy._last_op = _link(copy, None, map(self.op, block.ops))
