"""Where in memory the pieces of a tile lie, as operands and maps of loads and stores."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from picograd.dialects.affine import (
    FloorDiv,
    Lane,
    Leaf,
    Linear,
    LinearLike,
    Mod,
    decode,
    encode,
    moved_by,
)

Place = tuple[list[SSAValue], AffineMapAttr, list[Linear]]
"""Operands and map of an op, and the expressions that these are."""


class Places:
    """The places of the pieces of tiles at some indices, each found once.

    The epilogue of a matmul reads and writes several buffers at the same indices. Where no lane is
    divided, the places of two pieces differ in constants only, and the rest is encoded once.
    """

    def __init__(self, indices: Sequence[Linear]) -> None:
        self._indices = indices
        self._known: dict[tuple[tuple[int, ...], int, bool], Place] = {}
        self._first: dict[tuple[int, bool], tuple[Place, list[list[int]]]] = {}
        """The place of a first piece, without constants, and how far each axis leads."""
        self._differ_in_constants = not any(
            isinstance(leaf, Lane)
            for index in indices
            for atom in index.terms
            if isinstance(atom, FloorDiv | Mod)
            for leaf in atom.expression.leaves()
        )

    def at(self, lead: tuple[int, ...], offset: int, *, single: bool) -> Place:
        """The place of a piece, which is a `single` element or a vector."""
        key = (lead, offset, single)
        if key not in self._known:
            if self._differ_in_constants:
                self._known[key] = self._moved(lead, offset, single=single)
            else:
                self._known[key] = self._encoded(self._indices, lead, offset, single=single)
        return self._known[key]

    def _encoded(
        self, indices: Sequence[Linear], lead: tuple[int, ...], offset: int, *, single: bool
    ) -> Place:
        lanes: dict[Leaf, LinearLike] = {Lane(axis): at for axis, at in enumerate(lead)}
        lanes[Lane(len(lead))] = offset if single else Linear({Lane(0): 1}, offset)
        values, map = encode((index.substitute(lanes) for index in indices), 0 if single else 1)
        return values, map, decode(values, map)

    def _moved(self, lead: tuple[int, ...], offset: int, *, single: bool) -> Place:
        rank = len(lead)
        if (rank, single) not in self._first:
            bare = [Linear(index.terms) for index in self._indices]
            first = self._encoded(bare, (0,) * rank, 0, single=single)
            axes = [Lane(axis) for axis in range(rank + 1)]
            factors = [[index.coefficient(axis) for axis in axes] for index in self._indices]
            self._first[rank, single] = first, factors
        (values, map, expressions), factors = self._first[rank, single]
        position = (*lead, offset)
        distances = [
            index.constant + sum([a * b for a, b in zip(by_axis, position, strict=True)])
            for index, by_axis in zip(self._indices, factors, strict=True)
        ]
        pairs = zip(map.data.results, distances, strict=True)
        results = tuple([moved_by(result, distance) for result, distance in pairs])
        # Pieces share their terms: what is found out of those need not be found out again.
        moved = [
            Linear(each.terms, each.constant + distance)
            for each, distance in zip(expressions, distances, strict=True)
        ]
        return values, AffineMapAttr(AffineMap(map.data.num_dims, 0, results)), moved
