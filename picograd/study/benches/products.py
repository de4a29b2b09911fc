"""A linear layer with ReLU as text at tensor level, its operands, and how wrong a result may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from picograd.backends.runtime import Array


def linear_text(rows: int, columns: int, depth: int) -> str:
    """relu(x @ w + b) at tensor level."""
    m, n, k = rows, columns, depth
    return f"""
func.func @main(%x: tensor<{m}x{k}xf32>, %w: tensor<{k}x{n}xf32>, %b: tensor<{n}xf32>)
    -> tensor<{m}x{n}xf32> {{
  %zero = pico.constant dense<0.0> : tensor<{m}x{n}xf32>
  %product = pico.matmul %x, %w : tensor<{m}x{k}xf32>, tensor<{k}x{n}xf32> -> tensor<{m}x{n}xf32>
  %bias = pico.broadcast %b to [{m}, {n}] : tensor<{n}xf32> -> tensor<{m}x{n}xf32>
  %sum = pico.binary add %product, %bias : tensor<{m}x{n}xf32>
  %y = pico.binary maximum %sum, %zero : tensor<{m}x{n}xf32>
  func.return %y : tensor<{m}x{n}xf32>
}}"""


def linear_operands(rows: int, columns: int, depth: int, seed: int = 0) -> list[Array]:
    """Normal random x, w and b."""
    rng = np.random.default_rng(seed)
    shapes = [(rows, depth), (depth, columns), (columns,)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def share_of_budget(arrays: Sequence[Array], found: Array) -> float:
    """The largest error over (K + 2) * 2**-24 * (|x| |w| + |b|), the bound of any order of sums."""
    x, w, b = (array.astype(np.float64) for array in arrays)
    budget = (len(w) + 2) * 2.0**-24 * (np.abs(x) @ np.abs(w) + np.abs(b))
    return float((np.abs(found - np.maximum(x @ w + b, 0)) / budget).max())
