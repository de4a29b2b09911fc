"""prefetch_rows: what is fetched ahead, how far, into which cache, and what is left alone."""

import re
from collections.abc import Callable

import numpy as np
import pytest

import picograd as pg
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.passes.prefetch_rows import PrefetchRows
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.semantics.evaluate import evaluate
from tests.passes.done_once import done_once

TARGET = "cpu:l1_bytes=49152,l2_bytes=1048576"


def kernel_text(rows: int, columns: int, second: str = "", rest: str = "") -> str:
    """A kernel whose loop over rows holds two loops over a row, and maybe more."""
    x = f"memref<{rows}x{columns}xf32>"
    whole = columns // 16 * 16
    return f"""
loop.kernel @k(%x: {x}, %y: {x}) {{
  %zero = arith.constant 0.0 : f32
  %start = loop.broadcast %zero along [0] : f32 to vector<16xf32>
  loop.parallel %i = 0 to {rows} {{
    %sums = loop.for %j = 0 to {whole} step 16 carry (%s = %start : vector<16xf32>) {{
      %v = loop.load %x[%i, %j + t0] : {x} to vector<16xf32>
      %t = arith.addf %s, %v : vector<16xf32>
      loop.yield %t : vector<16xf32>
    }}
    %sum = loop.fold add %sums : vector<16xf32> to f32
    %all = loop.broadcast %sum along [0] : f32 to vector<16xf32>
    loop.parallel %k = 0 to {whole} step 16 {{
      {second}
      %w = loop.load %x[%i, %k + t0] : {x} to vector<16xf32>
      %p = arith.mulf %w, %all : vector<16xf32>
      %q = arith.addf %p, %all : vector<16xf32>
      loop.store %q, %y[%i, %k + t0] : vector<16xf32>, {x}
    }}
    {rest}
  }}
}}
func.func @main(%x: {x}, %y: {x} {{buffer.output}}) {{
  loop.launch @k(%x, %y) : {x}, {x}
  func.return
}}"""


def noted(text: str, target: str = TARGET) -> list[str]:
    """The lines with notes after the pass."""
    after = str(done_once(text, PrefetchRows(target=target)))
    return [line.strip() for line in after.splitlines() if "fetch_l" in line]


def test_the_loop_that_computes_most_fetches_what_is_read() -> None:
    (load,) = noted(kernel_text(1000, 512))
    assert load.startswith("%w = loop.load %x[%i, %k + t0] {fetch_l1 = 512 : i64}")


def test_what_was_written_before_it_is_read_is_not_fetched() -> None:
    x = "memref<1000x512xf32>"
    again = f"%u = loop.load %y[%i, t0] : {x} to vector<16xf32>"
    (load,) = noted(kernel_text(1000, 512, rest=again))
    assert "%x[" in load


def test_the_rest_of_a_row_is_fetched_too() -> None:
    x = "memref<1000x516xf32>"
    rest = f"""
      %r = loop.load %x[%i, t0 + 512] : {x} to vector<4xf32>
      loop.store %r, %y[%i, t0 + 512] : vector<4xf32>, {x}"""
    lines = noted(kernel_text(1000, 516, rest=rest))
    assert len(lines) == 2
    assert all("fetch_l1 = 516" in line for line in lines)


def test_the_sizes_of_caches_decide() -> None:
    text = kernel_text(1000, 512)
    assert "fetch_l1 = 512" in noted(text, "cpu:l1_bytes=8192,l2_bytes=1048576")[0]
    assert "fetch_l2 = 512" in noted(text, "cpu:l1_bytes=8191,l2_bytes=1048576")[0]
    two_rows = 2 * 512 * 4
    assert len(noted(text, f"cpu:l2_bytes={two_rows}")) == 1
    assert noted(text, f"cpu:l2_bytes={two_rows - 1}") == []
    whole = 1000 * 512 * 4
    assert len(noted(text, f"cpu:l2_bytes={whole - 1}")) == 1
    assert noted(text, f"cpu:l2_bytes={whole}") == []
    assert noted(text, "gpu") == []


