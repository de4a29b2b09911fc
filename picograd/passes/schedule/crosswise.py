"""Which of a product's two operands is repeated in registers, and which is read as vectors.

Results lie side by side along the columns of the right operand, so vectors of it meet numbers of
the left one. Where the right operand is transposed, it has to be turned round first, all of it.
The other way about only the left operand is, and the tiles of results as they are stored:

    for a few rows of results      right operand     left operand and results
    copies that turn round         all of it         both

That is less where there are fewer rows of results than terms of a sum, and columns. The right
operand is then read once for each panel of the left one, along its rows, as it lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, log2

from picograd.dialects.loop import Dim, LoadOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Access, Contraction, Nest, contraction_of, local_stride
from picograd.passes.schedule.choices import choices_for
from picograd.passes.schedule.operand_copies import FEW_USES, room_of_copy, total_extent
from picograd.passes.schedule.register_tiles import least_time, tiles_by_time
from picograd.targets import Target

GAIN = 0.97
"""What the other way has to take of the time, at most: it is worth the name of a difference."""

PANEL = 4
"""Machine vectors of a panel of the right operand, about."""

MOST_ROWS = 256
"""Rows of results beyond which a copy is a few percent of the work, and the right operand would be
read again for many panels of the left one."""


def contraction_for(nest: Nest, target: Target, facts: LoopFacts) -> Contraction | None:
    """The contraction in a nest, with its operands in the roles that take less time."""
    contraction = contraction_of(nest, facts)
    if contraction is None or target.kind != "cpu" or not _may_change(contraction, facts):
        return contraction
    other = replace(
        contraction,
        lane=contraction.row,
        row=contraction.lane,
        right=contraction.left,
        left=contraction.right,
    )
    least = GAIN * _time(contraction, target, facts)
    return other if _time(other, target, facts) < least else contraction


def _may_change(contraction: Contraction, facts: LoopFacts) -> bool:
    """Whether the right operand would be turned round, and its rows may be read as they lie."""
    lane, row, right = contraction.lane, contraction.row, contraction.right
    loads = (*right, *contraction.left)
    return (
        FEW_USES <= total_extent(row, facts) <= MOST_ROWS
        and len(contraction.reduction.dims) == 1
        and not choices_for(contraction.nest.loop).pack
        and all(load.pad is None for load in loads)
        and all(local_stride(load, row.variable) == 0 for load in right)
        and not any(local_stride(load, lane.variable) in (0, 1) for load in right)
        and all(_runs_along(load, contraction.reduction.dims) for load in right)
    )


def _runs_along(load: LoadOp, dims: Sequence[Dim]) -> bool:
    return any(local_stride(load, dim.variable) == 1 for dim in dims)


def _time(contraction: Contraction, target: Target, facts: LoopFacts) -> float:
    """Estimated half cycles: of multiply-adds, and of what is turned round."""
    lane, row = contraction.lane, contraction.row
    bits = contraction.nest.bits
    lanes = target.lanes(bits)
    columns, rows = total_extent(lane, facts), total_extent(row, facts)
    (depth,) = (total_extent(dim, facts) for dim in contraction.reduction.dims)
    time = depth * least_time(rows, columns, lanes, target)
    time += columns * depth * sum(_moved(load, lane, lanes) for load in contraction.right)
    # Blocks of a sum but for the first go on from what is in the results.
    panel = room_of_copy(target) // (min(columns, PANEL * lanes) * bits // 8)
    times = 2 * ceil(depth / panel) - 1
    inside = set(contraction.reduction.walk())
    stored = {store.memref: store for store in contraction.nest.stores}
    loaded = {
        load.memref: load
        for load in contraction.nest.loads
        if load not in inside and load.memref not in stored
    }
    for access in (*stored.values(), *loaded.values()):
        if local_stride(access, lane.variable) > 1:
            often = times if access.memref in stored else 1
            time += rows * columns * often * _turned(rows, columns, lanes, target)
    return time


def _moved(access: Access, lane: Dim, lanes: int) -> float:
    """Half cycles to read and write an element, in a square that is turned round if it has to be.

    Of each vector: a load, a store, and as many shuffles as halvings lead to a single element.
    """
    shuffles = 0 if local_stride(access, lane.variable) == 1 else log2(lanes)
    return 2 * (shuffles + 2) / lanes


def _turned(rows: int, columns: int, lanes: int, target: Target) -> float:
    """Half cycles to turn an element of a register tile round, and to write it.

    Few rows become columns of as many elements, which are stored in a piece for each power of two.
    """
    height, _ = tiles_by_time(rows, columns, lanes, target)[0]
    shuffles = ceil(log2(height)) * 2 ** ceil(log2(height))
    return 2 * (shuffles + lanes * height.bit_count()) / (height * lanes)


def turns_results(contraction: Contraction) -> bool:
    """Whether register tiles of results are turned round as they are stored."""
    lane = contraction.lane.variable
    return all(local_stride(store, lane) != 1 for store in contraction.nest.stores)
