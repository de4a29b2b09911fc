"""round_up_loops: last blocks run past the end, and touch nothing there."""

import numpy as np
import pytest

from picograd.check.loop_samples import check_passes
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import loop, new_context
from picograd.passes.round_up_loops import RoundUpLoops
from picograd.passes.tile_loops import TileLoops
from picograd.semantics.loop import run_kernel


def matmul(m: int, n: int, k: int) -> str:
    return f"""
loop.kernel @matmul(%x: memref<{m}x{k}xf32>, %w: memref<{k}x{n}xf32>, %y: memref<{m}x{n}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({m}, {n}) {{
    %s = loop.reduce add %k = 0 to {k} : f32 {{
      %a = loop.load %x[%i, %k] : memref<{m}x{k}xf32>
      %b = loop.load %w[%k, %j] : memref<{k}x{n}xf32>
      %p = arith.mulf %a, %b : f32
      loop.yield %p : f32
    }}
    loop.store %s, %y[%i, %j] : f32, memref<{m}x{n}xf32>
  }}
}}"""


def prepared(text: str, sizes: str) -> tuple[loop.KernelOp, str]:
    module = parse_module(text)
    TileLoops(sizes=sizes).apply(new_context(), module)
    RoundUpLoops().apply(new_context(), module)
    module.verify()
    assert str(parse_module(str(module))) == str(module)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    return kernel, str(module)


@pytest.mark.parametrize("shape", [(1, 1, 1), (20, 33, 7), (16, 17, 40), (5, 64, 9), (3, 4, 0)])
def test_the_meaning_is_kept(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, n, k = shape
    kernel, _ = prepared(matmul(m, n, k), "i=8 j=16 k=4")
    x = rng.standard_normal((m, k)).astype(np.float32)
    w = rng.standard_normal((k, n)).astype(np.float32)
    y = np.full((m, n), np.nan, np.float32)
    run_kernel(kernel, [x, w, y])
    budget = (k + 1) * 2**-24 * (np.abs(x).astype(np.float64) @ np.abs(w))
    assert (np.abs(y - x.astype(np.float64) @ w) <= budget).all()


def test_loops_that_fit_and_reductions_stay_as_they_are() -> None:
    _, fitting = prepared(matmul(16, 32, 8), "i=8 j=16 k=4")
    assert "pad" not in fitting
    assert "clip" not in fitting
    _, ragged = prepared(matmul(20, 32, 10), "i=8 j=16 k=4")
    assert ragged.count(" pad") == 1
    assert ragged.count(" clip") == 1
    assert "min(%k0 + 4, 10)" in ragged


def test_a_body_that_fills_a_local_buffer_is_left_alone() -> None:
    text = """
loop.kernel @k(%x: memref<20xf32>, %y: memref<20xf32>) {
  %b = loop.alloc : memref<20xf32, "stack">
  loop.parallel %i = 0 to 20 {
    %v = loop.load %x[%i] : memref<20xf32>
    loop.store %v, %b[%i] : f32, memref<20xf32, "stack">
    loop.store %v, %y[%i] : f32, memref<20xf32>
  }
}"""
    _, after = prepared(text, "i=8")
    assert "min(%i0 + 8, 20)" in after


def test_indices_from_data_are_left_alone() -> None:
    text = """
loop.kernel @k(%n: memref<20xi32>, %x: memref<9xf32>, %y: memref<20xf32>) {
  loop.parallel %i = 0 to 20 {
    %v = loop.load %n[%i] : memref<20xi32>
    %at = loop.checked_index %v : i32 below 9
    %e = loop.load %x[%at] : memref<9xf32>
    loop.store %e, %y[%i] : f32, memref<20xf32>
  }
}"""
    _, after = prepared(text, "i=8")
    assert "min(%i0 + 8, 20)" in after


def test_blocks_do_not_grow_into_their_neighbours() -> None:
    """A block of 3 within a block of 2: beyond its end lies what another iteration writes."""
    text = """
loop.kernel @double(%x: memref<5xf32>) {
  loop.parallel %i = 0 to 5 {
    %v = loop.load %x[%i] : memref<5xf32>
    %w = arith.addf %v, %v : f32
    loop.store %w, %x[%i] : f32, memref<5xf32>
  }
}"""
    _, after = prepared(text, "i=2")
    assert "min" not in after
    check_passes(text, [TileLoops(sizes="i=2"), TileLoops(sizes="i=3"), RoundUpLoops()])


def test_a_loop_over_a_part_of_memory_does_not_grow_beyond_it() -> None:
    text = """
loop.kernel @part(%x: memref<9xf32>, %y: memref<9xf32>) {
  loop.parallel %i = 0 to 5 {
    %v = loop.load %x[%i] : memref<9xf32>
    loop.store %v, %y[%i] : f32, memref<9xf32>
  }
  loop.parallel %j = 5 to 9 {
    %v = loop.load %x[9 - %j] : memref<9xf32>
    loop.store %v, %y[%j] : f32, memref<9xf32>
  }
}"""
    _, after = prepared(text, "i=4")
    assert "min(%i0 + 4, 5)" in after
    check_passes(text, [TileLoops(sizes="i=4 j=3"), RoundUpLoops()])