def test_one_loop_or_deeper_loops_are_left_to_the_hardware() -> None:
    x = "memref<1000x512xf32>"
    one = re.sub(r"%sums = .*?%all =", "%all =", kernel_text(1000, 512), flags=re.DOTALL)
    assert noted(one.replace("%sum along", "%zero along")) == []
    deeper = f"""
      loop.parallel %l = 0 to 1 {{
        %u = loop.load %x[%i, %l] : {x}
        loop.store %u, %y[%i, %l] : f32, {x}
      }}"""
    assert noted(kernel_text(1000, 512, second=deeper)) == []


def test_the_rows_of_a_column_are_no_rows() -> None:
    """Where tiles of one row would be fetched again for the next, nothing is new there."""
    text = kernel_text(1000, 512).replace("%x[%i, ", "%x[0, ").replace("%y[%i, ", "%y[0, ")
    assert noted(text) == []


@pytest.mark.parametrize("columns", [16, 48, 512])
def test_the_meaning_stays(columns: int, rng: np.random.Generator) -> None:
    text = kernel_text(12, columns)
    x = rng.normal(size=(12, columns)).astype(np.float32)
    (before,) = evaluate(parse_module(text), [x])
    module = parse_module(text)
    PrefetchRows(target="cpu:l2_bytes=8192").apply(new_context(), module)
    assert ("fetch_l" in str(module)) == (columns == 512)
    (after,) = evaluate(module, [x])
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_one_fetch_for_each_line_of_the_cache(bits: int, rng: np.random.Generator) -> None:
    """However narrow the vectors. The last row fetches beyond the buffer, which is no access."""
    steps = [PrefetchRows(target=TARGET), UnrollTiles(target=f"cpu:vector_bits={bits}")]
    executable = compile_module(parse_module(kernel_text(1000, 512)), "cpu", passes=steps)
    assert executable.program.texts["ll"].count("call void @llvm.prefetch") == 1
    x = rng.normal(size=(1000, 512)).astype(np.float32)
    (result,) = executable.run([executable.device.upload(x)])
    sums = x.astype(np.float64).sum(1, keepdims=True)
    found = executable.device.download(result)
    np.testing.assert_allclose(found, x * sums + sums, rtol=1e-3, atol=1e-3)


def test_checked_code_does_not_look_beyond_a_buffer() -> None:
    steps = [PrefetchRows(target=TARGET), UnrollTiles(target="cpu:vector_bits=512")]
    module = parse_module(kernel_text(1000, 512))
    executable = compile_module(module, "cpu", passes=steps, sanitize=True)
    assert "llvm.prefetch" not in executable.program.texts["ll"]


