"""How one dimension splits into tiles: exact parts of a parallel loop, blocks of a reduction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from xdsl.ir import Block

from picograd.dialects.affine import Linear, floordiv
from picograd.dialects.loop import Dim, ReduceOp, YieldOp
from picograd.dialects.quick import clone_block
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.loops import clone_body, copy_hint, replace_op


def exact_parts(dim: Dim, size: int, facts: LoopFacts) -> list[tuple[Dim, int]] | None:
    """Loops over tiles, with tile sizes, that cover a dimension without a remainder.

    Full tiles first; then a loop that runs at most once, over a tile of what is left. None if the
    start and end of the dimension do not say how much that is.
    """
    if size == 1:
        return [(dim, 1)]
    if dim.is_constant:
        assert dim.extent is not None
        left = dim.extent % size
        return _two_parts(dim, (), dim.uppers[0] - left, dim.uppers[0], left, size, facts)
    if len(dim.uppers) == 1:
        # Full tiles as many as fit, then single iterations.
        whole = dim.lower + floordiv(dim.uppers[0] - dim.lower, size) * size
        return [(replace(dim, uppers=(whole,)), size), (replace(dim, lower=whole), 1)]
    ends = [upper.constant for upper in dim.uppers if upper.is_constant]
    others = tuple(upper for upper in dim.uppers if not upper.is_constant)
    start = facts.expand(dim.lower)
    aligned = all(coefficient % size == 0 for coefficient in start.terms.values())
    distances = [facts.expand(upper - dim.lower) for upper in others]
    whole = all(d.is_constant and d.constant % size == 0 for d in distances)
    if not aligned or not whole:
        return None
    if not ends:
        return [(dim, size)]
    end = min(ends)
    left = (end - start.constant) % size
    middle = Linear.of(end - left)
    latest = facts.greatest(dim.lower - middle)
    if left and (latest is None or latest > 0):
        # A block may begin behind the end: empty, so it must not have the tile of what is left.
        return None
    return _two_parts(dim, others, middle, Linear.of(end), left, size, facts)


def _two_parts(
    dim: Dim,
    others: tuple[Linear, ...],
    middle: Linear,
    end: Linear,
    left: int,
    size: int,
    facts: LoopFacts,
) -> list[tuple[Dim, int]]:
    """Full tiles up to `middle`, then one tile of `left` up to `end`; no loop that never runs."""
    parts: list[tuple[Dim, int]] = []
    longest = facts.bounds(middle - dim.lower)[1]
    if longest is None or longest > 0:
        parts.append((replace(dim, uppers=(*others, middle)), size))
    if left:
        parts.append((replace(dim, lower=middle, uppers=(*others, end)), left))
    return parts


def tile_reduce(op: ReduceOp, sizes: Mapping[str, int], suffix: str) -> None:
    """Split dimensions of a reduction: one reduction over blocks of another over each block."""
    dims = op.dims
    blocked = [
        dim
        for dim in dims
        if dim.name in sizes and (not dim.is_constant or (dim.extent or 0) > sizes[dim.name])
    ]
    if not blocked:
        return
    types = [result.type for result in op.outputs]
    kind = op.kind.data if op.kind is not None else None

    def combiner() -> Block | None:
        return None if op.combiner is None else clone_block(op.combiner.block)

    outer = ReduceOp(
        kind,
        [replace(dim, step=sizes[dim.name], name=dim.name + suffix) for dim in blocked],
        types,
        op.inits,
        identities=op.identities,
        combiner=combiner(),
    )
    starts = {dim.name: Linear.of(dim.variable) for dim in outer.dims}
    part = ReduceOp(
        kind,
        list(_inner_dims(dims, sizes, {d.name: starts[d.name + suffix] for d in blocked})),
        types,
        body=clone_body(op),
        identities=op.identities,
        combiner=combiner(),
    )
    results = [copy_hint(new, old) for new, old in zip(part.outputs, op.outputs, strict=True)]
    outer.body.block.add_ops([part, YieldOp(*results)])
    outer.attributes |= op.attributes
    for new, old in zip(outer.outputs, op.outputs, strict=True):
        copy_hint(new, old)
    replace_op(op, [outer], outer.outputs)


def _inner_dims(
    dims: Sequence[Dim], sizes: Mapping[str, int], starts: Mapping[str, Linear]
) -> Iterator[Dim]:
    for dim in dims:
        if dim.name not in starts:
            yield dim
            continue
        start, size = starts[dim.name], sizes[dim.name]
        fits = dim.is_constant and (dim.extent or 0) % size == 0
        uppers = (start + size,) if fits else (start + size, *dim.uppers)
        yield Dim(start, uppers, 1, dim.name)
