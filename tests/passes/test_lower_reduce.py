"""lower_reduce: named kinds, combiners, several dimensions, initial values, when fma is used."""

import pytest
from xdsl.dialects.builtin import IntegerAttr

from picograd.check.loop_samples import (
    argmax_gather,
    batched_matmul,
    check_passes,
    convolution,
    integer_reductions,
    linear_relu,
)
from picograd.dialects.loop import ForOp, ReduceOp
from picograd.errors import OptionError
from picograd.passes.lower_reduce import LowerReduce
from picograd.passes.vectorize_loops import VectorizeLoops


@pytest.mark.parametrize(
    "text",
    [
        linear_relu(3, 4, 5),
        linear_relu(2, 2, 0),
        batched_matmul(2, 3, 4, 5),
        convolution(1, 2, 2, 3, 4),
        argmax_gather(3, 9),
        integer_reductions(4, 5),
        integer_reductions(0, 5),
    ],
)
def test_no_reduction_is_left_and_the_meaning_stays(text: str) -> None:
    module = check_passes(text, [LowerReduce()])
    assert not any(isinstance(op, ReduceOp) for op in module.walk())


@pytest.mark.parametrize(("fma", "name"), [("true", "math.fma"), ("false", "arith.addf")])
def test_fma_follows_the_machine(fma: str, name: str) -> None:
    module = check_passes(linear_relu(3, 4, 5), [LowerReduce(target=f"cpu:fma={fma}")])
    (loop,) = [op for op in module.walk() if op.name == "loop.for"]
    assert name in {op.name for op in loop.walk()}
    assert ("math.fma" in {op.name for op in module.walk()}) == (fma == "true")


def test_a_product_with_another_use_is_not_fused() -> None:
    text = """
loop.kernel @k(%x: memref<6xf32>, %y: memref<6xf32>, %z: memref<1xf32>) {
  %s = loop.reduce add %k = 0 to 6 : f32 {
    %v = loop.load %x[%k] : memref<6xf32>
    %p = arith.mulf %v, %v : f32
    loop.store %p, %y[%k] : f32, memref<6xf32>
    loop.yield %p : f32
  }
  loop.store %s, %z[0] : f32, memref<1xf32>
}"""
    module = check_passes(text, [LowerReduce(target="cpu:fma=true")])
    assert "math.fma" not in {op.name for op in module.walk()}


def test_a_combiner_with_an_initial_value() -> None:
    text = """
loop.kernel @range(%x: memref<9xf32>, %y: memref<2xf32>) {
  %low = arith.constant 0xFF800000 : f32
  %high = arith.constant 0x7F800000 : f32
  %half = arith.constant 0.5 : f32
  %a, %b = loop.reduce combine (%k, %l) = (0, 0) to (3, 3)
      identity (%high, %low) init (%half, %half) : f32, f32 {
    %v = loop.load %x[%k * 3 + %l] : memref<9xf32>
    loop.yield %v, %v : f32, f32
  } combiner (%p, %q, %r, %s) {
    %least = arith.minimumf %p, %r : f32
    %most = arith.maximumf %q, %s : f32
    loop.yield %least, %most : f32, f32
  }
  loop.store %a, %y[0] : f32, memref<2xf32>
  loop.store %b, %y[1] : f32, memref<2xf32>
}"""
    check_passes(text, [LowerReduce()])


def repeats(text: str, **options: object) -> list[int]:
    module = check_passes(text, [LowerReduce(**options)])  # pyright: ignore[reportArgumentType]
    loops = [op for op in module.walk() if isinstance(op, ForOp)]
    notes = [loop.attributes.get("repeat") for loop in loops]
    return [note.value.data if isinstance(note, IntegerAttr) else 1 for note in notes]


def tile_sum(columns: int, depth: int) -> str:
    return f"""
loop.kernel @k(%x: memref<{depth}x{columns}xf32>, %y: memref<{columns}xf32>) {{
  %s = loop.reduce add %k = 0 to {depth} : vector<{columns}xf32> {{
    %v = loop.load %x[%k, t0] : memref<{depth}x{columns}xf32> to vector<{columns}xf32>
    %p = arith.mulf %v, %v : vector<{columns}xf32>
    loop.yield %p : vector<{columns}xf32>
  }}
  loop.store %s, %y[t0] : vector<{columns}xf32>, memref<{columns}xf32>
}}"""


