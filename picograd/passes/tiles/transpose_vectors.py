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

Few rows with many lanes take fewer rounds, after which each vector holds several columns.
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
    size = _power_above(max(height, width))

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
    block = _block(element_type(rows[0].type), size)
    if 2 * height <= size:
        few, places = _rounds_of_few(size, _power_above(height), block)
        for distance, low, high in few:
            parts = set(range(size))
            square = _exchange(square, distance, (low, high), parts, shuffle)
        return [
            shuffle(vector, vector, range(start, start + height))
            for position, start in places[:width]
            if (vector := square[position]) is not None
        ]
    rounds = _rounds(size, block)
    needed = [set(range(width))]
    for distance, _, _ in reversed(rounds):
        needed.append({place ^ both for place in needed[-1] for both in (0, distance)})
    for (distance, low, high), wanted in zip(rounds, reversed(needed[:-1]), strict=True):
        square = _exchange(square, distance, (low, high), wanted, shuffle)
    columns = [column for column in square[:width] if column is not None]
    if height == size:
        return columns
    return [shuffle(column, column, range(height)) for column in columns]


def _power_above(least: int) -> int:
    """The least power of two that is not less than a number."""
    return 1 << (least - 1).bit_length()


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


@lru_cache(maxsize=64)
def _rounds_of_few(size: int, count: int, block: int) -> tuple[list[Round], list[tuple[int, int]]]:
    """The same for few rows of many lanes; and for each column its vector and its first lane.

    After one round for each bit of the row's number, which become the lowest ones of the lane's,
    each vector holds several whole columns. Blocks alternate as the elements within them do.
    """
    rounds: list[Round] = []
    contents = [[(row, lane) for lane in range(size)] for row in range(count)]
    distances = [1 << bit for bit in reversed(range(count.bit_length() - 1))]
    within = [distance for distance in distances if distance < block]
    for distance in (*within, *distances[: len(distances) - len(within)]):
        run, span = (1, block) if distance < block else (block, size)
        low, high = (
            tuple(
                lane
                for start in range(half, size, span)
                for at in range(start, start + span // 2, run)
                for first in (at, size + at)
                for lane in range(first, first + run)
            )
            for half in (0, span // 2)
        )
        rounds.append((distance, low, high))
        for position in range(count):
            if not position & distance:
                both = contents[position] + contents[position + distance]
                contents[position] = [both[lane] for lane in low]
                contents[position + distance] = [both[lane] for lane in high]
    places = {
        vector[start][1]: (position, start)
        for position, vector in enumerate(contents)
        for start in range(0, size, count)
    }
    return rounds, [places[column] for column in range(size)]


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
