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
    """The first store in which each iteration of the nest has its own place and can wait there."""
    variables = {dim.variable for dim in _element_dims(nest)}
    for store in nest[-1].body.block.ops:
        if (
            isinstance(store, StoreOp)
            and store.value.type == reduction.outputs[0].type
            and store.clip is None
            and store.memref.owner is kernel.body.block
            and _is_own_place(store.indices, variables)
            and sum(store.memref in op.operands for op in kernel.walk()) == 1
        ):
            return store
    return None


def _is_own_place(indices: Sequence[Linear], variables: set[SSAValue]) -> bool:
    """Whether every variable is an index by itself."""
    used = [index for index in indices if index.values() & variables]
    plain = all(
        [(isinstance(atom, SSAValue), c) for atom, c in index.terms.items()] == [(True, 1)]
        for index in used
    )
    return plain and {value for index in used for value in index.values()} >= variables
