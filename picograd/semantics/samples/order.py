"""Samples of scans and sorts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from picograd.dialects.dtypes import float32, float64, int32, int64
from picograd.dialects.tensor import ArgSortOp, ScanKind, ScanOp
from picograd.semantics.samples.sample import INF, NAN, Array, Sample, Shape, one, random_array

_SHAPES: tuple[tuple[Shape, int], ...] = (
    ((1,), 0),
    ((7,), 0),
    ((3, 5), 0),
    ((3, 5), 1),
    ((2, 3, 4), 1),
    ((0, 3), 1),
    ((3, 0), 1),
    ((0,), 0),
    ((65, 2), 0),
    ((33,), 0),
    ((2, 1, 3), 1),
)
"""Shapes, and the axis."""

_SUMS = (ScanKind.ADD, ScanKind.MUL)

_ROWS: Array = np.array(
    [[1.0, NAN, 2.0, NAN], [INF, 1.0, -INF, 2.0], [-INF, INF, 0.0, 1.0], [0.0, -0.0, 0.0, -0.0]],
    np.float32,
)


def scans() -> Iterator[Sample]:
    for kind in ScanKind:
        for number, (shape, axis) in enumerate(_SHAPES):
            for dtype in (float32, int32, float64, int64):
                x = random_array(shape, dtype, "scan", kind)
                if kind == ScanKind.MUL and dtype.is_float:
                    # Products of many random numbers would leave the range: keep them near 1.
                    x = (x / 16 + 1).astype(x.dtype)
                elif kind == ScanKind.MUL:
                    x = np.where(x < 0, -1, 1).astype(x.dtype) if shape[axis] > 30 else x
                exclusive = kind in _SUMS and (number + dtype.is_float) % 3 == 0
                name = f"{kind} axis {axis}" + (" exclusive" if exclusive else "")
                properties = ScanOp.properties_of(kind, axis, exclusive=exclusive)
                yield one(ScanOp, name, properties, x)
        yield one(ScanOp, f"{kind} special", ScanOp.properties_of(kind, 1), _ROWS)
        if kind in _SUMS:
            properties = ScanOp.properties_of(kind, 1, exclusive=True)
            yield one(ScanOp, f"{kind} special exclusive", properties, _ROWS)


def argsorts() -> Iterator[Sample]:
    for number, (shape, axis) in enumerate(_SHAPES):
        for dtype in (float32, int32, float64, int64):
            descending = number % 2 == 1
            x = random_array(shape, dtype, "argsort")
            if number % 3 == 0:
                x = np.rint(x).astype(x.dtype)  # many ties
            name = f"axis {axis}" + (" descending" if descending else "")
            properties = ArgSortOp.properties_of(axis, descending=descending)
            yield one(ArgSortOp, name, properties, x)
    for descending in (False, True):
        properties = ArgSortOp.properties_of(1, descending=descending)
        name = "special descending" if descending else "special"
        yield one(ArgSortOp, name, properties, _ROWS)
