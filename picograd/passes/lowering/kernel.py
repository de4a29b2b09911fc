"""A whole kernel: loop nests over the written values, under the plan that suits it.

Outputs whose sizes agree, or agree as far as one goes, share a nest: a row's statistics are stored
in the loop over the rows in which the row itself is stored.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Operation, SSAValue

from picograd.dialects import buffer, loop
from picograd.dialects.affine import Linear
from picograd.dialects.tensor import ReshapeOp, TensorOp
from picograd.passes.legalization.legal import check_types
from picograd.passes.lowering.costs import LOOP_COST, own_cost
from picograd.passes.lowering.elements import Elements, shape_of
from picograd.passes.lowering.indices import Index
from picograd.passes.lowering.nest import Local, Scope, close_parallel, rename_loops
from picograd.passes.lowering.ordered import FILL
from picograd.passes.lowering.placement import Plan, StoreLoop
from picograd.passes.lowering.rules import RULES
from picograd.passes.rewriting.structure import Key, structural_key
from picograd.quick_dataclasses import dataclass

FRAMES_PER_OP = 8
"""Python calls that nest when an element is pulled through one op, rounded up."""
SPARE_FRAMES = 1000


@dataclass(frozen=True)
class Output:
    """A written value: the value that its nest loops over, and where an element is stored."""

    number: int
    value: SSAValue
    place: Callable[[Index], Index]
    whole: bool
    """Whether elements are stored at their own index."""

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that need a loop."""
        return tuple(axis for axis, size in enumerate(shape_of(self.value)) if size != 1)


@dataclass(frozen=True)
class Nest:
    """Outputs that share loops. Each lists its axes in the order of the loops."""

    extents: tuple[int, ...]
    members: tuple[tuple[Output, tuple[int, ...]], ...]

    @property
    def name(self) -> int:
        """What tells the nest from others: its first output."""
        return self.members[0][0].number


def lower_kernel(kernel: buffer.KernelOp, name: str) -> loop.KernelOp:
    """The loop-level kernel that computes what a buffer-level kernel does.

    Values are computed where they are asked for; the plan gives a buffer to those that would be
    computed too often, and puts loops that costly values depend on outermost. Raises DTypeError
    for types that loops do not have.
    """
    tried: tuple[Key, loop.KernelOp] | None = vars(kernel).pop(_TRIED, None)
    if tried is None or tried[0] != structural_key(kernel):
        return _lower(kernel, name)
    tried[1].sym_name = StringAttr(name)
    return tried[1]


def try_lowering(kernel: buffer.KernelOp) -> loop.KernelOp:
    """The same to look at, and not to change: `lower_kernel` gives it once more, unless another
    pass has changed the kernel by then.
    """
    lowered = _lower(kernel, "trial")
    vars(kernel)[_TRIED] = structural_key(kernel), lowered
    return lowered


_TRIED = "_tried"
"""With a kernel is kept what it was lowered to, and what it was then."""


def _lower(kernel: buffer.KernelOp, name: str) -> loop.KernelOp:
    check_types(kernel)
    plan = Plan(kernel)
    _allow_depth(FRAMES_PER_OP * len(list(kernel.block.ops)))
    while True:
        elements, stores = _lower_once(kernel, plan)
        if elements.crowded:
            plan.place_crowded(elements.sites)
        elif not _reorder(plan, elements, stores) and not plan.place_one(elements.sites, stores):
            break
    rename_loops(elements.root.block)
    result = loop.KernelOp(name, elements.root.block, guarded=kernel.guarded is not None)
    if kernel.absorbed_names:
        names = [StringAttr(absorbed) for absorbed in kernel.absorbed_names]
        result.attributes["absorbs"] = ArrayAttr(names)
    lines = dict.fromkeys(op.attributes["at"] for op in kernel.block.ops if "at" in op.attributes)
    if lines:
        result.attributes["at"] = ArrayAttr(list(lines))
    return result


def _allow_depth(frames: int) -> None:
    """Let Python calls nest as deep as a chain of the kernel's ops needs. Never lowers the limit.

    Python's own frames live on the heap: a higher limit costs nothing until it is used.
    """
    if sys.getrecursionlimit() < frames + SPARE_FRAMES:
        sys.setrecursionlimit(frames + SPARE_FRAMES)


