"""vectorize_loops: lanes become tiles, reductions get accumulators, the rest stays and says why."""

import numpy as np
import pytest
from xdsl.dialects.builtin import StringAttr

from picograd.check.loop_samples import argmax_gather, check_passes, linear_relu, softmax, triangle
from picograd.dialects.loop import FoldOp, ParallelOp, ReduceOp, tile_shape
from picograd.passes.loops.scalar_loops import SCALAR, scalar_hot_loops
from picograd.passes.tile_loops import TileLoops
from picograd.passes.vectorize_loops import VectorizeLoops

HOST = "cpu:vector_bits=128,vector_registers=16"


@pytest.mark.parametrize("columns", [0, 1, 3, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("size", [1, 4, 16])
def test_reductions_of_any_length(columns: int, size: int) -> None:
    check_passes(softmax(3, columns), [VectorizeLoops(reduce=f"a={size} b={size}")], seed=columns)


def test_a_reduction_keeps_a_tile_of_accumulators() -> None:
    module = check_passes(softmax(3, 40), [VectorizeLoops(reduce="a=16")])
    tiles = [tile_shape(op.outputs[0].type) for op in module.walk() if isinstance(op, ReduceOp)]
    assert (16,) in tiles
    assert sum(isinstance(op, FoldOp) for op in module.walk()) == 2


def test_bounds_that_are_not_constant_leave_a_scalar_tail() -> None:
    module = check_passes(triangle(23), [VectorizeLoops(reduce="k=8")])
    (kernel,) = [op for op in module.walk() if op.name == "loop.kernel"]
    assert scalar_hot_loops(kernel) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_two_dimensional_tiles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = (int(size) for size in rng.integers(1, 20, 3))
    sizes = f"j={rng.integers(2, 9)} i={rng.integers(2, 9)}"
    passes = [TileLoops(sizes=sizes, exact=True), VectorizeLoops(target=HOST)]
    module = check_passes(linear_relu(m, n, k), passes, seed=seed)
    assert not any(isinstance(op, ParallelOp) and op.mapping is not None for op in module.walk())


def test_vectors_run_along_what_a_sum_reads_side_by_side() -> None:
    """Results then lie across them; of operands that both lie so, the last dimension's counts."""
    text = """
loop.kernel @turned(%x: memref<9x24xf32>, %w: memref<20x9xf32>, %y: memref<24x20xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (24, 20) {
    %sum = loop.reduce add %k = 0 to 9 : f32 {
      %a = loop.load %x[%k, %i] : memref<9x24xf32>
      %b = loop.load %w[%j, %k] : memref<20x9xf32>
      %p = arith.mulf %a, %b : f32
      loop.yield %p : f32
    }
    loop.store %sum, %y[%i, %j] : f32, memref<24x20xf32>
  }
}"""
    passes = [TileLoops(sizes="i=8 j=5", exact=True), VectorizeLoops(target=HOST)]
    straight = text.replace("20x9", "9x20").replace("%w[%j, %k]", "%w[%k, %j]")
    for given, shape in ((text, (5, 8)), (straight, (8, 5))):
        module = check_passes(given, passes)
        tiles = [tile_shape(op.outputs[0].type) for op in module.walk() if isinstance(op, ReduceOp)]
        assert tiles == [shape]


def test_lanes_that_go_different_ways_stay_scalar_and_say_why() -> None:
    text = triangle(12).replace("to 12 {", "to 12 mapping lanes {", 1)
    module = check_passes(text, [VectorizeLoops(target=HOST)])
    notes = [op.attributes[SCALAR] for op in module.walk() if SCALAR in op.attributes]
    assert all(isinstance(note, StringAttr) and note.data for note in notes)
    assert len(notes) == 1


def test_comparisons_conversions_and_indices_become_tiles() -> None:
    passes = [TileLoops(sizes="j=8", exact=True), VectorizeLoops(target=HOST)]
    module = check_passes(argmax_gather(4, 21), passes)
    names = {op.name for op in module.walk()}
    assert {"loop.convert", "loop.select", "loop.index"} <= names
    assert not any(SCALAR in op.attributes for op in module.walk())


def test_carried_values_and_branches_become_tiles() -> None:
    text = """
loop.kernel @powers(%x: memref<11xf32>, %y: memref<11xf32>, %z: memref<11xf32>) {
  loop.parallel %r = 0 to 3 {
    loop.parallel %i = 0 to 11 mapping lanes {
      %v = loop.load %x[%i] : memref<11xf32>
      %one = arith.constant 1.0 : f32
      %p, %q = loop.for %k = 0 to 3 carry (%c = %one : f32, %d = %v : f32) {
        %n = arith.mulf %c, %v : f32
        %m = loop.if %k - 1 >= 0 : f32 {
          %s = arith.addf %d, %one : f32
          loop.yield %s : f32
        } else {
          loop.yield %one : f32
        }
        loop.yield %n, %m : f32, f32
      }
      loop.if 1 - %r >= 0 {
        loop.if %r - 1 >= 0 {
          loop.store %p, %y[%i] : f32, memref<11xf32>
          loop.store %q, %z[%i] : f32, memref<11xf32>
        }
      }
    }
  }
}"""
    module = check_passes(text, [VectorizeLoops(target=HOST)])
    assert not any(SCALAR in op.attributes for op in module.walk())
