"""Samples of reductions and matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from picograd.dialects.dtypes import bool_, float32, float64, int32, int64
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceKindAttr,
    ArgReduceOp,
    MatmulOp,
    ReduceKind,
    ReduceKindAttr,
    ReduceOp,
    int_array,
    int_attr,
)
from picograd.semantics.samples.sample import INF, NAN, Array, Sample, Shape, one, random_array


def _reduce_inputs(kind: ReduceKind) -> Iterator[tuple[Array, Shape]]:
    logical = kind in (ReduceKind.AND, ReduceKind.OR)
    dtypes = (bool_, int32, int64) if logical else (float32, float64, int32, int64)
    cases: list[tuple[Shape, Shape]] = [((), ()), ((1,), (0,)), ((7,), (0,)), ((3, 5), ())]
    cases += [((3, 5), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1)), ((2, 3, 5), (0, 2))]
    cases += [((3, 0), (0,)), ((257,), (0,)), ((2, 65), (1,)), ((2, 3, 4, 5), (1, 3))]
    if kind not in (ReduceKind.MAX, ReduceKind.MIN):
        cases += [((0,), (0,)), ((3, 0), (1,))]
    for dtype in dtypes:
        for shape, axes in cases:
            x = random_array(shape, dtype, "reduce", kind)
            if kind == ReduceKind.MUL and dtype.is_float:
                # Products of many random numbers would leave the range: keep them near 1.
                x = (x / 16 + 1).astype(x.dtype)
            yield x, axes


def reduces() -> Iterator[Sample]:
    for kind in ReduceKind:
        for x, axes in _reduce_inputs(kind):
            properties = {"kind": ReduceKindAttr(kind), "axes": int_array(axes)}
            yield one(ReduceOp, f"{kind} axes {list(axes)}", properties, x)
        if kind in (ReduceKind.AND, ReduceKind.OR):
            continue
        properties = {"kind": ReduceKindAttr(kind), "axes": int_array((1,))}
        rows = [[1.0, NAN, 2.0], [INF, 1.0, 2.0], [-INF, INF, 0.0], [-0.0, -0.0, -0.0]]
        yield one(ReduceOp, f"{kind} special", properties, np.array(rows, np.float32))


def argreduces() -> Iterator[Sample]:
    cases: list[tuple[Shape, int]] = [((1,), 0), ((7,), 0), ((3, 5), 0), ((3, 5), 1)]
    cases += [((2, 3, 4), 1), ((0, 3), 1), ((65, 2), 0), ((257,), 0)]
    for kind in ArgReduceKind:
        for shape, axis in cases:
            for dtype in (float32, float64, int32, int64):
                properties = {"kind": ArgReduceKindAttr(kind), "axis": int_attr(axis)}
                yield one(
                    ArgReduceOp,
                    f"{kind} axis {axis}",
                    properties,
                    np.rint(random_array(shape, dtype, "argreduce")).astype(dtype.numpy),
                )
        properties = {"kind": ArgReduceKindAttr(kind), "axis": int_attr(1)}
        rows = [[1.0, NAN, NAN], [INF, 1.0, INF], [-INF, -INF, 0.0], [0.0, -0.0, 0.0]]
        yield one(ArgReduceOp, f"{kind} special", properties, np.array(rows, np.float32))


def matmuls() -> Iterator[Sample]:
    sizes: list[tuple[Shape, Shape]] = [((1, 1), (1, 1)), ((3, 5), (5, 7)), ((1, 9), (9, 1))]
    sizes += [((4, 0), (0, 3)), ((0, 4), (4, 3)), ((2, 3, 4), (2, 4, 5)), ((33, 65), (65, 17))]
    sizes += [((2, 1, 3, 5), (2, 1, 5, 2)), ((64, 64), (64, 64)), ((0, 2, 3), (0, 3, 2))]
    for left, right in sizes:
        dtypes = (float32, float64, int32, int64) if left == (3, 5) else (float32,)
        for dtype in dtypes:
            yield one(
                MatmulOp,
                "",
                {},
                random_array(left, dtype, "left"),
                random_array(right, dtype, "right"),
            )
    special = np.array([[1.0, NAN], [INF, 1.0], [0.0, 0.0]], np.float32)
    other = np.array([[1.0, 0.0, -1.0], [2.0, 3.0, INF]], np.float32)
    yield one(MatmulOp, "special", {}, special, other)