def _lower_once(kernel: buffer.KernelOp, plan: Plan) -> tuple[Elements, list[StoreLoop]]:
    elements = Elements(kernel, plan, RULES)
    stores: list[StoreLoop] = []
    outputs: list[Output] = []
    for op in kernel.block.ops:
        if isinstance(op, buffer.WriteOp) and prod(shape_of(op.value)) > 0:
            outputs.append(_output(kernel, op))
    for item in _in_order(kernel, outputs, plan):
        if elements.crowded:
            break
        if isinstance(item, Nest):
            _Nesting(elements, item, stores).build(elements.root, 0, [])
        else:
            memref = elements.arguments[kernel.write_arguments[item.number]]
            op = cast(Operation, item.value.owner)
            FILL[type(op)](op, memref, elements)
            elements.root.locals[item.value] = Local(memref, {}, item.place)
    return elements, stores


def _output(kernel: buffer.KernelOp, op: buffer.WriteOp) -> Output:
    """What is written, seen through a final reshape that joins axes of a computed value.

    The loops then run over the axes before the reshape, in which the costly parts are indexed.
    """
    number = kernel.write_arguments.index(op.target)
    value = op.value
    owner = value.owner
    if isinstance(owner, ReshapeOp) and _takes_loops(owner) and type(owner.x.owner) not in FILL:
        groups = _joined_axes(shape_of(owner.x), shape_of(value))
        if groups is not None:
            sizes = shape_of(owner.x)

            def place(index: Index) -> Index:
                joined: list[Linear] = []
                for group in groups:
                    position = Linear.of(0)
                    for axis in group:
                        position = position * sizes[axis] + index[axis]
                    joined.append(position)
                return tuple(joined)

            return Output(number, owner.x, place, whole=False)
    return Output(number, value, lambda index: index, whole=True)


def _takes_loops(op: Operation) -> bool:
    """Whether an element of the op's result takes a loop."""
    pending, seen = [op], {op}
    while pending:
        op = pending.pop()
        if own_cost(op) >= LOOP_COST:
            return True
        owners = [value.owner for value in op.operands]
        new = [owner for owner in owners if isinstance(owner, TensorOp) and owner not in seen]
        seen.update(new)
        pending.extend(new)
    return False


def _joined_axes(old: Sequence[int], new: Sequence[int]) -> list[list[int]] | None:
    """For each new axis the old axes that it joins; None when an old axis would be split."""
    axes = iter(range(len(old)))
    groups: list[list[int]] = []
    for size in new:
        group: list[int] = []
        product = 1
        while product < size:
            axis = next(axes, None)
            if axis is None:
                return None
            group.append(axis)
            product *= old[axis]
        if product != size:
            return None
        groups.append(group)
    return groups


# Which outputs share a nest


def _in_order(
    kernel: buffer.KernelOp, outputs: Sequence[Output], plan: Plan
) -> Iterator[Nest | Output]:
    """Nests and filled results, so that what is computed first in the kernel is stored first."""
    items: list[Nest | Output] = []
    for output in sorted(outputs, key=lambda output: -len(output.axes)):
        if type(output.value.owner) in FILL:
            items.append(output)
            continue
        for n, item in enumerate(items):
            order = _fit(output, item.extents) if isinstance(item, Nest) else None
            if isinstance(item, Nest) and order is not None:
                items[n] = Nest(item.extents, (*item.members, (output, order)))
                break
        else:
            order = plan.orders.get(output.number, output.axes)
            extents = tuple(shape_of(output.value)[axis] for axis in order)
            items.append(Nest(extents, ((output, order),)))
    positions: dict[SSAValue, int] = {
        result: n for n, op in enumerate(kernel.block.ops) for result in op.results
    }

    def position(item: Nest | Output) -> int:
        values = [o.value for o, _ in item.members] if isinstance(item, Nest) else [item.value]
        return max(positions[value] for value in values)

    yield from sorted(items, key=position)


