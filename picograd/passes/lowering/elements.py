"""The elements of a kernel's values: each is computed where it is asked for, or read from a buffer.

`Elements` is the engine: it follows views, decides in which loop an element is computed, remembers
what has been computed, and fills the buffers that the plan asks for. The rules say what one
element of each op is made of; they see the engine through `At`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias, cast

from xdsl.dialects.builtin import i32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects import buffer, loop
from picograd.dialects.affine import Linear
from picograd.dialects.dtypes import AnyTensor, bool_
from picograd.dialects.tensor import TensorOp
from picograd.passes.lowering.arithmetic import compare, number
from picograd.passes.lowering.costs import is_costly, own_cost
from picograd.passes.lowering.indices import Condition, Guard, Index, always_inside
from picograd.passes.lowering.nest import (
    Local,
    Scope,
    close_parallel,
    open_scope,
)
from picograd.passes.lowering.placement import Placement, Plan, Site
from picograd.passes.lowering.views import VIEWS
from picograd.quick_dataclasses import dataclass

Rule: TypeAlias = "Callable[[Any, Index, At], SSAValue]"
Rules: TypeAlias = "Mapping[type[Operation], Rule]"
"""For each op, how one element of its result is computed."""

BOOL = bool_.ir

SITES_PER_OP = 32
"""Computing every value at so many places, on average, is too many."""


def type_of(value: SSAValue) -> AnyTensor:
    """The type of a value of the kernel's region."""
    return cast(AnyTensor, value.type)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a value of the kernel's region."""
    return type_of(value).get_shape()


