"""Ops whose result is filled as a whole, in the order of an axis: scatter, scan, argsort.

Each is loops with stores rather than an expression for one element: its result goes to a buffer at
the kernel's top, from which elements are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects.builtin import i32
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.dialects.tensor import (
    ArgSortOp,
    BinaryKind,
    ScanKind,
    ScanOp,
    ScatterKind,
    ScatterOp,
    int_value,
)
from picograd.passes.lowering.arithmetic import binary, compare, convert, is_float, width_of
from picograd.passes.lowering.checked import checked
from picograd.passes.lowering.elements import At, Elements, shape_of
from picograd.passes.lowering.indices import Index
from picograd.passes.lowering.nest import Scope, dims_of

_COMBINE = {
    ScanKind.ADD: BinaryKind.ADD,
    ScanKind.MUL: BinaryKind.MUL,
    ScanKind.MAX: BinaryKind.MAXIMUM,
    ScanKind.MIN: BinaryKind.MINIMUM,
}


def filled(op: Operation, index: Index, at: At) -> SSAValue:
    """One element of a result that is filled as a whole, into a new buffer."""
    elements, root = at.elements, at.elements.root
    (result,) = op.results
    local = elements.allocate(result, root, range(len(shape_of(result))), {})
    FILL[type(op)](op, local.memref, elements)
    root.locals[result] = local
    return at.element(result, index)


def extreme(sign: int, type: Attribute) -> float:
    """The greatest (1) or the lowest (-1) number of an element type."""
    if is_float(type):
        return sign * float("inf")
    half = 2 ** (width_of(type) - 1)
    return -half if sign < 0 else half - 1


def _scatter(op: ScatterOp, memref: SSAValue, elements: Elements) -> None:
    """First a copy of x; then, in parallel over all axes but one and in order along that one, the
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

    scopes, outer, steps, source = _steps(op.index, axis, f"scatter {name}", elements)
    at = At(elements, steps, ())
    target = list(source)
    target[axis] = checked(op.index, source, shape[axis], at)
    update = at.element(op.updates, source)
    if op.kind.data is ScatterKind.ADD:
        before = at.add(loop.LoadOp(memref, target))
        update = binary(at, BinaryKind.ADD, before, update)
    steps.block.add_ops([loop.StoreOp(update, memref, target), loop.YieldOp()])
    outer.block.add_op(loop.ForOp(dims_of(steps)[0], body=steps.block))
    elements.close_all(scopes)


def _steps(
    value: SSAValue, axis: int, label: str, elements: Elements
) -> tuple[list[Scope], Scope, Scope, Index]:
    """The body of a sequential loop along an axis, inside parallel loops over the others.

    Returns the parallel bodies, the one around the sequential loop, its body, and the index there.
    """
    shape = shape_of(value)
    others = [n for n in range(len(shape)) if n != axis]
    scopes, index = elements.open_all(elements.root, label, shape, others)
    outer = scopes[-1] if scopes else elements.root
    steps = elements.open(outer, label, (shape[axis],), sequential=True)
    index[axis] = Linear.of(steps.block.args[0])
    return scopes, outer, steps, tuple(index[n] for n in range(len(shape)))


def _scan(op: ScanOp, memref: SSAValue, elements: Elements) -> None:
    """In parallel over all axes but one, a sequential loop along that one carries the total."""
    kind, type = op.kind.data, op.result.type.element_type
    name = elements.plan.position(op.result)
    scopes, outer, steps, index = _steps(op.x, int_value(op.axis), f"scan {name}", elements)
    first = {ScanKind.ADD: 0, ScanKind.MUL: 1}.get(kind)
    if first is None:
        first = extreme(-1 if kind is ScanKind.MAX else 1, type)
    start = At(elements, outer, ()).constant(first, type)
    before = steps.block.insert_arg(type, 1)
    before.name_hint = "total"
    at = At(elements, steps, ())
    total = binary(at, _COMBINE[kind], before, at.element(op.x, index))
    stored = before if op.exclusive else total
    steps.block.add_ops([loop.StoreOp(stored, memref, index), loop.YieldOp(total)])
    outer.block.add_op(loop.ForOp(dims_of(steps)[0], [start], steps.block))
    elements.close_all(scopes)


