"""The reference for exercise 4: the largest buffers first, each at the lowest free place."""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.buffer import AllocOp, ArenaOp, KernelOp, PlaceOp
from picograd.dialects.dtypes import nbytes_of
from picograd.passes import Level, Pass
from picograd.quick_dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Life:
    """A buffer: its bytes, rounded up, and the first and last kernel that touch it."""

    alloc: AllocOp
    size: int
    first: int
    last: int

    def meets(self, other: "Life") -> bool:
        """Whether some kernel finds both alive."""
        return self.first <= other.last and other.first <= self.last


def life_of(alloc: AllocOp, kernels: list[KernelOp]) -> Life:
    """The size and the life of a buffer; one that nobody touches lives before all kernels."""
    touching = [n for n, kernel in enumerate(kernels) if alloc.result in kernel.operands] or [-1]
    size = -(-nbytes_of(alloc.result.type) // ALIGNMENT) * ALIGNMENT
    return Life(alloc, size, touching[0], touching[-1])


def lowest_place(life: Life, taken: list[tuple[int, Life]]) -> int:
    """The lowest offset at which a buffer meets none of those that are placed already.

    Sizes are multiples of the alignment, so all offsets are.
    """
    offset = 0
    for start, other in sorted(taken, key=lambda item: item[0]):
        if other.meets(life):
            if start - offset >= life.size:
                break
            offset = max(offset, start + other.size)
    return offset


def place(function: FuncOp, allocs: list[AllocOp], kernels: list[KernelOp]) -> None:
    """Put the buffers of `allocs` into an arena."""
    lives = [life_of(alloc, kernels) for alloc in allocs]
    taken: list[tuple[int, Life]] = []
    for life in sorted(lives, key=lambda life: -life.size):
        taken.append((lowest_place(life, taken), life))
    arena = ArenaOp(max(offset + life.size for offset, life in taken))
    arena.result.name_hint = "arena"
    Rewriter.insert_op(arena, InsertPoint.at_start(function.body.block))
    for offset, life in taken:
        placed = PlaceOp(arena, offset, life.alloc.result.type)
        placed.result.name_hint = life.alloc.result.name_hint
        Rewriter.replace_op(life.alloc, placed)


@dataclass(frozen=True)
class PlaceBuffers(Pass):
    """Place all intermediates in one arena."""

    name: ClassVar[str] = "place_buffers"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                ops = list(function.body.block.ops)
                allocs = [inner for inner in ops if isinstance(inner, AllocOp)]
                if allocs:
                    place(function, allocs, [one for one in ops if isinstance(one, KernelOp)])
