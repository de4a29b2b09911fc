"""Which operands of a contraction are worth a copy, chosen from the facts of a machine.

On a CPU a copy costs one pass over the operand and gives contiguous, aligned panels; it pays when
each element is used often and the operand lies far away. An operand whose lanes are strided, or
whose place needs padding, is copied always. On a GPU both operands of a workgroup's block are
copied into its memory, so that they are read from far away once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from xdsl.ir import Operation, SSAValue

from picograd.dialects.loop import AllocOp, Dim, KernelOp, LoadOp, LoopOp, memref_type
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction, contraction_of, element_bits, local_stride
from picograd.passes.schedule.choose_tiles import extent_of, leaf_nests, register_tile
from picograd.targets import Target

MANY_USES = 32
"""Above so many uses of a panel, copying it costs a few percent of the work at most."""

PAGE_BYTES = 4096
"""The distance at which addresses compete for the same places of a cache."""

FEW_USES = 4
"""Below so many uses even an awkward operand is better read where it lies."""


@dataclass(frozen=True)
class Staging:
    """One copy that is to be made.

    `around` are the operations around the load, outermost first; the copy goes in front of the
    first of them. `layout` lists the loop variables of the place, with block sizes.
    """

    load: LoadOp
    around: tuple[Operation, ...]
    layout: Mapping[str, int]
    space: str


def staged_loads(kernel: KernelOp, target: Target) -> list[Staging]:
    """The copies that pay, of the operands of every contraction in a kernel."""
    facts = LoopFacts()
    choices: list[Staging] = []
    for nest in leaf_nests(kernel):
        contraction = contraction_of(nest, facts)
        if contraction is None or nest.loop.mapping is not None:
            continue
        rows, columns = register_tile(contraction, target, facts)
        for loads, dim, block, pays in (
            (contraction.right, contraction.lane, columns, _right_pays),
            (contraction.left, contraction.row, rows, _left_pays),
        ):
            for load in loads:
                if isinstance(load.memref.owner, AllocOp):
                    continue
                if target.kind == "gpu":
                    if _is_in_blocks(contraction):
                        choices.append(_staging(load, contraction, dim, 1, "workgroup"))
                elif pays(load, contraction, block, target, facts):
                    choices.append(_staging(load, contraction, dim, block, "packed"))
    return choices


def _right_pays(
    load: LoadOp, contraction: Contraction, columns: int, target: Target, facts: LoopFacts
) -> bool:
    uses = _total_extent(contraction.row, facts)
    awkward = local_stride(load, contraction.lane.variable) not in (0, 1) or load.pad is not None
    if awkward:
        return uses >= FEW_USES
    rows, _ = register_tile(contraction, target, facts)
    return uses > MANY_USES * rows and _bytes(load) >= target.l2_bytes


def _left_pays(
    load: LoadOp, contraction: Contraction, rows: int, target: Target, facts: LoopFacts
) -> bool:
    """Rows that are a multiple of a page apart fall into the same sets of the caches."""
    uses = _total_extent(contraction.lane, facts)
    _, columns = register_tile(contraction, target, facts)
    apart = abs(local_stride(load, contraction.row.variable)) * contraction.nest.bits // 8
    if apart and apart % PAGE_BYTES == 0:
        return uses > MANY_USES // 2 * columns and _bytes(load) >= target.l2_bytes
    return uses > MANY_USES * columns and _bytes(load) >= 8 * target.l2_bytes


def _total_extent(dim: Dim, facts: LoopFacts) -> int:
    """The extent of a dimension, the blocks around it taken together."""
    last = facts.greatest(dim.variable)
    return extent_of(dim, facts) if last is None else last + 1


def _bytes(load: LoadOp) -> int:
    bits = element_bits(memref_type(load.memref).element_type)
    return prod(memref_shape(load.memref.type)) * bits // 8


def _is_in_blocks(contraction: Contraction) -> bool:
    """Whether the contraction's depth is walked in blocks, so that a copy serves several steps."""
    return any(not dim.lower.is_constant for dim in contraction.reduction.dims)


def _staging(
    load: LoadOp, contraction: Contraction, blocked: Dim, block: int, space: str
) -> Staging:
    """The copy of what a load reads, made as far outside as the place that it reads allows."""
    place = {value for index in load.indices for value in index.values()}
    inner: list[Operation] = []
    op = load.parent_op()
    while op is not None and op is not contraction.nest.loop:
        inner.insert(0, op)
        op = op.parent_op()
    around: list[Operation] = [contraction.nest.loop, *inner]
    loops = [loop for loop in around if isinstance(loop, LoopOp)]
    dims = [dim for loop in loops for dim in loop.dims if dim.variable in place]
    needed = place | {
        value for dim in dims for bound in (dim.lower, *dim.uppers) for value in bound.values()
    }
    while (parent := around[0].parent_op()) is not None and not isinstance(parent, KernelOp):
        if isinstance(parent, LoopOp) and needed & set(parent.induction_variables):
            break
        around.insert(0, parent)
    order = sorted(dims, key=lambda dim: _axis(load, dim.variable))
    layout = {dim.name: 1 for dim in order}
    if space == "workgroup":
        # The places that the threads of a workgroup read at the same time lie side by side.
        layout = {n: 1 for n in [*(n for n in layout if n != blocked.name), blocked.name]}
    if block > 1:
        layout = {blocked.name: block, **{n: 1 for n in layout if n != blocked.name}}
    return Staging(load, tuple(around), layout, space)


def _axis(load: LoadOp, variable: SSAValue) -> int:
    """The first axis of a memref that a variable walks along."""
    return next(n for n, index in enumerate(load.indices) if variable in index.values())
