"""Where comparisons of a loop's index change their outcome."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, i32, i64
from xdsl.ir import SSAValue

from picograd.dialects.affine import FloorDiv, Linear
from picograd.dialects.loop import CompareOp, IndexOp, ParallelOp


def comparisons(loop: ParallelOp, variable: SSAValue) -> Iterator[tuple[CompareOp, Linear]]:
    """The comparisons of numbers that depend on one variable only, and always in one direction:
    with the difference of both sides.
    """
    for op in loop.walk():
        if not isinstance(op, CompareOp) or op.predicate.data in ("eq", "ne"):
            continue
        left, right = _number(op.left), _number(op.right)
        if left is None or right is None:
            continue
        difference = left - right
        if difference.values() == {variable} and _direction(difference):
            yield op, difference


def _number(value: SSAValue) -> Linear | None:
    """An integer as an expression, if it is one."""
    owner = value.owner
    if value.type not in (i32, i64):
        return None
    if isinstance(owner, IndexOp):
        return owner.expression
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return Linear.of(owner.value.value.data)
    return None


def _direction(expression: Linear) -> int:
    """1 for an expression that never falls as its variable grows, -1 if it never rises, else 0."""
    found: set[int] = set()
    for atom, factor in expression.terms.items():
        inner = 1
        if isinstance(atom, FloorDiv):
            inner = _direction(atom.expression)
        elif not isinstance(atom, SSAValue):
            return 0
        found.add(inner * (1 if factor > 0 else -1))
    return found.pop() if len(found) == 1 else 0


def holds(compare: CompareOp, difference: Linear, variable: SSAValue, at: int) -> bool:
    value = difference.substitute({variable: at}).constant
    return {"lt": value < 0, "le": value <= 0, "gt": value > 0, "ge": value >= 0}[
        compare.predicate.data
    ]


def border(compare: CompareOp, difference: Linear, variable: SSAValue, extent: int) -> int:
    """The first iteration that ends otherwise than the one at 0; 0 if there is none."""
    if extent < 2:
        return 0
    first = holds(compare, difference, variable, 0)
    if holds(compare, difference, variable, extent - 1) == first:
        return 0
    low, high = 0, extent - 1
    while high - low > 1:
        middle = (low + high) // 2
        if holds(compare, difference, variable, middle) == first:
            low = middle
        else:
            high = middle
    return high
