"""What a copy of an operand would hold, and why one cannot be made."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from picograd.dialects.loop import Dim, LoopOp, StoreOp, tile_rank
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.schedule.choose_staging import Staging


def staged_dims(choice: Staging) -> dict[str, Dim]:
    """The loop dimensions inside `at` on which the place that is read depends, by name."""
    used = {value for index in choice.load.indices for value in index.values()}
    return {
        dim.name: dim
        for loop in choice.around
        if isinstance(loop, LoopOp)
        for dim in loop.dims
        if dim.variable in used
    }


def obstacle(choice: Staging) -> str | None:
    """Why a load cannot be staged so; None if it can."""
    load = choice.load
    if tile_rank(load.result.type):
        return "it is read in tiles already, and a copy is read element by element"
    dims = staged_dims(choice)
    if set(dims) != set(choice.layout):
        return f"its place depends on the loops {', '.join(dims) or '(none)'}"
    inner = {
        argument
        for loop in choice.around
        if isinstance(loop, LoopOp)
        for argument in loop.induction_variables
    }
    bounds = [bound for dim in dims.values() for bound in (dim.lower, *dim.uppers)]
    if any(bound.values() & inner for bound in bounds):
        return "the bounds of these loops depend on other loops inside"
    if any(dim.step != 1 for dim in dims.values()):
        return "these loops have steps"
    facts = LoopFacts()
    if any(facts.extent(dim) is None for dim in dims.values()):
        return "the extents of these loops are not known"
    places = {value for index in load.indices for value in index.values()}
    if any(isinstance(v.owner, Operation) and _is_inside(v.owner, choice) for v in places):
        return "its place depends on data"
    if any(isinstance(op, StoreOp) and op.memref is load.memref for op in choice.around[0].walk()):
        return "the body writes to it"
    if _is_defined_inside(load.memref, choice):
        return "it is a buffer of the body itself"
    shape = memref_shape(load.memref.type)
    if load.pad is None and not all(
        facts.within(index, extent) for index, extent in zip(load.indices, shape, strict=True)
    ):
        return "what would be copied may lie out of bounds"
    return None


def _is_inside(op: Operation, choice: Staging) -> bool:
    return choice.around[0].is_ancestor(op)


def _is_defined_inside(memref: SSAValue, choice: Staging) -> bool:
    return isinstance(memref.owner, Operation) and _is_inside(memref.owner, choice)
