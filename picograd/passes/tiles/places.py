"""Where in memory the pieces of a tile lie, as operands and maps of loads and stores."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import SSAValue

from picograd.dialects.affine import Lane, Leaf, Linear, LinearLike, encode

Place = tuple[list[SSAValue], AffineMapAttr]


class Places:
    """The places of the pieces of tiles at some indices, each found once.

    The epilogue of a matmul reads and writes several buffers at the same indices.
    """

    def __init__(self, indices: Sequence[Linear]) -> None:
        self._indices = indices
        self._known: dict[tuple[tuple[int, ...], int, bool], Place] = {}

    def at(self, lead: tuple[int, ...], offset: int, *, single: bool) -> Place:
        """The place of a piece, which is a `single` element or a vector."""
        key = (lead, offset, single)
        if key not in self._known:
            lanes: dict[Leaf, LinearLike] = {Lane(axis): at for axis, at in enumerate(lead)}
            lanes[Lane(len(lead))] = offset if single else Linear({Lane(0): 1}, offset)
            moved = (index.substitute(lanes) for index in self._indices)
            self._known[key] = encode(moved, 0 if single else 1)
        return self._known[key]
