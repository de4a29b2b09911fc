"""Compute several rows side by side: neighbouring iterations of a parallel loop share one loop.

The sequential loops in the bodies of R iterations become one loop that carries the values of all of
them, in their old orders ("unroll and jam"; see R. Allen and K. Kennedy, "Optimizing Compilers for
Modern Architectures", 2001, section 8.4). What does not depend on the row is computed once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    ForOp,
    LoadOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    loop_block,
)
from picograd.passes.rewriting.loops import (
    clone_body,
    copy_hint,
    insert_before,
    is_pure,
    replace_op,
    set_dims,
    substitute_indices,
    take_ops,
)


def only_loop(op: ParallelOp) -> ForOp | None:
    """The one loop in the body of a parallel loop whose rows can share it; None without one.

    Its bounds must not depend on the row, and nothing but this loop holds other operations.
    """
    body = op.body.block
    nested = [inner for inner in body.ops if inner.regions]
    loop = nested[0] if len(nested) == 1 else None
    if not isinstance(loop, ForOp) or op.mapping is not None:
        return None
    row = op.dims[-1]
    inside = [each for each in loop.body.block.ops if not isinstance(each, YieldOp)]
    outside = [each for each in body.ops if each is not loop and not isinstance(each, YieldOp)]
    movable = all(isinstance(each, LoadOp) or is_pure(each) for each in inside)
    stored = all(isinstance(each, LoadOp | StoreOp) or is_pure(each) for each in outside)
    flat = not any(each.regions for each in inside)
    bounds = {v for dim in loop.dims for b in (dim.lower, *dim.uppers) for v in b.values()}
    fixed = row.is_constant and row.step == 1 and row.variable not in bounds
    return loop if movable and stored and flat and fixed else None


def jam(op: ParallelOp, rows: int) -> ForOp:
    """Let so many rows of the last dimension share the loop in the body; the loop they share.

    Rows that are left over keep a loop of their own.
    """
    *outer, row = op.dims
    whole = row.lower + (row.extent or 0) // rows * rows
    dims = [replace(dim, iv=None) for dim in (*outer, replace(row, uppers=(whole,), step=rows))]
    jammed = ParallelOp(dims)
    jammed.attributes |= op.attributes
    copies = [clone_body(op) for _ in range(rows)]
    for number, copy in enumerate(copies):
        arguments = jammed.induction_variables
        places = [Linear.of(argument) for argument in arguments]
        places[-1] = places[-1] + number
        substitute_indices(copy, dict(zip(copy.args, places, strict=True)))
        for argument, old in zip(arguments, op.induction_variables, strict=True):
            copy_hint(argument, old)
    block = jammed.body.block
    shared = _merge(op, [take_ops(copy) for copy in copies], block)
    block.add_op(YieldOp())
    if whole == row.uppers[0]:
        replace_op(op, [jammed], [])
    else:
        insert_before(op, [jammed])
        set_dims(op, [*op.dims[:-1], replace(op.dims[-1], lower=whole)])
    return shared


def _merge(op: ParallelOp, copies: Sequence[Sequence[Operation]], into: Block) -> ForOp:
    """Add the bodies of all rows to a block: what comes before the loop, one loop, the rest."""
    originals = list(op.body.block.ops)[:-1]
    at = next(number for number, each in enumerate(originals) if each.regions)
    varying = _varying(op)
    loops = [ops[at] for ops in copies]
    for number, original in enumerate(originals[:at]):
        _add(original, [ops[number] for ops in copies], varying, into)
    source = originals[at]
    assert isinstance(source, ForOp)
    inits = [value for loop in loops if isinstance(loop, ForOp) for value in loop.inits]
    body = loop_block([source.dims[0].name], [value.type for value in inits])
    shared = ForOp(replace(source.dims[0], iv=None), inits, body)
    shared.attributes |= source.attributes
    carried, outputs = list(shared.carried), list(shared.outputs)
    inner: list[list[Operation]] = []
    for loop in loops:
        assert isinstance(loop, ForOp)
        loop.body.block.args[0].replace_all_uses_with(body.args[0])
        for argument in loop.carried:
            argument.replace_all_uses_with(copy_hint(carried.pop(0), argument))
        for output in loop.outputs:
            output.replace_all_uses_with(copy_hint(outputs.pop(0), output))
        inner.append(take_ops(loop.body.block))
    ends = [value for ops in inner for value in ops[-1].operands]
    for number, original in enumerate(list(source.body.block.ops)[:-1]):
        _add(original, [ops[number] for ops in inner], varying, body)
    body.add_op(YieldOp(*ends))
    into.add_op(shared)
    for number, original in enumerate(originals[at + 1 :], at + 1):
        _add(original, [ops[number] for ops in copies], varying, into)
    for unused in [*loops, *(ops[-1] for ops in (*inner, *copies))]:
        unused.drop_all_references()
    return shared


def _add(
    original: Operation, copies: Sequence[Operation], varying: set[Operation], into: Block
) -> None:
    """Add the copies of an operation for all rows; one for all if it is the same for each."""
    if original in varying:
        into.add_ops(copies)
        return
    into.add_op(copies[0])
    for copy in copies[1:]:
        for value, same in zip(copy.results, copies[0].results, strict=True):
            value.replace_all_uses_with(same)
        copy.drop_all_references()


def _varying(op: ParallelOp) -> set[Operation]:
    """The operations that may do something else in another row."""
    values: set[SSAValue] = {op.induction_variables[-1]}
    found: set[Operation] = set()
    for each in op.body.block.walk():
        if isinstance(each, ForOp):
            values.update(each.carried, each.outputs)
        if isinstance(each, StoreOp | ForOp) or any(value in values for value in each.operands):
            found.add(each)
            values.update(each.results)
    return found
