"""operand_copies: what is copied, what is read by whole rows, and that both compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.math import FmaOp

from picograd.check.loop_samples import linear_relu
from picograd.dialects.loop import ForOp, ParallelOp, tile_shape
from picograd.passes.schedule.choose_staging import staged_loads
from picograd.passes.schedule.choose_tiles import ROWS_WRITTEN, block_sizes
from picograd.passes.schedule.operand_copies import FEW_ROWS, STREAMS
from picograd.targets import lookup
from tests.passes.schedule.products import check_product, lowered, operands, target_of
from tests.passes.schedule.test_choose_tiles import AVX512, by_name, kernel_of


def copied(text: str, target: str = AVX512) -> list[str | None]:
    choices = staged_loads(kernel_of(text), lookup(target))
    return [choice.load.memref.name_hint for choice in choices]


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "streamed"),
    [
        (1, 1536, 1536, True),
        (FEW_ROWS, 1536, 1536, True),
        (FEW_ROWS + 1, 1536, 1536, False),
        (16, 200, 200, False),
        (16, 2000, 100, False),
        (16, 48, 9000, False),
    ],
)
def test_few_rows_of_results_read_a_large_matrix_by_whole_rows(
    rows: int, columns: int, depth: int, streamed: bool
) -> None:
    text = linear_relu(rows, columns, depth)
    sizes = by_name(block_sizes(kernel_of(text), lookup(AVX512)))["i j"]
    if streamed:
        assert sizes["k"] == STREAMS
        assert sizes["j"] >= 700
        assert copied(text) == []
    else:
        assert sizes.get("k", depth) > STREAMS
        assert sizes.get("j", 0) <= 128


@pytest.mark.parametrize(("columns", "expected"), [(272, []), (257, ["w"]), (264, ["w"])])
def test_rows_that_begin_anywhere_in_a_line_are_copied(columns: int, expected: list[str]) -> None:
    """Else half of all vectors or more lie in two lines of the cache."""
    assert copied(linear_relu(128, columns, 100)) == expected
    assert copied(linear_relu(16, columns, 100)) == []


@pytest.mark.parametrize(
    ("batch", "rows", "expected"), [(64, 256, ["x"]), (8, 256, []), (512, 32, [])]
)
def test_a_transposed_operand_from_far_away_is_copied_for_a_single_use(
    batch: int, rows: int, expected: list[str]
) -> None:
    x, w, y = (f"memref<{batch}x{shape}xf32>" for shape in (f"256x{rows}", "256x64", f"{rows}x64"))
    text = f"""
loop.kernel @batched(%x: {x}, %w: {w}, %y: {y}) {{
  loop.parallel (%b, %i, %j) = (0, 0, 0) to ({batch}, {rows}, 64) {{
    %sum = loop.reduce add %k = 0 to 256 : f32 {{
      %u = loop.load %x[%b, %k, %i] : {x}
      %v = loop.load %w[%b, %k, %j] : {w}
      %p = arith.mulf %u, %v : f32
      loop.yield %p : f32
    }}
    loop.store %sum, %y[%b, %i, %j] : f32, {y}
  }}
}}"""
    assert copied(text) == expected


@pytest.mark.parametrize(("batch", "whole"), [(1, False), (8, True)])
def test_results_of_short_sums_are_written_as_they_lie(batch: int, whole: bool) -> None:
    """All products of a batch together may be too many for the second cache."""
    x, w, y = (f"memref<{batch}x{shape}xf32>" for shape in ("250x48", "48x333", "250x333"))
    text = f"""
