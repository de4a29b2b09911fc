"""Which tiles a pipeline cuts loops of which extents into: seen while its passes run.

A dimension is `extent` long and is cut into tiles of `tile` by pass number `step`. Which code a
schedule makes hangs on what is left over (nothing, one element, a tile that lacks one, or another
number) and on whether there are several tiles at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.dialects import new_context
from picograd.dialects.loop import KernelOp, LoopOp, ParallelOp, ReduceOp
from picograd.passes.base import Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.loops import inner_first, kernels, parse_sizes
from picograd.passes.schedule.choose_tiles import reduce_sizes
from picograd.passes.tile_loops import TileLoops, chosen_sizes
from picograd.passes.vectorize_loops import VectorizeLoops
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup

TILING = (TileLoops, VectorizeLoops)
"""The passes that cut loops."""


@dataclass(frozen=True)
class Remainder:
    """How a pass cuts a dimension: into one tile or several, and what kind of rest is left."""

    step: int
    several: bool
    rest: str

    def __str__(self) -> str:
        return f"{'several tiles' if self.several else 'one tile'} and a rest of {self.rest}"


@dataclass(frozen=True)
class Cut:
    """A dimension of `extent` elements, cut into tiles of `tile` by pass number `step`."""

    step: int
    extent: int
    tile: int

    def remainders(self) -> frozenset[Remainder]:
        """What kinds of rests the cut leaves: a rest of 1 below a tile of 2 is of two kinds."""
        return frozenset(
            Remainder(self.step, self.extent > self.tile, rest)
            for rest in kinds_of_rest(self.extent, self.tile)
        )


def kinds_of_rest(extent: int, tile: int) -> tuple[str, ...]:
    """The kinds of rest that tiles leave of an extent: none where it fits into one tile.

    A rest below a tile of two or three is of several kinds: there are too few to tell them apart.
    """
    rest = extent % tile
    if rest == 0 or extent < tile:
        return ("0",)
    if tile < 4:
        return ("1", "tile - 1", "other") if tile == 2 else (_kind(rest, tile), "other")
    return (_kind(rest, tile),)


def _kind(rest: int, tile: int) -> str:
    return {1: "1", tile - 1: "tile - 1"}.get(rest, "other")


def cuts_of(module: ModuleOp, passes: Sequence[Pass]) -> frozenset[Cut]:
    """The cuts that a pipeline makes in a module, which stays as it is.

    Passes run as far as the last one that cuts loops. What a pass raises is raised here.
    """
    last = max((n for n, step in enumerate(passes) if isinstance(step, TILING)), default=-1)
    copy, context = module.clone(), new_context()
    cuts: set[Cut] = set()
    extents: dict[str, dict[str, list[int]]] = {}
    for number, step in enumerate(passes[: last + 1]):
        if isinstance(step, TILING):
            for kernel in kernels(copy):
                name = kernel.sym_name.data
                if name not in extents:
                    extents[name] = _extents(kernel)
                for dim, extent, tile in _tiles(step, kernel):
                    whole = extents[name].get(dim, [extent])
                    fitting = [extent] if extent in whole else whole
                    cuts.update(Cut(number, size, tile) for size in fitting)
        step.apply(context, copy)
    return frozenset(cuts)


def _extents(kernel: KernelOp) -> dict[str, list[int]]:
    """The extents of the dimensions of a kernel's loops, by name, before anything is cut."""
    facts = LoopFacts()
    extents: dict[str, list[int]] = {}
    for loop in inner_first(kernel, LoopOp):
        for dim in loop.dims:
            extent = facts.extent(dim)
            if extent is not None and extent not in extents.setdefault(dim.name, []):
                extents[dim.name].append(extent)
    return extents


def _tiles(step: Pass, kernel: KernelOp) -> Iterator[tuple[str, int, int]]:
    """The dimensions that a pass is about to cut: name, extent, size of a tile."""
    facts = LoopFacts()
    plan: dict[LoopOp, dict[str, int]] = {}
    if isinstance(step, TileLoops):
        named = parse_sizes("sizes", step.sizes)
        machine = lookup(step.target)
        chosen = None if named else chosen_sizes(kernel, machine, exact=step.exact)
        for loop in inner_first(kernel, LoopOp):
            if isinstance(loop, ParallelOp | ReduceOp):
                plan[loop] = named if chosen is None else dict(chosen.get(loop, named))
    elif isinstance(step, VectorizeLoops):
        named = parse_sizes("reduce", step.reduce)
        loops = list(inner_first(kernel, ReduceOp))
        chosen = {} if named else reduce_sizes(loops, lookup(step.target))
        for loop in loops:
            plan[loop] = dict([chosen[loop]]) if loop in chosen else named
    for loop, sizes in plan.items():
        for dim in loop.dims:
            extent = facts.extent(dim)
            if dim.name in sizes and extent is not None and sizes[dim.name] > 1:
                yield dim.name, extent, sizes[dim.name]
