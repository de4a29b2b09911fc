"""In panels of how many columns a weight is kept for its products, where that pays on a CPU.

A register tile reads a few columns of the right operand, row by row. Where such panels lie one
behind the other, each is one stream of memory. To write them in every call costs about as much as
a few rows of the product; for weights, which stay as they are between calls, it costs nothing, and
memory for a second copy.
"""

from __future__ import annotations

from math import ceil

from picograd.passes.schedule.register_tiles import best_tile
from picograd.targets import Target

FEW_ROWS = 8
"""Fewer rows of a left operand do not hide that each panel begins anew where rows are streams."""

MANY_ROWS = 1024
"""From so many rows on, a copy in every call costs less than two percent of the work."""

COLUMNS_OF_LEFT = range(2, 256)
"""Of so many columns of a result a transposed left operand is read slowly, or copied in each call;
for one the transposed order is as good, and for more a copy costs little beside the work."""


def panel_columns(
    rows: int, depth: int, columns: int, bits: int, target: Target, *, transposed: bool
) -> int | None:
    """The columns of a panel for products rows x depth by depth x columns; None where none pays.

    `transposed` tells that elements of a row do not lie side by side: then a copy is needed always,
    or else a register tile reads from as many streams as it has columns.
    """
    lanes = target.lanes(bits)
    if target.kind != "cpu" or 2 * columns < lanes:
        return None
    if rows < (2 if transposed else FEW_ROWS) or rows >= MANY_ROWS:
        return None
    _, width = best_tile(rows, columns, lanes, target)
    panel = ceil(width / lanes) * lanes
    return None if panel == columns and not transposed else panel


def left_pays(columns: int, target: Target) -> bool:
    """Whether a left operand that is transposed or computed is worth keeping."""
    return target.kind == "cpu" and columns in COLUMNS_OF_LEFT
