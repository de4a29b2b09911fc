"""column_fetches: which loops down columns fetch ahead, how far, and where to."""

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr

import picograd as pg
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import FETCH_L1, FETCH_L2, LoadOp
from picograd.passes.prefetch_rows import PrefetchRows
from picograd.passes.schedule.column_fetches import LEAST_OPERATIONS, LONG, ROWS_AHEAD
from tests.passes.done_once import done_once

TARGET = "cpu:vector_bits=512,l1_bytes=49152,l2_bytes=65536"


def down(
    rows: int,
    columns: int,
    work: int = LEAST_OPERATIONS,
    around: str = "%i = 0 to 64 step 32",
    place: str = "%j, %i + t0",
    before: str = "",
) -> str:
    """A kernel that adds up a strip of columns, with so many operations for each row."""
    x, tile = f"memref<{rows}x{columns}xf32>", "vector<32xf32>"
    lines = [f"%v{n + 1} = arith.addf %v{n}, %v{n} : {tile}" for n in range(work // 2)]
    return f"""
loop.kernel @k(%x: {x}, %y: memref<{columns}xf32>) {{
  %zero = arith.constant 0.0 : f32
  %start = loop.broadcast %zero along [0] : f32 to {tile}
  loop.parallel {around} {{
    {before}
    %sums = loop.for %j = 0 to {rows} carry (%s = %start : {tile}) {{
      %v0 = loop.load %x[{place}] : {x} to {tile}
      {"".join(lines)}
      %t = arith.addf %s, %v{len(lines)} : {tile}
      loop.yield %t : {tile}
    }}
    loop.store %sums, %y[t0] : {tile}, memref<{columns}xf32>
  }}
}}"""


def notes(text: str, target: str = TARGET) -> list[tuple[str, int]]:
    """The caches and distances that the pass notes; it is done after one run."""
    module = done_once(text, PrefetchRows(target=target))
    loads = [op for op in module.walk() if isinstance(op, LoadOp)]
    found: list[tuple[str, int]] = []
    for load in loads:
        for cache in (FETCH_L1, FETCH_L2):
            if isinstance(note := load.attributes.get(cache), IntegerAttr):
                found.append((cache, note.value.data))
    return found


def test_rows_some_turns_later_are_fetched_to_the_second_cache() -> None:
    assert notes(down(40, 1024)) == [(FETCH_L2, ROWS_AHEAD * 1024)]
    assert notes(down(200, 112)) == [(FETCH_L2, ROWS_AHEAD * 112)]


def test_of_tiles_that_begin_anywhere_in_a_line_the_last_line_is_fetched() -> None:
    """The first is the last one of the tile before."""
    assert notes(down(200, 100)) == [(FETCH_L2, ROWS_AHEAD * 100 + 15)]
    assert notes(down(200, 112, place="%j, %i + t0 + 8")) == [(FETCH_L2, ROWS_AHEAD * 112 + 15)]


def test_what_is_left_alone() -> None:
    assert notes(down(LONG - 1, 1000)) == []  # over before it pays
    assert notes(down(200, 100, work=4)) == []  # the processor sees far enough
    assert notes(down(200, 64)) == []  # stays in the second cache
    assert notes(down(200, 100), target="gpu") == []
    assert notes(down(600, 32, around="%i = 0 to 1", place="%j, t0")) == []  # one row after another
    assert notes(down(200, 100, place="%j, 3 + t0")) == []  # each turn outside comes back
    assert notes(down(200, 100, around="%i = 0 to 1", place="%j, 3 + t0")) != []
    assert notes(down(200, 100, place="%j, %i + t0 * 2")) == []  # lanes lie apart


@pytest.mark.parametrize(("place", "left_alone"), [("%k, %i + t0", True), ("%k, t0", False)])
def test_what_a_loop_before_has_read_is_left_alone(place: str, left_alone: bool) -> None:
    x, tile = "memref<200x100xf32>", "vector<32xf32>"
    before = f"""
    %least = loop.for %k = 0 to 200 carry (%m = %start : {tile}) {{
      %w = loop.load %x[{place}] : {x} to {tile}
      %n = arith.maximumf %m, %w : {tile}
      loop.yield %n : {tile}
    }}"""
    assert notes(down(200, 100, before=before)) == (
        [] if left_alone else [(FETCH_L2, ROWS_AHEAD * 100 + 15)]
    )


def test_argmax_of_columns_fetches_and_finds_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((1113, 301)).astype(np.float32)
    module = pg.compile(lambda x: x.argmax(0)).trace(pg.tensor(x)).module
    executable = compile_module(module, "cpu", passes=pipeline("cpu").aimed_at(TARGET))
    assert "fetch_l" in executable.ir("loop")
    (found,) = executable.run([executable.device.upload(x)])
    np.testing.assert_array_equal(executable.device.download(found), x.argmax(0))
