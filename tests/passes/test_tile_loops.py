"""tile_loops: every tiling covers each iteration once, exact tiles are constant, errors clear."""

import numpy as np
import pytest

from picograd.check.loop_samples import check_passes, linear_relu, softmax, triangle
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.loop import ParallelOp
from picograd.errors import OptionError, PassError
from picograd.passes.tile_loops import TileLoops


def test_random_sizes_keep_the_meaning() -> None:
    rng = np.random.default_rng(3)
    for seed in range(12):
        m, n, k = (int(size) for size in rng.integers(2, 30, 3))
        rows, columns = (int(size) for size in rng.integers(1, 9, 2))
        factor = int(rng.integers(2, 4))
        check_passes(
            linear_relu(m, n, k),
            [
                TileLoops(sizes=f"j={columns * factor} i={rows * factor} k={rng.integers(1, 9)}"),
                TileLoops(sizes=f"j={columns} i={rows}", exact=True),
            ],
            seed=seed,
        )


@pytest.mark.parametrize("extent", [0, 1, 7, 8, 9, 16, 17])
def test_exact_tiles_have_constant_extents(extent: int) -> None:
    text = softmax(2, extent)
    module = check_passes(text, [TileLoops(sizes="j=8", exact=True)])
    lanes = [op for op in module.walk() if isinstance(op, ParallelOp) and op.mapping is not None]
    assert sorted(dim.extent or 0 for op in lanes for dim in op.dims) == sorted(
        size for size in ([8] * (extent >= 8) + [extent % 8]) if size > 1
    )
    assert all(dim.is_constant for op in lanes for dim in op.dims)


@pytest.mark.parametrize("size", [1, 3, 5, 40])
def test_bounds_that_depend_on_outer_loops(size: int) -> None:
    text = triangle(17)
    check_passes(text, [TileLoops(sizes=f"k={size} i={size}")])
    # The loop over l has two upper bounds, one of them not constant: exact tiles would not fit it.
    check_passes(text, [TileLoops(sizes=f"j={size}", exact=True)])


def test_tiles_that_blocks_do_not_hold_are_an_error() -> None:
    module = parse_module(linear_relu(32, 32, 8))
    TileLoops(sizes="j=10").apply(new_context(), module)
    with pytest.raises(PassError, match="no exact tiles of 4"):
        TileLoops(sizes="j=4", exact=True).apply(new_context(), module)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("q=4", "names a loop that is not there"),
        ("j=0", "cannot be read"),
        ("j", "cannot be read"),
        ("j=4 j=8", "cannot be read"),
    ],
)
def test_options_that_make_no_sense(sizes: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TileLoops(sizes=sizes).apply(new_context(), parse_module(linear_relu(4, 4, 4)))


def test_names_and_mappings_survive() -> None:
    text = linear_relu(20, 20, 4).replace("to (20, 20) {", "to (20, 20) mapping threads {")
    module = check_passes(text, [TileLoops(sizes="i=8")])
    inner = [op for op in module.walk() if isinstance(op, ParallelOp)][-1]
    assert [dim.name for dim in inner.dims] == ["i", "j"]
    assert inner.mapping is not None and inner.mapping.data == "threads"


def test_dimensions_that_are_not_tiled_keep_their_steps() -> None:
    # A loop over chunks that stands beside a tiled dimension: with a step of 1 its chunks overlap.
    text = """
loop.kernel @chunks(%x: memref<7x5x3xf32>, %y: memref<7x5x3xf32>) {
  loop.parallel (%i, %j_chunk, %k) = (0, 0, 0) to (7, 5, 3) step (1, 2, 1) {
    loop.parallel %j = %j_chunk to min(%j_chunk + 2, 5) {
      %v = loop.load %x[%i, %j, %k] : memref<7x5x3xf32>
      loop.store %v, %y[%i, %j, %k] : f32, memref<7x5x3xf32>
    }
  }
}"""
    for sizes in ("i=2", "i=3 k=2", "k=3"):
        module = check_passes(text, [TileLoops(sizes=sizes, exact=True)])
        loops = [op for op in module.walk() if isinstance(op, ParallelOp)]
        steps = [dim.step for op in loops for dim in op.dims if dim.name == "j_chunk"]
        assert steps and set(steps) == {2}