class Elements:
    """A kernel being lowered under a plan. `sites` tells afterwards what was computed where."""

    def __init__(self, kernel: buffer.KernelOp, plan: Plan, rules: Rules) -> None:
        self.kernel = kernel
        self.plan = plan
        self.rules = rules
        arguments = kernel.block.args
        body = Block(arg_types=[argument.type for argument in arguments])
        self.arguments: dict[SSAValue, SSAValue] = dict(zip(arguments, body.args, strict=True))
        _name_buffers(kernel, body)
        self.root = Scope(body, None, ())
        self.ranges: dict[SSAValue, tuple[int, int]] = {}
        self.homes: dict[SSAValue, Scope] = {}
        self.sites: list[Site] = []
        self.most_sites = SITES_PER_OP * (len(list(kernel.block.ops)) + 16)
        self.costly: dict[SSAValue, bool] = {}
        self._costs: list[tuple[Scope, list[int]]] = []
        self._filling: set[SSAValue] = set()
        self.spent: set[SSAValue] = set()
        """Values whose buffer has been given to the output that it was borrowed from."""
        self._paths: dict[Hashable, int] = {}
        self._find_costly()

    def _find_costly(self) -> None:
        """A value is costly when its element takes a costly op; one that has a buffer is not."""
        for op in self.kernel.block.ops:
            for result in op.results:
                self.costly[result] = result not in self.plan.placements and (
                    is_costly(op) or any(self.costly[operand] for operand in _tensors(op))
                )

    @property
    def crowded(self) -> bool:
        """Whether the code has grown out of all proportion, and is not worth finishing.

        Where each step of a chain reads the one before at two places (x plus x shifted, again and
        again), the code doubles with every step.
        """
        return len(self.sites) > self.most_sites

    # Loops

    def open(
        self, parent: Scope, label: Hashable, extents: Sequence[int], *, sequential: bool = False
    ) -> Scope:
        """The body of a new loop over [0, extent) for each extent."""
        again = self._paths.setdefault((parent.path, label), 0)
        self._paths[(parent.path, label)] += 1
        scope = open_scope(parent, (label, again), extents, sequential=sequential)
        for variable, extent in zip(scope.block.args, extents, strict=True):
            self.ranges[variable] = (0, max(0, extent - 1))
            self.homes[variable] = scope
        return scope

    def open_all(
        self, scope: Scope, label: str, shape: Sequence[int], axes: Iterable[int]
    ) -> tuple[list[Scope], dict[int, Linear]]:
        """Nested bodies over axes of a shape, and each axis's index; axes of 1 have no loop."""
        scopes: list[Scope] = []
        index: dict[int, Linear] = {}
        for axis in axes:
            index[axis] = Linear.of(0)
            if shape[axis] != 1:
                scope = self.open(scope, (label, axis), (shape[axis],))
                scopes.append(scope)
                index[axis] = Linear.of(scope.block.args[0])
        return scopes, index

    def close_all(self, scopes: Sequence[Scope]) -> None:
        """Close nested parallel loops, the innermost (last) first."""
        for scope in reversed(scopes):
            close_parallel(scope)

    # Elements

    def settle(self, scope: Scope, values: Iterable[SSAValue], *, far: bool) -> Scope:
        """How far out something that depends on index values may move.

        `far` lets it leave any loop; otherwise it leaves reductions and sequential loops only.
        """
        deepest = max((self.homes[value].depth for value in values), default=0)
        while scope.parent is not None and scope.depth > deepest and (far or scope.sequential):
            scope = scope.parent
        return scope

    def resolve(self, value: SSAValue, index: Index) -> tuple[SSAValue, Index]:
        """An element of a view as an element of what it is a view of."""
        op = value.owner
        while isinstance(op, TensorOp) and (view := VIEWS.get(type(op))) is not None:
            index = view(op, index, self.ranges)
            value = op.operands[0]
            op = value.owner
        return value, index

    def element(self, value: SSAValue, index: Index, scope: Scope, guard: Guard) -> SSAValue:
        """The element of a tensor value at an index, for use in `scope`.

        Under a guard the index may be out of bounds: what is loaded then is zero, and unused.
        """
        value, index = self.resolve(value, index)
        op = cast(Operation, value.owner)
        if isinstance(op, buffer.ReadOp):
            return self.load(self.arguments[op.source], index, scope, guard)
        local = self._local(value, index, scope)
        if local is not None:
            return self.load(local.memref, local.place(index), scope, guard)
        return self._compute(value, op, index, scope, guard)

    def _compute(
        self, value: SSAValue, op: Operation, index: Index, scope: Scope, guard: Guard
    ) -> SSAValue:
        values = {leaf for e in index for leaf in e.values()}
        values.update(leaf for condition in guard for leaf in condition.expression.values())
        target = self.settle(scope, values, far=self.costly[value])
        key = (value, index, guard)
        found = target.recall(key)
        if found is not None:
            where, result, cost = found
        else:
            self._costs.append((target, [own_cost(op)]))
            at = At(self, target, guard)
            if self.crowded:
                result = at.constant(0, type_of(value).element_type)
            else:
                result = self.rules[type(op)](op, index, at)
            where, cost = target, sum(self._costs.pop()[1])
            target.memo[key] = (result, cost)
            self.sites.append(Site(value, index, guard, target, cost))
            if value.name_hint and result.name_hint is None:
                result.name_hint = value.name_hint
        if self._costs and self._costs[-1][0] is where:
            self._costs[-1][1].append(cost)
        return result

    def load(self, memref: SSAValue, index: Index, scope: Scope, guard: Guard) -> SSAValue:
        """An element of a buffer; padded where the guard leaves open whether it is there."""
        shape = loop.memref_type(memref).get_shape()
        pad = bool(guard) and not always_inside(index, shape, self.ranges)
        key = (memref, index, pad)
        target = self.settle(scope, {leaf for e in index for leaf in e.values()}, far=False)
        found = target.recall(key)
        if found is not None:
            return found[1]
        result = self.add(target, loop.LoadOp(memref, index, pad=pad))
        target.memo[key] = (result, 1)
        return result

    def add(self, scope: Scope, op: Operation) -> SSAValue:
        """Add an op with one result to the end of a body."""
        scope.block.add_op(op)
        return op.results[0]

    # Buffers of their own

    def _local(self, value: SSAValue, index: Index, scope: Scope) -> Local | None:
        """The buffer that holds an element, filled now if the plan gives the value one."""
        found = scope.find_local(value, index)
        if found is not None or value in self._filling or value in self.spent:
            return found
        placement = self.plan.placements.get(value)
        home = scope.find_path(placement.path) if placement else None
        if placement is None or home is None or value in home.locals:
            return None
        bound = {
            axis: Linear.of(cast(Scope, home.find_path(path)).block.args[variable])
            for axis, (path, variable) in placement.bound.items()
        }
        local = self._fill(value, home, bound, placement)
        return local if local.holds(index) else None

    def _fill(
        self, value: SSAValue, home: Scope, bound: dict[int, Linear], placement: Placement
    ) -> Local:
        shape = shape_of(value)
        free = [axis for axis in range(len(shape)) if axis not in bound]
        if placement.output is None:
            local = self.allocate(value, home, free, bound)
        else:
            memref = self.arguments[self.kernel.write_arguments[placement.output]]
            local = Local(memref, bound, lambda index: index)
        self._filling.add(value)
        scopes, index = self.open_all(home, f"fill {self.plan.position(value)}", shape, free)
        inner = scopes[-1] if scopes else home
        full = tuple({**bound, **index}[axis] for axis in range(len(shape)))
        element = self.element(value, full, inner, ())
        inner.block.add_op(loop.StoreOp(element, local.memref, local.place(full)))
        self.close_all(scopes)
        self._filling.remove(value)
        home.locals[value] = local
        return local

    def allocate(
        self, value: SSAValue, home: Scope, axes: Sequence[int], bound: dict[int, Linear]
    ) -> Local:
        """A new buffer for some axes of a value."""
        shape = shape_of(value)
        alloc = loop.AllocOp([shape[axis] for axis in axes], type_of(value).element_type)
        memref = self.add(home, alloc)
        memref.name_hint = value.name_hint
        return Local(memref, bound, lambda index: tuple(index[axis] for axis in axes))