def _fit(output: Output, extents: Sequence[int]) -> tuple[int, ...] | None:
    """The output's axes in an order in which their sizes are the first of the nest's, if any."""
    shape, left = shape_of(output.value), list(output.axes)
    if not left and extents:
        return None
    order: list[int] = []
    for extent in extents[: len(left)]:
        axis = next((axis for axis in left if shape[axis] == extent), None)
        if axis is None:
            return None
        left.remove(axis)
        order.append(axis)
    return tuple(order)


def _reorder(plan: Plan, elements: Elements, stores: Sequence[StoreLoop]) -> bool:
    """Put loops that more of the costly values depend on outermost; tells whether that is new."""
    for store in stores:
        if store.output in plan.orders or not store.first:
            continue
        variables = [v for e in store.index for v in e.values()]
        uses = dict.fromkeys(variables, 0)
        for site in elements.sites:
            if site.cost >= LOOP_COST and _inside(site.scope, store.scope):
                for variable in {v for e in site.index for v in e.values()} & set(variables):
                    uses[variable] += 1
        axes = [axis for axis, e in enumerate(store.index) if e.values()]
        weight = {axis: sum(uses[v] for v in store.index[axis].values()) for axis in axes}
        order = tuple(sorted(axes, key=lambda axis: -weight[axis]))
        if order != tuple(axes):
            plan.orders[store.output] = order
            return True
    return False


def _inside(scope: Scope, store: Scope) -> bool:
    """Whether a scope is one of the store's loops, or inside one."""
    loops = [around for around in store.chain() if around.parent is not None]
    return any(around is other for around in scope.chain() for other in loops)


# Building a nest


@dataclass
class _Nesting:
    """One nest under construction."""

    elements: Elements
    nest: Nest
    stores: list[StoreLoop]

    def build(self, scope: Scope, depth: int, variables: list[Linear]) -> None:
        """Loops `depth`, `depth` + 1, … inside `scope`, then the outputs that end at this depth.

        The inner loops come first: what they move out here is found again by those outputs.
        """
        ending = [(o, order) for o, order in self.nest.members if len(order) == depth]
        if depth < len(self.nest.extents):
            label = ("nest", self.nest.name, depth)
            inner = self.elements.open(scope, label, (self.nest.extents[depth],))
            variable = Linear.of(inner.block.args[0])
            self.build(inner, depth + 1, [*variables, variable])
            close_parallel(inner)
            for output, order in self.nest.members:
                if len(order) > depth:
                    self._stored(scope, output, dict(zip(order, variables, strict=False)))
        for output, order in ending:
            self._store(scope, output, dict(zip(order, variables, strict=True)))

    def _store(self, scope: Scope, output: Output, index: dict[int, Linear]) -> None:
        elements = self.elements
        rank = len(shape_of(output.value))
        full = tuple(index.get(axis, Linear.of(0)) for axis in range(rank))
        value = elements.element(output.value, full, scope, ())
        if not isinstance(output.value.owner, buffer.ReadOp):
            value.name_hint = value.name_hint or output.value.name_hint
        memref = self._memref(output)
        scope.block.add_op(loop.StoreOp(value, memref, output.place(full)))
        self._end_loan(scope, memref, output.value)
        first = output.number == self.nest.name
        self.stores.append(
            StoreLoop(output.number, scope, full, len(elements.sites), output.whole, first)
        )

    def _memref(self, output: Output) -> SSAValue:
        return self.elements.arguments[self.elements.kernel.write_arguments[output.number]]

    def _stored(self, scope: Scope, output: Output, bound: dict[int, Linear]) -> None:
        """From here on the output's buffer holds what its loops have stored."""
        memref = self._memref(output)
        self._end_loan(scope, memref, output.value)
        scope.locals[output.value] = Local(memref, bound, output.place)

    def _end_loan(self, scope: Scope, memref: SSAValue, stored: SSAValue) -> None:
        """A value that was held by an output's buffer is gone once the output is stored there.

        The plan lent the buffer because nobody asked for the value after that; what was placed
        later may ask again, in the rest of the loop's body too, and has the value computed anew.
        """
        for around in scope.chain():
            for value, local in list(around.locals.items()):
                if local.memref is memref and value is not stored:
                    del around.locals[value]
                    self.elements.spent.add(value)
