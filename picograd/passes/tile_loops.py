"""Split loops into loops over tiles and loops inside one tile.

Before:

```mlir
builtin.module {
  loop.kernel @double(%x: memref<20xf32>, %y: memref<20xf32>) {
    loop.parallel %i = 0 to 20 {
      %v = loop.load %x[%i] : memref<20xf32>
      %d = arith.addf %v, %v : f32
      loop.store %d, %y[%i] : f32, memref<20xf32>
    }
  }
}
```

Options: tile_loops{sizes="i=8" exact=true}

After:

```mlir
builtin.module {
  loop.kernel @double(%x: memref<20xf32>, %y: memref<20xf32>) {
    loop.parallel %i1 = 0 to 16 step 8 {
      loop.parallel %i = %i1 to %i1 + 8 mapping lanes {
        %v = loop.load %x[%i] : memref<20xf32>
        %d = arith.addf %v, %v : f32
        loop.store %d, %y[%i] : f32, memref<20xf32>
      }
    }
    loop.parallel %i_1 as i = 16 to 20 mapping lanes {
      %v_1 = loop.load %x[%i_1] : memref<20xf32>
      %d_1 = arith.addf %v_1, %v_1 : f32
      loop.store %d_1, %y[%i_1] : f32, memref<20xf32>
    }
  }
}
```

Requires: nothing. Without `sizes`, each kernel's are chosen from the facts of `target`: blocks for
its caches, or with `exact` register tiles.

Does not: move, copy or vectorize anything; tile loops whose step is not 1; tile sequential loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation

from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import Dim, KernelOp, LoopOp, ParallelOp, ReduceOp, YieldOp
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    check_names,
    clone_body,
    inner_first,
    kernels,
    parse_sizes,
    replace_op,
    substitute_indices,
    take_ops,
)
from picograd.passes.schedule.choose_tiles import block_sizes, register_sizes
from picograd.passes.schedule.tile_parts import exact_parts, tile_reduce
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup


@dataclass(frozen=True)
class TileLoops(Pass):
    """`sizes` names loops and their tile sizes, outermost tile loop first.

    `exact` gives every inner loop a constant extent and maps it to lanes; what is left over gets a
    tile of its own, in a loop that runs at most once. Otherwise the inner loop ends at the least
    of the tile's end and the old bound. `suffix` is what the names of the loops over tiles end in.
    """

    name: ClassVar[str] = "tile_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    establishes: ClassVar[frozenset[str]] = frozenset({"tiled"})

    sizes: str = ""
    exact: bool = False
    suffix: str = ""
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        sizes = parse_sizes("sizes", self.sizes)
        check_names("sizes", sizes, op)
        suffix = self.suffix or ("1" if self.exact else "0")
        for kernel in kernels(op):
            if sizes:
                plan = _sizes_by_name(kernel, sizes)
            else:
                plan = chosen_sizes(kernel, lookup(self.target), exact=self.exact)
            # A GPU computes whole blocks, of which `round_up_loops` then clips what is too much.
            whole = not sizes and not self.exact and lookup(self.target).kind == "gpu"
            tile(kernel, plan, exact=self.exact, suffix=suffix, whole=whole)


Plan = Mapping[Operation, Mapping[str, int]]
"""The sizes of the dimensions of each loop that is to be tiled."""


def _sizes_by_name(kernel: KernelOp, sizes: Mapping[str, int]) -> Plan:
    plan: dict[Operation, Mapping[str, int]] = {}
    for op in inner_first(kernel, LoopOp):
        names = [name.data for name in op.names]
        chosen = {name: size for name, size in sizes.items() if name in names}
        if isinstance(op, ParallelOp | ReduceOp) and chosen:
            plan[op] = chosen
    return plan


def chosen_sizes(kernel: KernelOp, target: Target, *, exact: bool) -> Plan:
    """The sizes that the cost model chooses, without those that this pass cannot tile exactly."""
    if not exact:
        return block_sizes(kernel, target)
    facts = LoopFacts()
    plan: dict[Operation, Mapping[str, int]] = {}
    for op, sizes in register_sizes(kernel, target).items():
        assert isinstance(op, LoopOp)
        dims = {dim.name: dim for dim in op.dims}
        plan[op] = {
            name: size
            for name, size in sizes.items()
            if exact_parts(dims[name], size, facts) is not None
        }
    return plan


def tile(kernel: KernelOp, plan: Plan, *, exact: bool, suffix: str, whole: bool = False) -> None:
    """Tile the loops in a plan, inner loops first, because outer ones copy their bodies.

    With `whole`, a dimension shorter than its tile becomes a block of one tile all the same.
    """
    for op in inner_first(kernel, LoopOp):
        sizes = plan.get(op)
        if not sizes or any(dim.name in sizes and dim.step != 1 for dim in op.dims):
            continue
        if not applies(tile, op):
            return
        if isinstance(op, ReduceOp):
            tile_reduce(op, sizes, suffix)
        elif isinstance(op, ParallelOp):
            if exact:
                # Dimensions that are not tiled become loops of their own, outside the tile.
                sizes = {dim.name: 1 for dim in op.dims if dim.name not in sizes} | dict(sizes)
            tiler = _Tiler(op, sizes, suffix, exact, whole)
            block = Block()
            tiler.build([name for name in sizes if name in tiler.dims], {}, block)
            replace_op(op, take_ops(block), [])


class _Tiler:
    """Builds the nests that replace one parallel loop."""

    def __init__(
        self, op: ParallelOp, sizes: Mapping[str, int], suffix: str, exact: bool, whole: bool
    ) -> None:
        self.op = op
        self.dims = {dim.name: dim for dim in op.dims}
        self.sizes = dict(sizes)
        self.suffix = suffix
        self.exact = exact
        self.whole = whole
        self.facts = LoopFacts()

    def build(self, names: Sequence[str], inner: Mapping[str, Dim], into: Block) -> None:
        """Add the loops over tiles of the given dimensions, then the loop inside a tile."""
        if not names:
            self.build_inner(inner, into)
            return
        name, rest = names[0], names[1:]
        for dim, size in self.parts(self.dims[name]):
            extent = dim.extent if dim.is_constant else None
            if extent is not None and (extent == size or (extent < size and not self.whole)):
                self.build(rest, {**inner, name: replace(dim, step=1, name=name)}, into)
                continue
            # A dimension that is not tiled keeps its step: it may be one over blocks itself.
            label, step = (name, dim.step) if size == 1 else (name + self.suffix, size)
            outer = ParallelOp([Dim(dim.lower, dim.uppers, step, label)])
            start = Linear.of(outer.body.block.args[0])
            fits = self.exact or (dim.is_constant and (dim.extent or 0) % size == 0)
            ends = (start + size,) if fits or size == 1 else (start + size, *dim.uppers)
            into.add_op(outer)
            self.build(rest, {**inner, name: Dim(start, ends, 1, name)}, outer.body.block)
            outer.body.block.add_op(YieldOp())

    def parts(self, dim: Dim) -> list[tuple[Dim, int]]:
        """The loops over tiles that cover a dimension, with their tile sizes."""
        size = self.sizes[dim.name]
        if not self.exact:
            return [(dim, size)]
        parts = exact_parts(dim, size, self.facts)
        if parts is None:
            raise PassError(
                f"tile_loops: the blocks of loop {dim.name!r} have no exact tiles of {size}",
                code="PG709",
                expected=f"blocks that start and end at multiples of {size}",
                found=f"from {dim.lower!r} to {', '.join(map(repr, dim.uppers))}",
                hint="choose block sizes that are multiples of the register tile",
            )
        return parts

    def build_inner(self, tiles: Mapping[str, Dim], into: Block) -> None:
        """Add the loop inside one tile; dimensions of one iteration need no loop."""
        body = clone_body(self.op)
        dims = [tiles.get(name, dim) for name, dim in self.dims.items()]
        old = list(body.args)
        single = [
            dim.is_constant and dim.extent == 1 and (self.exact or dim != self.dims[dim.name])
            for dim in dims
        ]
        kept = [dim for dim, alone in zip(dims, single, strict=True) if not alone]
        replacements: dict[Leaf, LinearLike] = {
            argument: dim.lower
            for argument, dim, alone in zip(old, dims, single, strict=True)
            if alone
        }
        substitute_indices(body, replacements)
        for argument, alone in zip(old, single, strict=True):
            if alone:
                body.erase_arg(argument)
        if not kept:
            into.add_ops(_without_yield(body))
            return
        mapping = self.op.mapping.data if self.op.mapping is not None else None
        lanes = self.exact and all(dim.is_constant for dim in kept)
        new = ParallelOp(kept, "lanes" if lanes and mapping is None else mapping, body)
        new.attributes |= self.op.attributes
        into.add_op(new)


def _without_yield(body: Block) -> list[Operation]:
    ops = take_ops(body)
    ops.pop().erase()
    return ops
