"""Transpose a square of machine vectors with two-input shuffles.

A place in the square is a row and a lane, two numbers of as many bits. Each round joins the rows
that differ in one bit, and moves that bit of the row into the lane, at one end of a few of the
lane's bits; the bit at their other end leaves, and becomes the row's. After one round for each of
those bits they have changed places with the row's: n log2 n shuffles for n vectors, as in the
butterfly of a fast Fourier transform (H. S. Warren, "Hacker's Delight", section 7-3).

The bits of the lane fall into two parts, because x86 shuffles its vectors either within blocks of
16 bytes or block by block, in one instruction without a table of lanes (`vunpcklps`,
`vshuff32x4`). Within blocks the elements of two rows alternate; above, the blocks of even number
of two rows stand side by side. NEON has one block, whose elements `zip1` and `zip2` alternate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from xdsl.dialects.builtin import DenseArrayBase, FixedBitwidthType, i64
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects.loop import ShuffleOp, element_type, tile_shape, tile_type
from picograd.dialects.quick import create


def transpose_vectors(rows: Sequence[SSAValue], new: list[Operation]) -> list[SSAValue]:
    """The columns of a matrix that is given by its rows; adds the shuffles to `new`."""
    height, width = len(rows), tile_shape(rows[0].type)[0]
    size = 1
    while size < max(height, width):
        size *= 2

    def shuffle(left: SSAValue, right: SSAValue, lanes: Sequence[int]) -> SSAValue:
        # `create` leaves out the checks of the constructor: there are hundreds of shuffles.
        type = tile_type(element_type(left.type), [len(lanes)])
        op = create(ShuffleOp, [left, right], [type], {"lanes": _lanes(tuple(lanes))})
        new.append(op)
        return op.results[0]

    square: list[SSAValue | None] = [None] * size
    for position, row in enumerate(rows):
        widened = [lane if lane < width else -1 for lane in range(size)]
        square[position] = row if width == size else shuffle(row, row, widened)
    rounds = _rounds(size, _block(element_type(rows[0].type), size))
    needed = [set(range(width))]
    for distance, _, _ in reversed(rounds):
        needed.append({place ^ both for place in needed[-1] for both in (0, distance)})
    for (distance, low, high), wanted in zip(rounds, reversed(needed[:-1]), strict=True):
        square = _exchange(square, distance, (low, high), wanted, shuffle)
    columns = [column for column in square[:width] if column is not None]
    if height == size:
        return columns
    return [shuffle(column, column, range(height)) for column in columns]


def _block(element: Attribute, size: int) -> int:
    """Lanes in the 16 bytes that the cheapest shuffles stay within."""
    bits = element.bitwidth if isinstance(element, FixedBitwidthType) else 32
    return max(1, min(size, 128 // max(8, bits)))


Round = tuple[int, tuple[int, ...], tuple[int, ...]]
"""How far apart the rows lie that meet, and the lanes that the two take, of the first row and then
of the second."""


@lru_cache(maxsize=64)
def _rounds(size: int, block: int) -> list[Round]:
    rounds: list[Round] = []
    starts = range(0, size, block)
    distance = block // 2
    while distance:  # the row's bit becomes the lowest of the lane within its block
        halves = [
            tuple(
                lane
                for start in starts
                for at in range(start + half, start + half + block // 2)
                for lane in (at, size + at)
            )
            for half in (0, block // 2)
        ]
        rounds.append((distance, halves[0], halves[1]))
        distance //= 2
    distance = block
    while distance < size:  # the row's bit becomes the highest of the block's number
        halves = [
            tuple(
                lane
                for row in (0, size)
                for start in starts[odd::2]
                for lane in range(row + start, row + start + block)
            )
            for odd in (0, 1)
        ]
        rounds.append((distance, halves[0], halves[1]))
        distance *= 2
    return rounds


@lru_cache(maxsize=256)
def _lanes(lanes: tuple[int, ...]) -> Attribute:
    return DenseArrayBase.from_list(i64, lanes)


Shuffle = Callable[[SSAValue, SSAValue, Sequence[int]], SSAValue]


def _exchange(
    square: Sequence[SSAValue | None],
    distance: int,
    lanes: tuple[Sequence[int], Sequence[int]],
    wanted: set[int],
    shuffle: Shuffle,
) -> list[SSAValue | None]:
    """One round: vectors whose lanes nobody needs stay missing, or become so."""
    result: list[SSAValue | None] = [None] * len(square)
    for position, left in enumerate(square):
        if position & distance or left is None:
            continue
        right = square[position + distance]
        if right is None:
            right = left
        for place, picked in zip((position, position + distance), lanes, strict=True):
            if place in wanted:
                result[place] = shuffle(left, right, picked)
    return result
