"""The table of functions: every public function, what it computes in NumPy, and samples of it.

table        what a row holds
cases        ready-made inputs: the shapes, views and values on which most functions go wrong

A family of functions is a file with `FUNCTIONS`; the tests in tests/check/functions run all rows on
every device, and docs/functions.md is made from them.
"""

from __future__ import annotations

from picograd.check.functions import (
    activations,
    attention,
    binary,
    convolution,
    creation,
    dtypes,
    elementary,
    elementwise,
    indexing,
    joining,
    losses,
    moving,
    normalization,
    order,
    picking,
    pooling,
    products,
    reductions,
    shapes,
    statistics,
    transforms,
    writing,
)
from picograd.check.functions.in_place import rows_in_place
from picograd.check.functions.table import Function

_FAMILIES: dict[str, tuple[Function, ...]] = {
    "Element by element": elementwise.FUNCTIONS,
    "Two operands": binary.FUNCTIONS,
    "Logarithms, rounding, bits": elementary.FUNCTIONS,
    "Reductions": reductions.FUNCTIONS,
    "Scans and sorts": order.FUNCTIONS,
    "Statistics and other forms": statistics.FUNCTIONS,
    "Shapes and views": shapes.FUNCTIONS,
    "Elements in other places": moving.FUNCTIONS,
    "Joins, choices, products": joining.FUNCTIONS,
    "Indexing": indexing.FUNCTIONS,
    "Picking by index": picking.FUNCTIONS,
    "Writing by index": writing.FUNCTIONS,
    "Products of matrices, norms": products.FUNCTIONS,
    "Creation and conversion": creation.FUNCTIONS,
    "Element types": dtypes.FUNCTIONS,
    "Activations": activations.FUNCTIONS,
    "Losses": losses.FUNCTIONS,
    "Normalization, distances, embedding": normalization.FUNCTIONS,
    "Attention": attention.FUNCTIONS,
    "Convolutions": convolution.FUNCTIONS,
    "Transformations": transforms.FUNCTIONS,
    "Pools and padding": pooling.FUNCTIONS,
}

FAMILIES: dict[str, tuple[Function, ...]] = {
    **_FAMILIES,
    "In place": rows_in_place(row for rows in _FAMILIES.values() for row in rows),
}
"""The rows by the title of their family, in the order of the page."""

FUNCTIONS: tuple[Function, ...] = tuple(row for rows in FAMILIES.values() for row in rows)
