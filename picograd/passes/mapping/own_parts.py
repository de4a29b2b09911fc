"""The part of a private buffer that each thread of a workgroup has for itself, if it has one.

A private buffer that stands outside the workgroup-mapped loops is one buffer for the evaluators; a
machine keeps each thread's part of it in that thread's registers. That is the same only if no
element is touched by two threads, whichever of the loops they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Counter, Linear
from picograd.dialects.loop import AllocOp, LoadOp, LoopOp, ParallelOp, StoreOp, tile_shape
from picograd.dialects.loop_syntax import memref_type
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of
from picograd.quick_dataclasses import dataclass

Access: TypeAlias = LoadOp | StoreOp


@dataclass(frozen=True)
class OwnParts:
    """The shape of each thread's part, and the places of the accesses in it."""

    extents: tuple[int, ...]
    places: dict[Access, list[Linear]]


@dataclass(frozen=True)
class Astray:
    """An access that may touch what belongs to another thread."""

    access: Access


@dataclass(frozen=True)
class _Spread:
    """How an access shares a buffer out: the numbers of iterations of the loops that give each
    thread one of theirs, and how far each of these moves the access along each axis.
    """

    counts: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


def accesses(memref: SSAValue) -> list[Access]:
    """The loads and stores of a buffer."""
    return [use.operation for use in memref.uses if isinstance(use.operation, LoadOp | StoreOp)]


def is_guarded(access: Access) -> bool:
    """Whether an access tests its indices, so that it cannot leave the buffer."""
    return (access.pad if isinstance(access, LoadOp) else access.clip) is not None


def own_parts(alloc: AllocOp, facts: LoopFacts) -> OwnParts | Astray:
    """The threads' parts of a private buffer; an access that is in their way where they have none.

    With threads that move along an axis in strides of s, each owns s places there, if those of the
    next one begin where its own end; the place in the own part is what remains when the counters
    of the threads' loops are left out. All accesses have to share the buffer out alike. If nothing
    is shared out in this way, each thread may use a whole buffer where all accesses are to the same
    place in the same loops: what one iteration leaves there, the same iteration finds.
    """
    found = accesses(alloc.memref)
    shape = tuple(memref_type(alloc.memref).get_shape())
    if 0 in shape:
        # Nothing is there, and no access ever takes place.
        return OwnParts(shape, {access: [Linear.of(0) for _ in shape] for access in found})
    spreads = [_spread(access, alloc, facts) for access in found]
    for access, spread in zip(found, spreads, strict=True):
        extents = _extents(spread, shape)
        if spread != spreads[0] or extents is None:
            return _whole(found, alloc, facts, shape) or Astray(access)
    extents = (_extents(spreads[0], shape) if found else None) or shape
    places: dict[Access, list[Linear]] = {}
    for access, spread in zip(found, spreads, strict=True):
        places[access] = _places(access, alloc, spread, extents, facts)
        for axis, place in enumerate(places[access]):
            is_spread = any(spread.strides[axis])
            if not _holds(access, place, extents[axis], facts, is_spread=is_spread):
                return _whole(found, alloc, facts, shape) or Astray(access)
    return OwnParts(extents, places)


def _thread_loops(access: Operation, alloc: AllocOp) -> list[ParallelOp]:
    """The workgroup-mapped loops between a buffer and an access to it, outermost first."""
    return [
        op
        for op in _between(access, alloc)
        if isinstance(op, ParallelOp) and mapping_of(op) == "workgroup"
    ]


def _between(access: Operation, alloc: AllocOp) -> list[Operation]:
    """The operations around an access in the body that a buffer stands in, outermost first."""
    found: list[Operation] = []
    op = access.parent_op()
    while op is not None and op is not alloc.parent_op():
        found.insert(0, op)
        op = op.parent_op()
    return found


def _thread_counters(access: Access, alloc: AllocOp, facts: LoopFacts) -> list[Counter]:
    """The counters that tell the threads apart, those of loops that run once left out."""
    dims = [dim for loop in _thread_loops(access, alloc) for dim in loop.dims]
    return [Counter(dim.variable) for dim in dims if facts.last_count(dim.variable) != 0]


def _spread(access: Access, alloc: AllocOp, facts: LoopFacts) -> _Spread:
    counters = _thread_counters(access, alloc, facts)
    counts = [(facts.last_count(counter.variable) or 0) + 1 for counter in counters]
    expanded = [facts.expand(index) for index in access.indices]
    strides = [tuple(index.coefficient(counter) for counter in counters) for index in expanded]
    return _Spread(tuple(counts), tuple(strides))


def _extents(spread: _Spread, shape: Sequence[int]) -> tuple[int, ...] | None:
    """The shape of each thread's part; None if threads would have parts in common."""
    extents = list(shape)
    for axis, strides in enumerate(spread.strides):
        moving = sorted(
            (stride, count) for stride, count in zip(strides, spread.counts, strict=True) if stride
        )
        if not moving:
            continue
        extents[axis], end = moving[0][0], 0
        for stride, count in moving:
            if stride <= 0 or stride < end:
                return None
            end = stride * count
    numbers = range(len(spread.counts))
    told_apart = all(any(strides[n] for strides in spread.strides) for n in numbers)
    return tuple(extents) if told_apart else None


def _places(
    access: Access, alloc: AllocOp, spread: _Spread, extents: Sequence[int], facts: LoopFacts
) -> list[Linear]:
    """The places of an access in its thread's part."""
    counters = _thread_counters(access, alloc, facts)
    places: list[Linear] = []
    for index, strides, extent in zip(access.indices, spread.strides, extents, strict=True):
        place = facts.expand(index)
        for counter, stride in zip(counters, strides, strict=True):
            place = place - Linear.of(counter) * stride
        known = place.is_constant and 0 <= place.constant < extent
        places.append(facts.contract(place) if any(strides) or known else index)
    return places


def _holds(
    access: Access, place: Linear, extent: int, facts: LoopFacts, *, is_spread: bool
) -> bool:
    """Whether a place lies in the own part.

    Along an axis that is not shared out it does, by the laws of the IR: unless it is constant, that
    need not be proved.
    """
    if not is_spread:
        return is_guarded(access) or not place.is_constant or 0 <= place.constant < extent
    lanes = tile_shape(access.result.type if isinstance(access, LoadOp) else access.value.type)
    return facts.within(place, extent, lanes)


def _whole(
    found: Sequence[Access], alloc: AllocOp, facts: LoopFacts, shape: tuple[int, ...]
) -> OwnParts | None:
    """A whole buffer for each thread, if every access of an iteration is to the same place."""
    first = found[0]
    loops = _thread_loops(first, alloc)
    around = _between(first, alloc)
    steps = around[: around.index(loops[0])] if loops else []
    changing = {v for op in steps if isinstance(op, LoopOp) for v in op.induction_variables}
    expected = [facts.expand(index) for index in first.indices]
    for access in found:
        expanded = [facts.expand(index) for index in access.indices]
        leaves = {_variable(leaf) for index in expanded for leaf in index.leaves()}
        held = all(
            _holds(access, index, extent, facts, is_spread=False)
            for index, extent in zip(access.indices, shape, strict=True)
        )
        alike = expanded == expected and _thread_loops(access, alloc) == loops
        if not held or not alike or leaves & changing:
            return None
    return OwnParts(shape, {access: access.indices for access in found})


def _variable(leaf: object) -> object:
    return leaf.variable if isinstance(leaf, Counter) else leaf
