"""Samples of the ops that slide windows: windows, convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from picograd.dialects.dtypes import bool_, float32, float64, int32, int64
from picograd.dialects.tensor import ConvolutionOp, WindowsOp
from picograd.semantics.samples.sample import INF, NAN, Sample, Shape, one, random_array


def windows() -> Iterator[Sample]:
    cases: list[tuple[Shape, int, tuple[int, int, int]]] = [
        ((1,), 0, (1, 1, 1)),
        ((7,), 0, (3, 1, 1)),
        ((7,), 0, (3, 2, 2)),
        ((7,), 0, (7, 3, 1)),
        ((9, 2), 0, (2, 3, 1)),
        ((3, 5), 1, (2, 2, 3)),
        ((0, 5), 1, (2, 1, 1)),
        ((2, 6, 3), 1, (1, 4, 5)),
        ((2, 3, 8), 2, (3, 3, 2)),
    ]
    for number, (shape, axis, (size, stride, dilation)) in enumerate(cases):
        properties = WindowsOp.properties_of(axis, size, stride, dilation)
        name = f"axis {axis} size {size} stride {stride} dilation {dilation}"
        other = (float32, float64, int32, int64, bool_)[number % 5]
        for dtype in dict.fromkeys((float32, other)):
            yield one(WindowsOp, name, properties, random_array(shape, dtype, "windows"))


Spatial: TypeAlias = tuple[int, ...]

_CONVOLUTIONS: tuple[tuple[Shape, Shape, Spatial, Spatial, Spatial, Spatial, int], ...] = (
    ((1, 1, 1), (1, 1, 1), (1,), (0,), (0,), (1,), 1),
    ((2, 3, 9), (4, 3, 3), (1,), (1,), (1,), (1,), 1),
    ((2, 3, 10), (4, 3, 3), (3,), (0,), (2,), (2,), 1),
    ((2, 3, 7, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ((1, 2, 8, 9), (5, 2, 3, 2), (2, 3), (0, 2), (1, 0), (2, 1), 1),
    ((2, 6, 5, 6), (4, 3, 2, 3), (1, 2), (1, 0), (0, 1), (1, 1), 2),
    ((1, 6, 6, 6), (6, 1, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 6),
    ((2, 5, 4, 4), (3, 5, 1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((1, 2, 3, 3), (2, 2, 1, 1), (1, 1), (2, 0), (0, 3), (1, 1), 1),
    ((1, 2, 4, 5, 3), (3, 2, 2, 2, 2), (1, 2, 1), (0, 1, 0), (1, 0, 0), (1, 1, 2), 1),
    ((0, 2, 4), (3, 2, 2), (1,), (0,), (0,), (1,), 1),
    ((2, 0, 4), (3, 0, 2), (1,), (0,), (0,), (1,), 1),
    ((3, 16, 17, 19), (33, 16, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
)
"""Shapes of input and kernel, strides, low and high padding, dilations, groups."""


def convolutions() -> Iterator[Sample]:
    for number, (data, kernel, strides, low, high, dilations, groups) in enumerate(_CONVOLUTIONS):
        properties = ConvolutionOp.properties_of(strides, low, high, dilations, groups)
        name = f"strides {list(strides)} low {list(low)} high {list(high)} groups {groups}"
        other = (float32, float64, int32, int64)[number % 4]
        for dtype in dict.fromkeys((float32, other)):
            x, w = random_array(data, dtype, "x"), random_array(kernel, dtype, "w")
            yield one(ConvolutionOp, name, properties, x, w)
    properties = ConvolutionOp.properties_of((1,), (1,), (0,), (1,), 1)
    x = np.array([[[1.0, NAN, 2.0, INF, 3.0, -INF, 0.0]]], np.float32)
    w = np.array([[[1.0, 2.0]], [[0.0, -1.0]]], np.float32)
    yield one(ConvolutionOp, "special input", properties, x, w)
    kernel = np.array([[[INF, 1.0]], [[1.0, NAN]]], np.float32)
    yield one(ConvolutionOp, "special kernel", properties, x[..., [0, 2, 4, 6]], kernel)
