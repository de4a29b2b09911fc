"""Windows and convolutions of NumPy arrays: what `pico.windows` and `pico.convolution` mean."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from picograd.dialects.tensor import ConvolutionOp, int_value, ints, window_span
from picograd.semantics.matrix_products import product

Array: TypeAlias = NDArray[Any]


def windows(x: Array, axis: int, size: int, stride: int, dilation: int) -> Array:
    """x with `axis` as two axes: which window, and which of its `size` elements."""
    spans = sliding_window_view(x, window_span(size, dilation), axis)
    chosen = (slice(None),) * axis + (slice(None, None, stride),)
    return np.moveaxis(spans[chosen][..., ::dilation], -1, axis + 1)


def convolve(op: ConvolutionOp, x: Array, w: Array, padding: float = 0) -> Array:
    """What `op` makes of x and w, with `padding` around x: a matrix product for each group."""
    groups, outputs, spatial = int_value(op.groups), w.shape[0], x.ndim - 2
    margins = [(0, 0), (0, 0), *zip(ints(op.low), ints(op.high), strict=True)]
    x = np.pad(x, margins, constant_values=x.dtype.type(padding))
    for axis in range(spatial):
        size, stride, dilation = w.shape[2 + axis], ints(op.strides)[axis], ints(op.dilations)[axis]
        # The axes of windows stay in front; each window's own axis goes to the end.
        x = np.moveaxis(windows(x, 2 + axis, size, stride, dilation), 3 + axis, -1)
    batch, channels, *rest = x.shape
    sizes, per_group = rest[:spatial], channels // groups
    x = x.reshape(batch, groups, per_group, *rest)
    x = np.moveaxis(x, 2, 2 + spatial)  # [N, G, *out, C/G, *K]
    inner = per_group * prod(w.shape[2:])
    patches = np.moveaxis(x, 1, 0).reshape(groups, batch * prod(sizes), inner)
    weights = w.reshape(groups, outputs // groups, inner)
    result = product(patches, np.swapaxes(weights, 1, 2))  # [G, N * out, O/G]
    result = np.moveaxis(result, 1, 2).reshape(outputs, batch, *sizes)
    return np.moveaxis(result, 0, 1)
