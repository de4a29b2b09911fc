"""How register tiles split into pieces: machine vectors along the last axis, or single elements.

All values that meet in one elementwise operation split alike, so they form a class. A class splits
into single elements if no member of it is needed as a vector: each is only ever repeated along a
new last axis, like the column of a matrix that a matmul multiplies with a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product

from xdsl.ir import Block, Operation, SSAValue, Use

from picograd.dialects.loop import (
    BroadcastOp,
    FoldOp,
    ForOp,
    IfOp,
    LoadOp,
    ReduceOp,
    ShuffleOp,
    StoreOp,
    YieldOp,
    tile_rank,
    tile_shape,
)

Piece = tuple[tuple[int, ...], int, int]
"""Position along the leading axes, offset along the last axis, and number of lanes."""

WHOLE = (StoreOp, FoldOp, YieldOp, ForOp, IfOp, ReduceOp, ShuffleOp)
"""Operations that take their operands as vectors."""


def chunks(extent: int, width: int) -> list[tuple[int, int]]:
    """Offset and length of the runs of at most `width` that cover an extent."""
    return [(start, min(width, extent - start)) for start in range(0, extent, width)]


class PieceWidths:
    """The number of lanes of the pieces of each tile in a kernel."""

    def __init__(self, root: Operation, width: int):
        self.width = width
        self._parents: dict[SSAValue, SSAValue] = {}
        tiles = list(_tiles(root))
        for value in tiles:
            owner = value.owner
            if isinstance(owner, Operation) and not owner.regions:
                for operand in _split_alike(owner):
                    self._join(value, operand)
        self._vectors = {
            self._find(value)
            for value in tiles
            if isinstance(value.owner, Block) or _needs_vectors(value)
        }

    def of(self, value: SSAValue) -> int:
        """The most lanes of a piece of a tile: the machine's, or 1 for single elements."""
        return self.width if self._find(value) in self._vectors else 1

    def pieces(self, value: SSAValue) -> Sequence[Piece]:
        """The pieces of a tile, in row-major order."""
        return _pieces(tile_shape(value.type), self.of(value))

    def _find(self, value: SSAValue) -> SSAValue:
        root = value
        while (parent := self._parents.get(root)) is not None:
            root = parent
        while value is not root:
            self._parents[value], value = root, self._parents[value]
        return root

    def _join(self, left: SSAValue, right: SSAValue) -> None:
        first, second = self._find(left), self._find(right)
        if first is not second:
            self._parents[second] = first


@lru_cache(maxsize=1024)
def _pieces(shape: tuple[int, ...], width: int) -> Sequence[Piece]:
    runs = chunks(shape[-1], width)
    return [
        (lead, offset, lanes) for lead in product(*map(range, shape[:-1])) for offset, lanes in runs
    ]


def _tiles(root: Operation) -> Iterator[SSAValue]:
    """Every tile that an operation holds."""
    for op in root.walk():
        yield from (result for result in op.results if tile_rank(result.type))
        for region in op.regions:
            for block in region.blocks:
                yield from (value for value in block.args if tile_rank(value.type))


def _split_alike(op: Operation) -> Iterable[SSAValue]:
    """The operands that split as the result of an operation without a body does."""
    if isinstance(op, LoadOp | FoldOp | ShuffleOp):
        return ()
    if isinstance(op, BroadcastOp) and tile_rank(op.result.type) - 1 in op.axes:
        return ()
    return [value for value in op.operands if tile_rank(value.type)]


def _needs_vectors(value: SSAValue) -> bool:
    """Whether a tile is made or used as vectors itself, whatever its class is."""
    owner = value.owner
    if isinstance(owner, WHOLE) or value.first_use is None:
        return True
    return any(_takes_vectors(use) for use in value.uses)


def _takes_vectors(use: Use) -> bool:
    return isinstance(use.operation, WHOLE)