def _argsort(op: ArgSortOp, memref: SSAValue, elements: Elements) -> None:
    """Sorting by counting: an element's rank is how many elements come before it.

    The ranks of all elements are counted in parallel, each in a loop over the axis. They are a
    permutation, so writing each position to the place of its rank fills the result. That takes
    n * n comparisons, but no step waits for another, and every run does the same.
    """
    shape, axis = shape_of(op.x), int_value(op.axis)
    position_type = op.result.type.element_type
    name = elements.plan.position(op.result)
    root = elements.root
    ranks = elements.add(root, loop.AllocOp(list(shape), i32))
    ranks.name_hint = "rank"
    scopes, index = elements.open_all(root, f"rank {name}", shape, range(len(shape)))
    inner = scopes[-1] if scopes else root
    mine = tuple(index[n] for n in range(len(shape)))
    body = elements.open(inner, f"count {name}", (shape[axis],), sequential=True)
    other = Linear.of(body.block.args[0])
    outside, at = At(elements, inner, ()), At(elements, body, ())
    element = outside.element(op.x, mine)
    rival = at.element(op.x, (*mine[:axis], other, *mine[axis + 1 :]))
    here, there = (at.add(loop.IndexOp(place, i32)) for place in (mine[axis], other))
    before = _precedes(at, rival, element, bool(op.descending))
    earlier = at.add(loop.combine("and", before[1], compare(at, "lt", there, here)))
    counted = at.add(loop.combine("or", before[0], earlier))
    body.block.add_op(loop.YieldOp(convert(at, counted, i32)))
    rank = elements.add(inner, loop.ReduceOp("add", dims_of(body), [i32], body=body.block))
    inner.block.add_op(loop.StoreOp(rank, ranks, mine))
    elements.close_all(scopes)

    scopes, outer, steps, source = _steps(op.x, axis, f"argsort {name}", elements)
    at = At(elements, steps, ())
    rank = at.add(loop.LoadOp(ranks, source))
    place = at.add(loop.CheckedIndexOp(rank, shape[axis]))
    target = (*source[:axis], Linear.of(place), *source[axis + 1 :])
    position = at.add(loop.IndexOp(source[axis], position_type))
    steps.block.add_ops([loop.StoreOp(position, memref, target), loop.YieldOp()])
    outer.block.add_op(loop.ForOp(dims_of(steps)[0], body=steps.block))
    elements.close_all(scopes)


def _precedes(at: At, a: SSAValue, b: SSAValue, descending: bool) -> tuple[SSAValue, SSAValue]:
    """Whether a is sorted before b whatever their places, and whether they are equal."""
    less = compare(at, "gt" if descending else "lt", a, b)
    equal = compare(at, "eq", a, b)
    if not is_float(a.type):
        return less, equal
    nan_a, nan_b = compare(at, "ne", a, a), compare(at, "ne", b, b)
    number_a, number_b = compare(at, "eq", a, a), compare(at, "eq", b, b)
    one_nan = (nan_a, number_b) if descending else (number_a, nan_b)
    return (
        at.add(loop.combine("or", less, at.add(loop.combine("and", *one_nan)))),
        at.add(loop.combine("or", equal, at.add(loop.combine("and", nan_a, nan_b)))),
    )


FILL: dict[type[Operation], Callable[[Any, SSAValue, Elements], None]] = {
    ScatterOp: _scatter,
    ScanOp: _scan,
    ArgSortOp: _argsort,
}
"""How the buffer of each op's result is filled, at the kernel's top."""
