"""Which loops do arithmetic one element at a time: the report of what vectorizing left over."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, StringAttr

from picograd.dialects.loop import KernelOp, LoopOp, tile_rank
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.loops import inner_first

SCALAR = "scalar"
"""The attribute of a loop that could not become tiles: the reason."""


TAIL = "tail"
"""The attribute of a loop over what is left after the last full tile."""


HOT_TRIPS = 4
"""The most iterations of a loop that nobody minds being scalar."""


def scalar_hot_loops(kernel: KernelOp) -> list[str]:
    """The loops that do arithmetic on floats one element at a time, each with its reason.

    A loop counts when it holds no other loop, runs more than once, and is not the tail of tiles.
    Speed is not checked by any test of meaning, so tests of schedules ask here.
    """
    facts = LoopFacts()
    return [
        f"{', '.join(dim.name for dim in loop.dims)}: {_reason(loop)}"
        for loop in inner_first(kernel, LoopOp)
        if _is_innermost(loop) and _has_scalar_arithmetic(loop) and _is_hot(loop, facts)
    ]


def _reason(loop: LoopOp) -> str:
    note = loop.attributes.get(SCALAR)
    return note.data if isinstance(note, StringAttr) else "nothing made tiles of it"


def _is_innermost(loop: LoopOp) -> bool:
    return not any(isinstance(op, LoopOp) for op in loop.walk() if op is not loop)


def _has_scalar_arithmetic(loop: LoopOp) -> bool:
    """Whether all arithmetic of a loop that is no tail is scalar, and there is some on floats."""
    if TAIL in loop.attributes or any(tile_rank(r.type) for op in loop.walk() for r in op.results):
        return False
    return any(
        op.name.startswith(("arith.", "math."))
        and not isinstance(op, arith.ConstantOp)
        and isinstance(op.results[0].type, AnyFloat)
        for op in loop.walk()
    )


def _is_hot(loop: LoopOp, facts: LoopFacts) -> bool:
    """Whether the loop runs at least a few times."""
    trips = [facts.trips(dim) for dim in loop.dims]
    return any(count is None or count > HOT_TRIPS for count in trips)
