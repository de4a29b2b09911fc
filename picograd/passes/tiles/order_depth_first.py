"""Compute each stored value just before its store, so that few machine vectors live at once.

Unrolling a tile's epilogue makes all pieces of the first operation, then all of the second, and so
on: with a long epilogue every piece is alive at the same time and spills. Depth first from each
store, one piece is finished before the next is begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.arith import ConstantOp
from xdsl.ir import Block, Operation, OpResult, SSAValue

from picograd.dialects.affine import Atom, Lane, Linear
from picograd.dialects.loop import BarrierOp, BroadcastOp, LoadOp, StoreOp, tile_shape
from picograd.dialects.quick import put_in_order
from picograd.passes.rewriting.loops import is_pure


def order_depth_first(block: Block) -> None:
    """Reorder the straight-line stretches of a block; what they mean stays the same."""
    stretches: list[list[Operation]] = [[]]
    for op in block.ops:
        if isinstance(op, LoadOp | StoreOp) or (not op.regions and is_pure(op)):
            stretches[-1].append(op)
        else:
            stretches.append([])
    for stretch in stretches:
        _order(stretch)


def sink_past_loops(block: Block) -> None:
    """Move what only later operations use behind the loops before them.

    An epilogue's operands that are loaded before a loop would occupy registers all through it. So
    would what an early store and the epilogue have in common: such a store is made late, too.
    """
    ops = list(block.ops)
    place: dict[Operation, float] = {op: number for number, op in enumerate(ops)}
    loops = [number for number, op in enumerate(ops) if op.regions]
    if not loops:
        return
    for op in reversed(ops):
        if isinstance(op, StoreOp):
            late = place[op] < loops[-1] and _shares(op, block, loops[-1], place)
            end = loops[-1] + 1 if late else -1
        else:
            user = _first_user(op, block, place)
            end = place[user] if user is not None and _is_movable(op) else -1
        crossed = [ops[number] for number in loops if place[op] < number < end]
        if not crossed:
            continue
        between = ops[int(place[op]) + 1 : int(place[crossed[-1]]) + 1]
        if isinstance(op, LoadOp) and _writes(between, op):
            continue
        if isinstance(op, StoreOp) and _touches(between, op):
            continue
        # Directly behind the loop: later operations went there before, so the order stays.
        op.detach()
        block.insert_op_after(op, crossed[-1])
        place[op] = place[crossed[-1]] + 0.5


def _is_movable(op: Operation) -> bool:
    return not op.regions and (isinstance(op, LoadOp) or is_pure(op))


def _first_user(op: Operation, block: Block, place: Mapping[Operation, float]) -> Operation | None:
    """The first operation of the block that uses a result of another, itself or in its body."""
    users = [
        block.find_ancestor_op_in_block(use.operation)
        for result in op.results
        for use in result.uses
    ]
    inside = [user for user in users if user is not None]
    return min(inside, key=lambda user: place[user], default=None)


def _shares(store: StoreOp, block: Block, loop: int, place: Mapping[Operation, float]) -> bool:
    """Whether arithmetic that leads to a store is needed behind a loop, too."""
    stack: list[SSAValue] = [store.value]
    seen: set[SSAValue] = set()
    while stack:
        value = stack.pop()
        if value in seen or not isinstance(value, OpResult):
            continue
        seen.add(value)
        op = value.owner
        if op not in place or not _is_movable(op) or isinstance(op, LoadOp):
            continue
        users = [block.find_ancestor_op_in_block(use.operation) for use in value.uses]
        late = any(user is not None and place[user] > loop for user in users)
        if late and not isinstance(op, ConstantOp | BroadcastOp):
            return True
        stack += op.operands
    return False


def _touches(ops: Sequence[Operation], store: StoreOp) -> bool:
    """Whether operations or their bodies may read or write what a store writes."""
    return any(
        (isinstance(op, LoadOp | StoreOp) and op.memref is store.memref)
        or isinstance(op, BarrierOp)
        for outer in ops
        for op in outer.walk()
    )


def _writes(ops: Sequence[Operation], load: LoadOp) -> bool:
    """Whether operations or their bodies may store to what a load reads."""
    return any(
        (isinstance(op, StoreOp) and op.memref is load.memref) or isinstance(op, BarrierOp)
        for outer in ops
        for op in outer.walk()
    )


def _order(ops: Sequence[Operation]) -> None:
    stores = [number for number, op in enumerate(ops) if isinstance(op, StoreOp)]
    if len(stores) < 2:
        return
    before = _memory_order(ops)
    if before is None:
        return
    # Operations by their number: looking one up takes long enough to do it once for each operand.
    number_of: dict[Operation | Block, int] = {op: number for number, op in enumerate(ops)}
    numbers = [
        [
            *[number_of[value.owner] for value in op.operands if value.owner in number_of],
            *before.get(number, ()),
        ]
        for number, op in enumerate(ops)
    ]
    done = bytearray(len(ops))
    order: list[Operation] = []
    for root in (*_by_what_they_share(stores, ops, numbers), *range(len(ops))):
        # An explicit stack: a fused chain may be longer than Python's recursion goes.
        stack = [] if done[root] else [(root, iter(numbers[root]))]
        while stack:
            top, needed = stack[-1]
            following = next((number for number in needed if not done[number]), None)
            if following is not None:
                stack.append((following, iter(numbers[following])))
                continue
            stack.pop()
            done[top] = True
            order.append(ops[top])
    put_in_order(ops, order)


def _by_what_they_share(
    stores: Sequence[int], ops: Sequence[Operation], numbers: Sequence[Sequence[int]]
) -> list[int]:
    """Stores in their order, but each right behind that with which it shares most arithmetic.

    A kernel with two results stores all pieces of the one, then all of the other: what both need
    would wait for the second.
    """
    owner = [-1] * len(ops)
    followers: dict[int, list[int]] = {store: [] for store in stores}
    first: list[int] = []
    for store in stores:
        shared: dict[int, int] = {}
        stack, seen = [store], {store}
        while stack:
            number = stack.pop()
            if owner[number] < 0:
                owner[number] = store
                fresh = {one for one in numbers[number] if one not in seen}
                seen.update(fresh)
                stack += fresh
            elif not isinstance(ops[number], LoadOp | StoreOp | ConstantOp | BroadcastOp):
                shared[owner[number]] = shared.get(owner[number], 0) + 1
        if shared:
            followers[max(shared, key=shared.__getitem__)].append(store)
        else:
            first.append(store)
    order: list[int] = []
    waiting = first[::-1]
    while waiting:
        store = waiting.pop()
        order.append(store)
        waiting += reversed(followers[store])
    return order


_Terms = frozenset[tuple[Atom, int]]

_Place = tuple[tuple[_Terms, int, int], ...]
"""For each axis what an index consists of beside lanes, its constant, and how far lanes lead."""


def _memory_order(ops: Sequence[Operation]) -> dict[int, list[int]] | None:
    """For each access the earlier ones that must stay before it; None if there are too many."""
    written = {op.memref for op in ops if isinstance(op, StoreOp)}
    accesses: dict[SSAValue, _Accesses] = {}
    before: dict[int, list[int]] = {}
    for number, op in enumerate(ops):
        if not isinstance(op, LoadOp | StoreOp) or op.memref not in written:
            continue
        others = accesses.setdefault(op.memref, _Accesses())
        if others.count >= _MOST_ACCESSES:
            return None
        before[number] = others.add(number, _place(op), stores=isinstance(op, StoreOp))
    return before


_MOST_ACCESSES = 128
"""Accesses of one buffer that are compared with each other."""

_Rows = dict[tuple[int, ...], list[tuple[int, bool, _Place]]]


class _Accesses:
    """The accesses of one buffer, in order.

    Pieces of a tile lie at constants that differ, most of them in other rows: two are compared only
    where no axis tells at once that they are apart.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[tuple[tuple[_Terms, bool], ...], _Rows] = {}
        """By what the indices consist of, and whether lanes lead along an axis; then by the
        constants of those axes along which no lanes do."""

    def add(self, number: int, place: _Place, *, stores: bool) -> list[int]:
        """One more access; the numbers of those before it that it may touch are given back."""
        kind = tuple([(terms, reach == 0) for terms, _, reach in place])
        row = tuple([start for _, start, reach in place if reach == 0])
        own = self._kinds.setdefault(kind, {}).setdefault(row, [])
        others = [own]
        if len(self._kinds) > 1:
            for each, rows in self._kinds.items():
                others += rows.values() if each != kind else ()
        touched = [
            other
            for accesses in others
            for other, stored, at in accesses
            if (stored or stores) and not _are_apart(at, place)
        ]
        own.append((number, stores, place))
        self.count += 1
        return sorted(touched)


def _place(op: LoadOp | StoreOp) -> _Place:
    shape = tile_shape(op.result.type if isinstance(op, LoadOp) else op.value.type)
    return tuple([_along_axis(index, shape) for index in op.indices])


def _along_axis(index: Linear, shape: Sequence[int]) -> tuple[_Terms, int, int]:
    others: list[tuple[Atom, int]] = []
    reach = 0
    for atom, factor in index.terms.items():
        if isinstance(atom, Lane) and factor > 0:
            reach += factor * (shape[atom.axis] - 1)
        else:
            others.append((atom, factor))
    if any(Linear.of(atom).lanes() for atom, _ in others if not isinstance(atom, SSAValue)):
        return frozenset(), -_ANYWHERE, 2 * _ANYWHERE
    return frozenset(others), index.constant, reach


_ANYWHERE = 1 << 60


def _are_apart(one: _Place, other: _Place) -> bool:
    """Whether two places have no element in common: on some axis one ends before the other."""
    return any(
        terms == others and (start + reach < begin or begin + length < start)
        for (terms, start, reach), (others, begin, length) in zip(one, other, strict=True)
    )