def _name_buffers(kernel: buffer.KernelOp, body: Block) -> None:
    """Give each buffer the name it had; those without one are a, b, … and, if written, y, z, …"""
    taken = {argument.name_hint for argument in kernel.block.args}
    for letters, arguments in (
        ("abcdefgh", kernel.read_arguments),
        ("yzuvw", kernel.write_arguments[len(kernel.updates) :]),
    ):
        names = (
            letter if number == 1 else f"{letter}{number}"
            for number in count(1)
            for letter in letters
        )
        free = (name for name in names if name not in taken)
        for argument in arguments:
            body.args[argument.index].name_hint = argument.name_hint or next(free)


@dataclass(frozen=True)
class At:
    """Where a rule computes an element: the place to add ops, and the guard that holds there."""

    elements: Elements
    scope: Scope
    guard: Guard

    def add(self, op: Operation) -> SSAValue:
        """Add an op with one result, and return the result."""
        return self.elements.add(self.scope, op)

    def constant(self, value: bool | float, type: Attribute) -> SSAValue:
        """A number of an element type."""
        target = self.elements.settle(self.scope, (), far=False)
        op = number(value, type)
        found = target.recall(op.value)
        if found is not None:
            return found[1]
        result = self.elements.add(target, op)
        target.memo[op.value] = (result, 0)
        return result

    def element(self, value: SSAValue, index: Index) -> SSAValue:
        """An element of an operand."""
        return self.elements.element(value, index, self.scope, self.guard)

    def under(self, guard: Guard) -> At:
        """The same place, where more conditions decide whether the value is used."""
        new = tuple(condition for condition in guard if condition not in self.guard)
        return At(self.elements, self.scope, self.guard + new)

    def holds(self, guard: Guard) -> SSAValue:
        """Whether all conditions hold, as a bool element."""
        result: SSAValue | None = None
        for condition in guard:
            one = self._holds(condition)
            result = one if result is None else self.add(loop.combine("and", result, one))
        return self.constant(True, BOOL) if result is None else result

    def _holds(self, condition: Condition) -> SSAValue:
        expression = condition.expression
        target = self.elements.settle(self.scope, expression.values(), far=False)
        found = target.recall(condition)
        if found is not None:
            return found[1]
        at = At(self.elements, target, ())
        element = i64 if abs(condition.value) >= 2**31 else i32
        position = at.add(loop.IndexOp(expression, element))
        result = compare(at, condition.predicate, position, at.constant(condition.value, element))
        target.memo[condition] = (result, 1)
        return result


def _tensors(op: Operation) -> Iterable[SSAValue]:
    return op.operands if isinstance(op, TensorOp) else ()