FUNCTIONS: dict[str, tuple[Callable[..., pg.Tensor], int]] = {
    "softmax": (lambda x: pg.softmax(x, -1), 1),
    "log_softmax": (lambda x: pg.nn.functional.log_softmax(x, -1), 1),
    "layer_norm": (lambda x: pg.nn.functional.layer_norm(x, (x.shape[-1],)), 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rows_are_one_kernel_that_fetches_ahead(name: str) -> None:
    function, launches = FUNCTIONS[name]
    compiled = pg.compile(function, passes=pipeline("cpu"))
    compiled(pg.randn(4096, 1024))
    text = compiled.ir("loop")
    assert text.count("loop.launch") == launches
    assert "fetch_l" in text
    assert "llvm.prefetch" in compiled.ir("target")


def product_text(inner: str = "", tile: str = "[%i + t0, %k + t1]") -> str:
    """A product whose tiles are added to tiles of another matrix, and maybe more."""
    x, y = "memref<1000x64xf32>", "memref<1000x512xf32>"
    return f"""
loop.kernel @k(%x: {x}, %w: memref<64x512xf32>, %y: {y}) {{
  %zero = arith.constant 0.0 : f32
  %start = loop.broadcast %zero along [0, 1] : f32 to vector<8x32xf32>
  loop.parallel %k = 0 to 512 step 32 {{
    loop.parallel %i = 0 to 1000 step 8 {{
      %sums = loop.for %l = 0 to 64 carry (%s = %start : vector<8x32xf32>) {{
        %a = loop.load %x[%i + t0, %l] : {x} to vector<8xf32>
        %b = loop.load %w[%l, %k + t0] : memref<64x512xf32> to vector<32xf32>
        %a_1 = loop.broadcast %a along [1] : vector<8xf32> to vector<8x32xf32>
        %b_1 = loop.broadcast %b along [0] : vector<32xf32> to vector<8x32xf32>
        %t = math.fma %a_1, %b_1, %s : vector<8x32xf32>
        {inner}
        loop.yield %t : vector<8x32xf32>
      }}
      %old = loop.load %y{tile} : {y} to vector<8x32xf32>
      %new = arith.addf %old, %sums : vector<8x32xf32>
      loop.store %new, %y[%i + t0, %k + t1] : vector<8x32xf32>, {y}
    }}
  }}
}}
func.func @main(%x: {x}, %w: memref<64x512xf32>, %y: {y} {{buffer.output}}) {{
  loop.launch @k(%x, %w, %y) : {x}, memref<64x512xf32>, {y}
  func.return
}}"""


def test_the_next_tile_beside_a_sum_is_fetched() -> None:
    (load,) = noted(product_text())
    assert load.startswith("%old = loop.load %y[%i + t0, %k + t1] {fetch_l2 = 4096 : i64}")
    whole = 1000 * 512 * 4
    assert len(noted(product_text(), f"cpu:l2_bytes={whole - 1}")) == 1
    assert noted(product_text(), f"cpu:l2_bytes={whole}") == []


def test_tiles_that_blocks_of_a_sum_read_in_branches_are_fetched() -> None:
    text = """
loop.kernel @k(%x: memref<600x64xf32>, %y: memref<600x512xf32>) {
  %waiting = loop.alloc : memref<600x512xf32, "stack">
  loop.for %b = 0 to 64 step 32 {
    loop.parallel %k = 0 to 512 step 16 {
      loop.parallel %i = 0 to 600 step 4 {
        %start = loop.if -%b >= 0 : vector<4x16xf32> {
          %first = loop.load %y[%i + t0, %k + t1] : memref<600x512xf32> to vector<4x16xf32>
          loop.yield %first : vector<4x16xf32>
        } else {
          %kept = loop.load %waiting[%i + t0, %k + t1] : memref<600x512xf32, "stack"> to vector<4x16xf32>
          loop.yield %kept : vector<4x16xf32>
        }
        %sum = loop.for %l = %b to %b + 32 carry (%c = %start : vector<4x16xf32>) {
          %v = loop.load %x[%i + t0, %l] : memref<600x64xf32> to vector<4xf32>
          %w = loop.broadcast %v along [1] : vector<4xf32> to vector<4x16xf32>
          %n = arith.addf %c, %w : vector<4x16xf32>
          loop.yield %n : vector<4x16xf32>
        }
        loop.store %sum, %waiting[%i + t0, %k + t1] : vector<4x16xf32>, memref<600x512xf32, "stack">
        loop.store %sum, %y[%i + t0, %k + t1] : vector<4x16xf32>, memref<600x512xf32>
      }
    }
  }
}"""  # noqa: E501
    first, kept = noted(text, "cpu:l2_bytes=1048576")
    assert first.startswith("%first = loop.load %y[%i + t0, %k + t1] {fetch_l2 = 2048 : i64}")
    assert kept.startswith("%kept = loop.load %waiting[%i + t0, %k + t1] {fetch_l2 = 2048 : i64}")


def test_tiles_that_stay_lie_apart_or_wait_for_deeper_loops_are_left_alone() -> None:
    assert noted(product_text(tile="[t0, %k + t1]")) == []
    assert noted(product_text(tile="[%i + t0, t1 * 2]")) == []
    deeper = """loop.parallel %m = 0 to 1 {
          %u = loop.load %x[%m, %l] : memref<1000x64xf32>
          loop.store %u, %x[%m, %l] : f32, memref<1000x64xf32>
        }"""
    assert noted(product_text(deeper)) == []
