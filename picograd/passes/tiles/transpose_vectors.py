"""Transpose a square of machine vectors with two-input shuffles.

In round d = n/2, n/4, …, 1 vectors i and i + d exchange their blocks of d lanes that lie off the
diagonal, as in the butterfly of a fast Fourier transform: n log2 n shuffles for n vectors (see
H. S. Warren, "Hacker's Delight", section 7-3, on transposing bit matrices).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects.loop import ShuffleOp, element_type, tile_shape, tile_type


def transpose_vectors(rows: Sequence[SSAValue], new: list[Operation]) -> list[SSAValue]:
    """The columns of a matrix that is given by its rows; adds the shuffles to `new`."""
    height, width = len(rows), tile_shape(rows[0].type)[0]
    size = 1
    while size < max(height, width):
        size *= 2

    def shuffle(left: SSAValue, right: SSAValue, lanes: Sequence[int]) -> SSAValue:
        # `create` leaves out the checks of the constructor: there are hundreds of shuffles.
        op = ShuffleOp.create(
            operands=[left, right],
            result_types=[tile_type(element_type(left.type), [len(lanes)])],
            properties={"lanes": _lanes(tuple(lanes))},
        )
        new.append(op)
        return op.results[0]

    square: list[SSAValue | None] = [None] * size
    for position, row in enumerate(rows):
        widened = [lane if lane < width else -1 for lane in range(size)]
        square[position] = row if width == size else shuffle(row, row, widened)
    distance = size // 2
    while distance:
        square = _exchange(square, distance, shuffle)
        distance //= 2
    columns = [column for column in square[:width] if column is not None]
    if height == size:
        return columns
    return [shuffle(column, column, range(height)) for column in columns]


@lru_cache(maxsize=256)
def _lanes(lanes: tuple[int, ...]) -> Attribute:
    return DenseArrayBase.from_list(i64, lanes)


Shuffle = Callable[[SSAValue, SSAValue, Sequence[int]], SSAValue]


def _exchange(
    square: Sequence[SSAValue | None], distance: int, shuffle: Shuffle
) -> list[SSAValue | None]:
    """One round: missing vectors, whose lanes nobody needs, stay missing where both are."""
    size = len(square)
    result = list(square)
    low = [lane if not lane & distance else size + lane - distance for lane in range(size)]
    high = [lane + distance if not lane & distance else size + lane for lane in range(size)]
    for position in range(size):
        left = square[position]
        if position & distance or left is None:
            continue
        right = square[position + distance]
        if right is None:
            right = left
        result[position] = shuffle(left, right, low)
        result[position + distance] = shuffle(left, right, high)
    return result
