"""Places that data chooses: an element of an index tensor as an index that is in bounds."""

from __future__ import annotations

from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.passes.lowering.arithmetic import select
from picograd.passes.lowering.elements import At
from picograd.passes.lowering.indices import Index


def checked(index: SSAValue, place: Index, size: int, at: At) -> Linear:
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