loop.kernel @batched(%x: {x}, %w: {w}, %y: {y}) {{
  loop.parallel (%b, %i, %j) = (0, 0, 0) to ({batch}, 250, 333) {{
    %sum = loop.reduce add %k = 0 to 48 : f32 {{
      %u = loop.load %x[%b, %i, %k] : {x}
      %v = loop.load %w[%b, %k, %j] : {w}
      %p = arith.mulf %u, %v : f32
      loop.yield %p : f32
    }}
    loop.store %sum, %y[%b, %i, %j] : f32, {y}
  }}
}}"""
    sizes = by_name(block_sizes(kernel_of(text), lookup(AVX512)))["b i j"]
    assert (sizes["j"] >= 333) == whole
    assert (sizes["i"] <= 2 * ROWS_WRITTEN) == whole


@pytest.mark.parametrize("kind", ["NN", "TN"])
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_edge_of_what_is_read_by_rows(kind: str, lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    m, n, k = int(rng.integers(9, FEW_ROWS)), 1100 + int(rng.integers(0, 99)), 256 + lanes - 1
    a, b = operands(kind, m, n, k, rng)
    module = lowered(kind, a, b, target_of(lanes))
    loops = [op for op in module.walk() if isinstance(op, ForOp)]
    assert any(loop.dims[0].step == STREAMS for loop in loops)
    check_product(kind, a, b, module)


@pytest.mark.parametrize(("rows", "columns"), [(21, 1988), (9, 2136)])
def test_blocks_get_the_tiles_that_they_were_cut_for(rows: int, columns: int) -> None:
    """A tile chosen anew for a block alone may not divide the blocks, and nothing is vectorized."""
    a, b = np.zeros((rows, 300), np.float32), np.zeros((300, columns), np.float32)
    module = lowered("NN", a, b, AVX512)
    tiles = [tile_shape(op.results[0].type) for op in module.walk() if isinstance(op, FmaOp)]
    assert tiles
    assert (16,) in tiles
    assert sum(tile == (16,) for tile in tiles) > len(tiles) // 2


def linear(rows: int, columns: int, depth: int) -> str:
    """A product with a transposed matrix, as a layer's weights are."""
    x, w, y = f"{rows}x{depth}", f"{columns}x{depth}", f"{rows}x{columns}"
    x, w, y = (f"memref<{shape}xf32>" for shape in (x, w, y))
    return f"""
loop.kernel @linear(%x: {x}, %w: {w}, %y: {y}) {{
  loop.parallel (%i, %j) = (0, 0) to ({rows}, {columns}) {{
    %sum = loop.reduce add %k = 0 to {depth} : f32 {{
      %u = loop.load %x[%i, %k] : {x}
      %v = loop.load %w[%j, %k] : {w}
      %p = arith.mulf %u, %v : f32
      loop.yield %p : f32
    }}
    loop.store %sum, %y[%i, %j] : f32, {y}
  }}
}}"""


@pytest.mark.parametrize(("rows", "along"), [(2, True), (3, True), (4, False)])
@pytest.mark.parametrize("depth", [784, 1001])
def test_a_transposed_matrix_that_is_hardly_used_is_summed_along_memory(
    rows: int, along: bool, depth: int
) -> None:
    """Such sums are not cut: pieces that end early would be added up number by number."""
    text = linear(rows, 2000, depth)
    sizes = by_name(block_sizes(kernel_of(text), lookup(AVX512)))["i j"]
    assert ("k" in sizes) is not along
    assert not along or sizes["j"] * depth * 4 <= 49152
    assert copied(text) == ([] if along else ["w"])


@pytest.mark.parametrize(("rows", "columns", "wide"), [(4, 3000, 48), (6, 3000, 48), (4, 300, 80)])
def test_few_rows_of_results_turn_round_few_rows_of_a_large_matrix_side_by_side(
    rows: int, columns: int, wide: int
) -> None:
    text = linear(rows, columns, 768)
    assert by_name(block_sizes(kernel_of(text), lookup(AVX512)))["i j"]["j"] == wide


@pytest.mark.parametrize(("rows", "lanes"), [(2, 16), (3, 8), (3, 4)])
def test_sums_along_memory_of_any_length(rows: int, lanes: int) -> None:
    rng = np.random.default_rng(rows * lanes)
    columns, depth = (int(size) for size in rng.integers(50, 300, 2))
    a, b = operands("NT", rows, columns, depth, rng)
    module = lowered("NT", a, b, target_of(lanes))
    scalar = [op for op in module.walk() if isinstance(op, ForOp) and "scalar" in op.attributes]
    assert not scalar
    check_product("NT", a, b, module, (1,))


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "by_rows"),
    [
        (4096, 1536, 20, True),
        (2000, 1000, 3, True),
        (4096, 1536, 200, False),
        (100, 100, 20, False),
        (40000, 64, 20, False),
    ],
)
def test_large_results_of_short_sums_are_written_by_whole_rows(
    rows: int, columns: int, depth: int, by_rows: bool
) -> None:
    sizes = by_name(block_sizes(kernel_of(linear(rows, columns, depth)), lookup(AVX512)))["i j"]
    if by_rows:
        assert sizes["i"] <= 32
        assert sizes["j"] >= columns
    else:
        assert sizes["i"] > 32
        assert sizes["j"] <= 128


@pytest.mark.parametrize("kind", ["NN", "NT", "TN"])
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_edge_of_what_is_written_by_rows(kind: str, lanes: int) -> None:
    rng = np.random.default_rng(3 * lanes)
    m, n, k = 96 + int(rng.integers(0, 30)), 256 + int(rng.integers(0, 36)), 7
    a, b = operands(kind, m, n, k, rng)
    module = lowered(kind, a, b, target_of(lanes))
    loops = [op for op in module.walk() if isinstance(op, ParallelOp)]
    assert any(dim.name == "i0" and dim.step < 48 for loop in loops for dim in loop.dims)
    check_product(kind, a, b, module, (2,))
