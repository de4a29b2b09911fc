"""Which of the two ways a launch gets: a thread for each iteration, or a workgroup for each."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue

from picograd.dialects.loop import AllocOp, LoadOp, LoopOp, ParallelOp
from picograd.dialects.loop_syntax import memref_type
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import perfect_nest, trip_counts
from picograd.passes.mapping.threads import outermost_loops

LONG = 64
"""From this length on, a loop inside an iteration is worth several threads."""

PRIVATE_BYTES = 512
"""Larger buffers of an iteration do not fit into one thread's registers."""


def wants_group(nest: Sequence[ParallelOp], iterations: int, facts: LoopFacts) -> bool:
    """Whether each iteration of a nest should have a workgroup instead of a thread.

    It must when a schedule has put buffers into workgroup memory. Otherwise it pays when the loops
    inside are long, and either there are few iterations to keep the machine busy, or
    neighbouring threads would read far apart where the threads of a group read in a row.
    """
    body = nest[-1].body.block
    allocs = [op for op in body.walk() if isinstance(op, AllocOp)]
    if any(alloc.space in ("workgroup", "private") for alloc in allocs):
        return True
    loops = outermost_loops(body)
    longest = max((_length(loop, facts) for loop in loops), default=1)
    if longest < LONG:
        return False
    if sum(_bytes(alloc) for alloc in allocs) > PRIVATE_BYTES or iterations <= longest:
        return True
    neighbours = nest[-1].induction_variables[-1]
    far_apart = any(not _steps_by_one(loop, neighbours, facts) for loop in loops)
    return far_apart and all(reads_in_a_row(loop, facts) for loop in loops)


def _length(loop: LoopOp, facts: LoopFacts) -> int:
    if isinstance(loop, ParallelOp):
        return prod(trip_counts(perfect_nest(loop), facts) or [LONG])
    return prod(facts.trips(dim) or LONG for dim in loop.dims)


def _bytes(alloc: AllocOp) -> int:
    return 4 * prod(memref_type(alloc.memref).get_shape())


def reads_in_a_row(loop: LoopOp, facts: LoopFacts) -> bool:
    """Whether neighbouring iterations of a loop read neighbouring elements, wherever they read."""
    return _steps_by_one(loop, _last_variable(loop), facts)


def _steps_by_one(loop: LoopOp, variable: SSAValue, facts: LoopFacts) -> bool:
    """Whether the reads in a loop that depend on a variable move one element on with it."""
    for op in loop.walk():
        if not isinstance(op, LoadOp):
            continue
        place = facts.linearize(op.memref.type, op.indices)
        if variable in place.values() and place.coefficient(variable) != 1:
            return False
    return True


def _last_variable(loop: LoopOp) -> SSAValue:
    innermost = perfect_nest(loop)[-1] if isinstance(loop, ParallelOp) else loop
    return innermost.induction_variables[-1]
