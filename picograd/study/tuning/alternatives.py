"""Which schedules of a kernel are worth a try, given what the cost model chooses itself.

Each choice has a menu (`passes/schedule/choices.py`), of which the entries near to the cost model's
own value come first. Register tiles are tried as pairs, in the order of the cost model's estimates:
more rows go with fewer columns. Nothing here knows a kernel: what means nothing to one gives the
code that was there before, which costs no measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from math import log

from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.loop import ReduceOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Contraction, Nest, contraction_of, element_bits
from picograd.passes.rewriting.loops import inner_first, kernels
from picograd.passes.schedule.choices import MENU, MOST, Choices
from picograd.passes.schedule.choose_tiles import (
    block_sizes,
    leaf_nests,
    reduce_sizes,
    register_sizes,
    register_tile,
)
from picograd.passes.schedule.operand_copies import extent_of, left_pays, right_pays
from picograd.passes.schedule.register_tiles import tiles_by_time
from picograd.targets import Target

TILES = 8
"""Register tiles that are tried, those with the best estimates."""

NEIGHBOURS = 4
"""Entries of a menu that are tried, those nearest to the cost model's own value."""


def own_choices(loops: ModuleOp, target: Target) -> Choices:
    """What the cost model chooses for a kernel that has no schedule yet, as far as it can be said.

    Of several loop nests it is the first that counts.
    """
    facts = LoopFacts()
    for kernel in kernels(loops):
        nests = leaf_nests(kernel)
        for nest in nests:
            contraction = contraction_of(nest, facts)
            if contraction is not None:
                blocks = block_sizes(kernel, target)
                return _of_product(contraction, dict(blocks.get(nest.loop, {})), target, facts)
        sizes = register_sizes(kernel, target)
        for nest in nests:
            if nest.loop in sizes:
                return Choices(vectors=_vectors(max(sizes[nest.loop].values()), nest, target))
        for op, (_, size) in reduce_sizes(inner_first(kernel, ReduceOp), target).items():
            lanes = target.lanes(element_bits(op.outputs[0].type))
            return Choices(accumulators=-(-size // lanes))
    return Choices()


def _of_product(
    contraction: Contraction, blocks: dict[str, int], target: Target, facts: LoopFacts
) -> Choices:
    tile = register_tile(contraction, target, facts)
    depth = max(contraction.reduction.dims, key=lambda dim: extent_of(dim, facts))
    right = right_pays(contraction.right, contraction, target, facts, tile)
    left = any(left_pays(load, contraction, target, facts, tile) for load in contraction.left)
    sides = {(True, True): "both", (True, False): "left", (False, True): "right"}
    return Choices(
        rows=tile[0],
        vectors=_vectors(tile[1], contraction.nest, target),
        pack=sides.get((left, right), "none"),
        depth=blocks.get(depth.name, 0),
        height=blocks.get(contraction.row.name, 0),
        width=blocks.get(contraction.lane.name, 0),
    )


def _vectors(elements: int, nest: Nest, target: Target) -> int:
    return -(-elements // target.lanes(nest.bits))


def moves(
    loops: ModuleOp, own: Choices, target: Target, *, several_threads: bool
) -> Iterator[Choices]:
    """What to choose next, one after another: each is a step from what is the best so far."""
    contraction = _contraction_in(loops)
    if own.pack:
        yield from (Choices(pack=word) for word in _menu("pack") if word != own.pack)
    if contraction is not None:
        facts = LoopFacts()
        height, width = (extent_of(d, facts) for d in (contraction.row, contraction.lane))
        lanes = target.lanes(contraction.nest.bits)
        for rows, vectors in tiles_by_time(height, width, lanes, target)[:TILES]:
            yield Choices(rows=rows, vectors=vectors)
    for each in fields(Choices):
        if each.name == "pack" or (each.name == "grain" and not several_threads):
            continue
        value, menu = getattr(own, each.name), each.metadata[MENU]
        if MOST in each.metadata and value:
            menu = sorted((m for m in menu if m != value), key=lambda m: abs(log(m / value)))
        for entry in menu[:NEIGHBOURS]:
            yield replace(Choices(), **{each.name: entry})


def _menu(name: str) -> tuple[str, ...]:
    return next(each.metadata[MENU] for each in fields(Choices) if each.name == name)


def _contraction_in(loops: ModuleOp) -> Contraction | None:
    facts = LoopFacts()
    found = (contraction_of(n, facts) for kernel in kernels(loops) for n in leaf_nests(kernel))
    return next((contraction for contraction in found if contraction is not None), None)
