"""Where the running value of a reduction waits in memory while other blocks are computed."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import AllocOp, Dim, KernelOp, ParallelOp, ReduceOp, StoreOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.loops import insert_before


def waiting_place(
    kernel: KernelOp, reduction: ReduceOp, nest: Sequence[ParallelOp], space: str
) -> tuple[SSAValue, list[Linear]]:
    """Where the running value waits between blocks, and at which place for one iteration."""
    if not space:
        output = _own_output(kernel, reduction, nest)
        if output is not None:
            return output.memref, output.indices
    facts = LoopFacts()
    inside: dict[Leaf, LinearLike] = {dim.variable: dim.lower for loop in nest for dim in loop.dims}
    dims = _element_dims(nest)

    def from_outside(expression: Linear) -> Linear:
        while any(leaf in inside for leaf in expression.leaves()):
            expression = expression.substitute(inside)
        return expression

    indices = [Linear.of(dim.variable) - from_outside(dim.lower) for dim in dims]
    extents = [(facts.greatest(index) or 0) + 1 for index in indices]
    memory = AllocOp(extents, reduction.outputs[0].type, space or "stack")
    memory.memref.name_hint = "waiting"
    insert_before(nest[0], [memory])
    return memory.memref, indices


def _element_dims(nest: Sequence[ParallelOp]) -> list[Dim]:
    """The dimensions of a nest that tell its iterations apart: all but those over blocks."""
    dims = [dim for loop in nest for dim in loop.dims]
    return [dim for dim in dims if not any(_is_block_of(dim, other) for other in dims)]


def _is_block_of(outer: Dim, inner: Dim) -> bool:
    """Whether `inner` runs inside one step of `outer`, so that it tells the outer one as well."""
    return inner.lower == Linear.of(outer.variable) and any(
        upper == Linear.of(outer.variable) + outer.step for upper in inner.uppers
    )


def _own_output(
    kernel: KernelOp, reduction: ReduceOp, nest: Sequence[ParallelOp]
) -> StoreOp | None:
    """The store in which each iteration of the nest has its own place, if it can wait there."""
    block = nest[-1].body.block
    stores = [op for op in block.ops if isinstance(op, StoreOp)]
    if len(stores) != 1 or stores[0].value.type != reduction.outputs[0].type:
        return None
    store = stores[0]
    if store.clip is not None or store.memref.owner is not kernel.body.block:
        return None
    users = [op for op in kernel.walk() if store.memref in op.operands]
    variables = {dim.variable for dim in _element_dims(nest)}
    used = [index for index in store.indices if index.values() & variables]
    plain = all(
        [(isinstance(atom, SSAValue), c) for atom, c in index.terms.items()] == [(True, 1)]
        for index in used
    )
    found = {value for index in used for value in index.values()}
    return store if len(users) == 1 and plain and found >= variables else None