@pytest.mark.parametrize(
    ("columns", "depth", "times"),
    [(16 * 12, 40, 2), (16 * 24, 40, 2), (16 * 40, 40, 1), (16 * 24, 15, 1), (16 * 4, 10, 10)],
)
def test_short_bodies_are_repeated(columns: int, depth: int, times: int) -> None:
    wide = "cpu:fma=true,vector_bits=512,vector_registers=32"
    assert repeats(tile_sum(columns, depth), target=wide) == [times]
    assert repeats(tile_sum(columns, depth), target="cpu:vector_registers=16") == [1]
    assert repeats(tile_sum(columns, depth), target="gpu") == [1]
    assert repeats(tile_sum(columns, depth), repeat=3) == [3]


def test_scalar_loops_are_not_repeated() -> None:
    assert repeats(linear_relu(3, 4, 50)) == [1]


def test_a_body_cannot_be_repeated_less_than_once() -> None:
    with pytest.raises(OptionError, match="PG703"):
        check_passes(linear_relu(3, 4, 5), [LowerReduce(repeat=-1)])


def row_sums(rows: int, columns: int, body: str) -> str:
    """One loop along each row: a matrix by a vector, a sum with what follows, two sums at once."""
    return f"""
loop.kernel @k(%x: memref<{rows}x{columns}xf32>, %v: memref<{columns}xf32>,
               %b: memref<{rows}xf32>, %y: memref<{rows}xf32>) {{
  loop.parallel %i = 0 to {rows} {{
    %bias = loop.load %b[%i] : memref<{rows}xf32>
    {body}
  }}
}}""".replace("ROWS", str(rows)).replace("COLUMNS", str(columns))


BODIES = {
    "matrix by vector": """
    %s = loop.reduce add %k = 0 to COLUMNS : f32 {
      %a = loop.load %x[%i, %k] : memref<ROWSxCOLUMNSxf32>
      %w = loop.load %v[%k] : memref<COLUMNSxf32>
      %p = arith.mulf %a, %w : f32
      loop.yield %p : f32
    }
    %t = arith.addf %s, %bias : f32
    loop.store %t, %y[%i] : f32, memref<ROWSxf32>""",
    "greatest": """
    %s = loop.reduce max %k = 0 to COLUMNS init %bias : f32 {
      %a = loop.load %x[%i, %k] : memref<ROWSxCOLUMNSxf32>
      loop.yield %a : f32
    }
    loop.store %s, %y[%i] : f32, memref<ROWSxf32>""",
    # Of the conversion and the division upstream does not say that they do nothing else.
    "converted": """
    %s = loop.reduce max %k = 0 to COLUMNS init %bias : f32 {
      %a = loop.load %x[%i, %k] : memref<ROWSxCOLUMNSxf32>
      loop.yield %a : f32
    }
    %n = arith.fptosi %s : f32 to i32
    %m = arith.extsi %n : i32 to i64
    %h = arith.divsi %m, %m : i64
    %t = arith.sitofp %h : i64 to f32
    loop.store %t, %y[%i] : f32, memref<ROWSxf32>""",
    "the same for all rows": """
    %s = loop.reduce add %k = 0 to COLUMNS : f32 {
      %w = loop.load %v[%k] : memref<COLUMNSxf32>
      loop.yield %w : f32
    }
    loop.store %s, %y[%i] : f32, memref<ROWSxf32>""",
    "a triangle": """
    %s = loop.reduce add %k = 0 to min(%i + 1, COLUMNS) : f32 {
      %a = loop.load %x[%i, %k] : memref<ROWSxCOLUMNSxf32>
      loop.yield %a : f32
    }
    loop.store %s, %y[%i] : f32, memref<ROWSxf32>""",
}


@pytest.mark.parametrize("together", [2, 3, 4])
@pytest.mark.parametrize("rows", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("body", BODIES)
def test_rows_share_a_loop(body: str, rows: int, together: int) -> None:
    module = check_passes(row_sums(rows, 5, BODIES[body]), [LowerReduce(rows=together)])
    carried = [len(op.carried) for op in module.walk() if isinstance(op, ForOp)]
    shared = body != "a triangle" and rows >= together
    assert carried == ([together] if shared else []) + [1] * (rows % together > 0 or not shared)


def test_rows_that_come_from_memory_share_a_loop() -> None:
    wide = "cpu:vector_bits=512,vector_registers=32,l2_bytes=65536"
    for rows, columns, together in ((64, 1000, 2), (8, 1000, 1), (15, 8000, 1)):
        text = row_sums(rows, columns, BODIES["matrix by vector"])
        steps = [VectorizeLoops(target=wide), LowerReduce(target=wide)]
        module = check_passes(text, steps)
        loops = [op for op in module.walk() if isinstance(op, ForOp)]
        assert len(loops[0].carried) == together
