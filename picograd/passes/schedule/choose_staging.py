"""Which operands of a contraction are worth a copy, chosen from the facts of a machine.

On a CPU `operand_copies` says what pays. On a GPU both operands of a workgroup's block are copied
into its memory, so that they are read from far away once.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Operation, SSAValue

from picograd.dialects.loop import AllocOp, Dim, KernelOp, LoadOp, LoopOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction
from picograd.passes.schedule.choose_tiles import leaf_nests, register_tile
from picograd.passes.schedule.crosswise import contraction_for
from picograd.passes.schedule.operand_copies import left_pays, right_pays
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target


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
        contraction = contraction_for(nest, target, facts)
        if contraction is None or nest.loop.mapping is not None:
            continue
        tile = register_tile(contraction, target, facts)
        rows, columns = tile
        copied = [
            (load, contraction.lane, columns)
            for load in contraction.right
            if target.kind == "gpu" or right_pays([load], contraction, target, facts, tile)
        ]
        copied += [
            (load, contraction.row, rows)
            for load in contraction.left
            if target.kind == "gpu" or left_pays(load, contraction, target, facts, tile)
        ]
        for load, dim, block in copied:
            if isinstance(load.memref.owner, AllocOp):
                continue
            if target.kind != "gpu":
                choices.append(_staging(load, contraction, dim, block, "packed"))
            elif _is_in_blocks(contraction):
                choices.append(_staging(load, contraction, dim, 1, "workgroup"))
    return choices


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
