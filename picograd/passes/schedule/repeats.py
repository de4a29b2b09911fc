"""How often the body of a loop is repeated before the loop counts and asks whether to go on.

Counting, moving pointers and branching take a few instructions in each iteration, which many
processors run in the units that also multiply vectors (on Intel's, ports 0 and 5): beside 24
multiply-adds they cost 7 % of a matrix product. See A. Fog, "Optimizing subroutines in assembly
language", section 12.6, on unrolling loops.
"""

from __future__ import annotations

from math import ceil, prod

from picograd.dialects.loop import BroadcastOp, ForOp, LoadOp, tile_rank, tile_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import element_bits
from picograd.targets import Target

ENOUGH_VECTORS = 40
"""Beside so many operations on machine vectors, a loop's own instructions hardly count."""

ENOUGH_REGISTERS = 32
"""With fewer vector registers nothing is repeated: operands of one copy, loaded early to hide their
latency, would push sums of another out of their registers."""

MOST_REPEATS = 2
"""The most copies of a body with more to do: others gain little and take longer to compile."""

SHORTEST_LOOP = 8
"""The fewest runs of the repeated body for which a second loop over what is left is worth it."""


def repeats(loop: ForOp, target: Target) -> int:
    """How often the body of an innermost loop is to be repeated: a power of two."""
    vectors = _vectors(loop, target)
    if target.kind != "cpu" or target.vector_registers < ENOUGH_REGISTERS or not vectors:
        return 1
    (dim,) = loop.dims
    trips = LoopFacts().trips(dim)
    if trips is not None and trips * vectors <= ENOUGH_VECTORS:
        exact = len(dim.uppers) == 1 and (dim.uppers[0] - dim.lower).is_constant
        return trips if exact else 1
    times = 1
    while times < MOST_REPEATS and times * vectors < ENOUGH_VECTORS:
        times *= 2
    while times > 1 and trips is not None and trips < SHORTEST_LOOP * times:
        times //= 2
    return times


def _vectors(loop: ForOp, target: Target) -> int:
    """Operations on machine vectors in one iteration; 0 if it holds other loops or branches."""
    count = 0
    for op in loop.body.block.ops:
        if op.regions:
            return 0
        if isinstance(op, LoadOp | BroadcastOp):
            continue
        for result in op.results:
            if tile_rank(result.type):
                *rows, columns = tile_shape(result.type)
                count += prod(rows) * ceil(columns / target.lanes(element_bits(result.type)))
    return count
