"""left_blocks: which left operands are copied block by block, and that the products stay right."""

from __future__ import annotations

import numpy as np
import pytest

import picograd
from picograd.check.loop_samples import linear_relu
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import AllocOp
from picograd.passes.schedule import left_blocks
from picograd.passes.schedule.choose_tiles import block_sizes
from picograd.targets import lookup
from tests.passes.schedule.products import check_product, lowered, operands, target_of
from tests.passes.schedule.test_choose_tiles import AVX512, by_name, kernel_of


def product_of_columns(rows: int, columns: int, depth: int) -> str:
    """x.T @ w: each step of the sum reads a row of both."""
    return f"""
loop.kernel @columns(%x: memref<{depth}x{rows}xf32>, %w: memref<{depth}x{columns}xf32>,
                     %y: memref<{rows}x{columns}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({rows}, {columns}) {{
    %sum = loop.reduce add %k = 0 to {depth} : f32 {{
      %xv = loop.load %x[%k, %i] : memref<{depth}x{rows}xf32>
      %wv = loop.load %w[%k, %j] : memref<{depth}x{columns}xf32>
      %p = arith.mulf %xv, %wv : f32
      loop.yield %p : f32
    }}
    loop.store %sum, %y[%i, %j] : f32, memref<{rows}x{columns}xf32>
  }}
}}"""


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "in_blocks"),
    [
        (1536, 384, 2048, True),
        (384, 384, 2048, True),
        (2048, 2048, 2048, False),
        (512, 784, 128, False),
        (1536, 64, 64, False),
    ],
)
def test_a_copy_that_is_tall_but_serves_few_columns_stays_in_the_second_cache(
    rows: int, columns: int, depth: int, in_blocks: bool
) -> None:
    target = lookup(f"{AVX512},cores=1")
    sizes = by_name(block_sizes(kernel_of(product_of_columns(rows, columns, depth)), target))["i j"]
    size = 4 * sizes.get("i", rows) * sizes.get("k", depth)
    if in_blocks:
        assert target.l2_bytes // 4 < size <= 3 * target.l2_bytes // 8
    else:
        assert sizes.get("i", rows) == rows or size > target.l2_bytes


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_products_in_blocks_of_the_left_operand(
    lanes: int, more: int, rng: np.random.Generator
) -> None:
    a, b = operands("TN", 768 + more, 64 + more, 96 + more, rng)
    module = lowered("TN", a, b, target_of(lanes))
    copies = [op for op in module.walk() if isinstance(op, AllocOp)]
    assert any("packed" in str(op) for op in copies)
    check_product("TN", a, b, module)


def beside_tiles(rows: int, columns: int, depth: int) -> str:
    """relu(x @ w + b), multiplied by an array of its shape."""
    shape = f"memref<{rows}x{columns}xf32>"
    return (
        linear_relu(rows, columns, depth)
        .replace("%y: memref", f"%z: {shape}, %y: memref")
        .replace("    loop.store %r", f"    %zv = loop.load %z[%i, %j] : {shape}\n"
                 "    %rz = arith.mulf %r, %zv : f32\n    loop.store %rz")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "lower"),
    [(2048, 1536, 384, True), (256, 1536, 384, False), (2048, 1536, 1536, False)],
)
def test_rows_are_few_where_sums_meet_large_arrays(
    rows: int, columns: int, depth: int, lower: bool
) -> None:
    target = lookup(AVX512.replace("l2_bytes=1048576", "l2_bytes=2097152"))

    def height(text: str) -> int:
        return by_name(block_sizes(kernel_of(text), target))["i j"].get("i", rows)

    alone, beside = (
        height(text)
        for text in (linear_relu(rows, columns, depth), beside_tiles(rows, columns, depth))
    )
    assert (left_blocks.FEWEST_ROWS <= beside < alone // 2) if lower else beside == alone


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_products_beside_large_arrays(
    lanes: int, more: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_blocks, "FEWEST_ROWS", 8)
    x, w = operands("NN", 120 + more, 96 + more, 24 + more, rng)
    z = rng.standard_normal((120 + more, 96 + more)).astype(np.float32)
    tensors = [picograd.tensor(array) for array in (x, w, z)]
    compiled = picograd.compile(
        lambda x, w, z: (x @ w) * z, passes=pipeline("cpu").aimed_at(target_of(lanes))
    )
    found = compiled(*tensors).numpy()
    wanted = (x.astype(np.float64) @ w) * z
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-4)
    assert "%i0" in compiled.ir("loop")
