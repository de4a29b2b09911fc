"""Split register tiles into machine vectors, or into single elements.

Before:

```mlir
builtin.module {
  loop.kernel @add_row(%x: memref<2x6xf32>, %b: memref<6xf32>, %y: memref<2x6xf32>) {
    %v = loop.load %x[t0, t1] : memref<2x6xf32> to vector<2x6xf32>
    %r = loop.load %b[t0] : memref<6xf32> to vector<6xf32>
    %rows = loop.broadcast %r along [0] : vector<6xf32> to vector<2x6xf32>
    %s = arith.addf %v, %rows : vector<2x6xf32>
    loop.store %s, %y[t0, t1] : vector<2x6xf32>, memref<2x6xf32>
  }
}
```

Options: unroll_tiles{width=4}

After:

```mlir
builtin.module {
  loop.kernel @add_row(%x: memref<2x6xf32>, %b: memref<6xf32>, %y: memref<2x6xf32>) {
    %v = loop.load %x[0, t0] : memref<2x6xf32> to vector<4xf32>
    %r = loop.load %b[t0] : memref<6xf32> to vector<4xf32>
    %s = arith.addf %v, %r : vector<4xf32>
    loop.store %s, %y[0, t0] : vector<4xf32>, memref<2x6xf32>
    %v_1 = loop.load %x[0, t0 + 4] : memref<2x6xf32> to vector<2xf32>
    %r_1 = loop.load %b[t0 + 4] : memref<6xf32> to vector<2xf32>
    %s_1 = arith.addf %v_1, %r_1 : vector<2xf32>
    loop.store %s_1, %y[0, t0 + 4] : vector<2xf32>, memref<2x6xf32>
    %v_2 = loop.load %x[1, t0] : memref<2x6xf32> to vector<4xf32>
    %s_2 = arith.addf %v_2, %r : vector<4xf32>
    loop.store %s_2, %y[1, t0] : vector<4xf32>, memref<2x6xf32>
    %v_3 = loop.load %x[1, t0 + 4] : memref<2x6xf32> to vector<2xf32>
    %s_3 = arith.addf %v_3, %r_1 : vector<2xf32>
    loop.store %s_3, %y[1, t0 + 4] : vector<2xf32>, memref<2x6xf32>
  }
}
```

A tile that is only ever repeated along a new last axis becomes single elements, each repeated by a
splat. Where memory is contiguous along a tile's first axis instead of its last, blocks are
transposed with shuffles; a body that copies several such blocks does so in a loop. In straight-line
code each stored value is then computed just before its store.

Requires: reductions over tiles lowered to loops; folds of tiles with one axis.

Does not: split loops, or change what is loaded and stored.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import FixedBitwidthType, ModuleOp

from picograd.dialects.loop import KernelOp, element_type, tile_rank
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.passes.tiles.pieces import PieceWidths
from picograd.passes.tiles.squares import loop_over_squares
from picograd.passes.tiles.unroller import Unroller
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class UnrollTiles(Pass):
    """`width` is the number of lanes of a machine vector; 0 takes it from the facts of `target`."""

    name: ClassVar[str] = "unroll_tiles"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True
    requires: ClassVar[frozenset[str]] = frozenset({"reductions_lowered"})
    establishes: ClassVar[frozenset[str]] = frozenset({"machine_tiles"})

    width: int = 0
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.width < 0:
            raise OptionError(
                "unroll_tiles needs a number of lanes",
                code="PG703",
                expected="0 or more",
                found=self.width,
                hint="pass the lanes of a machine vector, or 0 for the target's",
            )
        for kernel in kernels(op):
            bits = smallest_tile_bits(kernel)
            if bits is not None and applies(unroll, kernel):
                unroll(kernel, self.width or lookup(self.target).lanes(bits))


def smallest_tile_bits(kernel: KernelOp) -> int | None:
    """Bits of the smallest number in the tiles of a kernel, at least 32; None without tiles.

    Tiles of different element types meet in conversions and split alike, so one width serves all;
    LLVM splits what is wider than its registers.
    """
    types = {
        element_type(result.type)
        for op in kernel.walk()
        for result in op.results
        if tile_rank(result.type)
    }
    sizes = [type.bitwidth for type in types if isinstance(type, FixedBitwidthType)]
    return min((max(32, size) for size in sizes if size > 1), default=32) if types else None


def unroll(kernel: KernelOp, width: int) -> None:
    """Split all tiles of a kernel into pieces of at most `width` lanes."""
    loop_over_squares(kernel, width)
    Unroller(PieceWidths(kernel, width)).block(kernel.body.block)
