"""The same reduction over other iterations: over a share of them, or over partial results."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Linear, LinearLike
from picograd.dialects.loop import (
    AllocOp,
    Dim,
    KernelOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    YieldOp,
    constant_dim,
    loop_block,
)
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import once_dims
from picograd.passes.rewriting.loops import clone_body, copy_hint, replace_op

CHUNK = 1 << 14
"""The iterations of a full reduction that one workgroup takes."""

MOST_CHUNKS = 256
"""The most partial results that a second stage reduces."""


def copy_reduction(
    reduction: ReduceOp, dims: Sequence[Dim], body: Block, inits: Sequence[SSAValue] = ()
) -> ReduceOp:
    """The same reduction over other dimensions, with another body and other initial values."""
    combiner = reduction.combiner
    new = ReduceOp(
        reduction.kind.data if reduction.kind is not None else None,
        dims,
        [result.type for result in reduction.outputs],
        inits,
        body,
        identities=reduction.identities,
        combiner=combiner.clone().detach_block(0) if combiner is not None else None,
    )
    for value, old in zip(new.outputs, reduction.outputs, strict=True):
        copy_hint(value, old)
    return new


def reduction_of_parts(
    reduction: ReduceOp,
    dim: Dim,
    memrefs: Sequence[SSAValue],
    inits: Sequence[SSAValue] = (),
    inside: Sequence[LinearLike] = (),
) -> ReduceOp:
    """The same reduction of some of the parts, which lie at `inside` where each has several."""
    body = loop_block([dim.name])
    loads = [LoadOp(memref, [body.args[0], *inside]) for memref in memrefs]
    body.add_ops([*loads, YieldOp(*(load.result for load in loads))])
    return copy_reduction(reduction, [dim], body, inits)


def split_full_reductions(kernel: KernelOp) -> None:
    """Cut each long reduction at a kernel's top into chunks for many workgroups.

    The first stage is a parallel loop over chunks, each of iterations in a row, which leaves its
    result in a buffer of the kernel; the second reduces those. How many chunks there are depends on
    the length alone, so that the result does not depend on the machine.
    """
    for op in list(kernel.body.block.ops):
        if isinstance(op, ReduceOp) and not any(isinstance(o, StoreOp) for o in op.walk()):
            facts = LoopFacts()
            counts = [facts.trips(dim) or 0 for dim in op.dims]
            if prod(counts) > 2 * CHUNK and all(dim.is_constant for dim in op.dims):
                _split(op, counts)


def _split(reduction: ReduceOp, counts: Sequence[int]) -> None:
    total = prod(counts)
    size = max(CHUNK, -(-total // MOST_CHUNKS))
    chunks = -(-total // size)
    parts = [AllocOp((chunks,), result.type) for result in reduction.outputs]
    for part, result in zip(parts, reduction.outputs, strict=True):
        part.memref.name_hint = f"{result.name_hint or 'chunk'}_parts"
    memrefs = [part.memref for part in parts]
    stage = ParallelOp([constant_dim("chunk", chunks)])
    chunk = Linear.of(stage.induction_variables[0])
    share = _in_a_row(reduction, counts, chunk * size, size)
    stores: list[Operation] = [
        StoreOp(value, memref, [chunk])
        for value, memref in zip(share.outputs, memrefs, strict=True)
    ]
    stage.body.block.add_ops([share, *stores, YieldOp()])
    root = reduction_of_parts(reduction, constant_dim("part", chunks), memrefs, reduction.inits)
    replace_op(reduction, [*parts, stage, root], list(root.outputs))


def _in_a_row(reduction: ReduceOp, counts: Sequence[int], start: Linear, size: int) -> ReduceOp:
    """The reduction over `size` iterations from number `start` on, as far as there are any."""
    ends = (start + size, Linear.of(prod(counts)))
    dims = reduction.dims
    if len(dims) == 1 and dims[0].step == 1 and dims[0].lower == Linear.of(0):
        return copy_reduction(reduction, [Dim(start, ends, 1, dims[0].name)], clone_body(reduction))
    share = copy_reduction(reduction, [Dim(start, ends, 1, "element")], loop_block(["element"]))
    number = Linear.of(share.induction_variables[0])
    one = copy_reduction(reduction, once_dims(dims, counts, number), clone_body(reduction))
    share.body.block.add_ops([one, YieldOp(*one.outputs)])
    return share
