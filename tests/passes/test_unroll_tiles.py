"""unroll_tiles: pieces of every width mean what the tile meant; transposes; order of stores."""

import pytest

from picograd.check.loop_samples import check_passes, transpose_add
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.loop import ShuffleOp, StoreOp, tile_rank, tile_shape
from picograd.errors import OptionError, PassError
from picograd.passes.tile_loops import TileLoops
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.passes.vectorize_loops import VectorizeLoops

WIDTHS = [1, 2, 3, 4, 8, 16]

EVERYTHING = """
loop.kernel @everything(%x: memref<5x7xf32>, %b: memref<7xf32>, %n: memref<5xi64>,
                        %y: memref<5x7xf32>, %z: memref<5xf32>) {
  %v = loop.load %x[t0, t1] : memref<5x7xf32> to vector<5x7xf32>
  %r = loop.load %b[t0] : memref<7xf32> to vector<7xf32>
  %m = loop.load %n[t0] : memref<5xi64> to vector<5xi64>
  %f = loop.convert sitofp %m : vector<5xi64> to vector<5xf32>
  %rows = loop.broadcast %r along [0] : vector<7xf32> to vector<5x7xf32>
  %columns = loop.broadcast %f along [1] : vector<5xf32> to vector<5x7xf32>
  %start = arith.constant 0.5 : f32
  %tile = loop.broadcast %start along [0, 1] : f32 to vector<5x7xf32>
  %c, %d = loop.for %k = 0 to 3 carry (%a = %tile : vector<5x7xf32>, %e = %start : f32) {
    %p = math.fma %v, %rows, %a : vector<5x7xf32>
    %q = arith.addf %e, %start : f32
    loop.yield %p, %q : vector<5x7xf32>, f32
  }
  %less = loop.compare lt %c, %columns : vector<5x7xf32>
  %s = loop.select %less, %c, %columns : vector<5x7xf32>
  %place = loop.index t0 * 7 + t1 : vector<5x7xf32>
  %t = arith.addf %s, %place : vector<5x7xf32>
  %g = loop.for %k = 0 to 1 carry (%h = %f : vector<5xf32>) {
    %w = loop.if %k >= 0 : vector<5xf32> {
      %u = arith.addf %h, %f : vector<5xf32>
      loop.yield %u : vector<5xf32>
    } else {
      loop.yield %f : vector<5xf32>
    }
    loop.yield %w : vector<5xf32>
  }
  %sum = loop.fold add %g : vector<5xf32> to f32
  %total = arith.addf %sum, %d : f32
  %spread = loop.broadcast %total along [0] : f32 to vector<5xf32>
  loop.store %t, %y[t0, t1] : vector<5x7xf32>, memref<5x7xf32>
  loop.store %spread, %z[t0] : vector<5xf32>, memref<5xf32>
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_operation_splits(width: int) -> None:
    module = check_passes(EVERYTHING, [UnrollTiles(width=width)])
    shapes = {
        tile_shape(value.type)
        for op in module.walk()
        for value in op.results
        if tile_rank(value.type)
    }
    assert all(len(shape) == 1 and shape[0] <= width for shape in shapes)
    assert shapes or width == 1
    check_passes(EVERYTHING, [UnrollTiles(width=width), UnrollTiles(width=width)])


SHUFFLED = """
loop.kernel @shuffled(%x: memref<7xf32>, %b: memref<4xf32>, %y: memref<5xf32>, %z: memref<7xf32>) {
  %v = loop.load %x[t0] : memref<7xf32> to vector<7xf32>
  %w = loop.load %b[t0] : memref<4xf32> to vector<4xf32>
  %s = loop.shuffle %v, %w [10, 0, 6, 3, 3] : vector<7xf32>, vector<4xf32> to vector<5xf32>
  %r = loop.shuffle %s, %s [9, 8, 7, 5, 4, 2, 1] : vector<5xf32>, vector<5xf32> to vector<7xf32>
  loop.store %s, %y[t0] : vector<5xf32>, memref<5xf32>
  loop.store %r, %z[t0] : vector<7xf32>, memref<7xf32>
}"""


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 16])
@pytest.mark.parametrize("again", [1, 2, 5])
def test_shuffles_split_whatever_lanes_they_take(width: int, again: int) -> None:
    check_passes(SHUFFLED, [UnrollTiles(width=width), UnrollTiles(width=again)])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("sizes", [(8, 8), (7, 5), (16, 4), (20, 16)])
def test_transposes(width: int, sizes: tuple[int, int]) -> None:
    rows, columns = sizes
    passes = [
        TileLoops(sizes=f"i={rows} j={columns}", exact=True),
        VectorizeLoops(),
        UnrollTiles(width=width),
    ]
    module = check_passes(transpose_add(23, 21), passes)
    powers = width & (width - 1) == 0
    if powers and width > 1:
        assert any(isinstance(op, ShuffleOp) for op in module.walk())


def test_each_stored_piece_is_computed_before_the_next() -> None:
    text = """
loop.kernel @chain(%x: memref<32xf32>, %y: memref<32xf32>) {
  %v = loop.load %x[t0] : memref<32xf32> to vector<32xf32>
  %a = arith.addf %v, %v : vector<32xf32>
  %b = arith.mulf %a, %v : vector<32xf32>
  loop.store %b, %y[t0] : vector<32xf32>, memref<32xf32>
}"""
    module = check_passes(text, [UnrollTiles(width=16)])
    names = [op.name for op in module.walk()][2:]
    assert names == ["loop.load", "arith.addf", "arith.mulf", "loop.store"] * 2


def test_operands_of_an_epilogue_are_loaded_after_the_loop() -> None:
    text = """
loop.kernel @late(%x: memref<8x16xf32>, %b: memref<16xf32>, %y: memref<16xf32>) {
  %bias = loop.load %b[t0] : memref<16xf32> to vector<16xf32>
  %first = loop.load %y[t0] : memref<16xf32> to vector<16xf32>
  %sum = loop.for %k = 0 to 8 carry (%c = %bias : vector<16xf32>) {
    %v = loop.load %x[%k, t0] : memref<8x16xf32> to vector<16xf32>
    %n = arith.addf %c, %v : vector<16xf32>
    loop.store %n, %y[t0] : vector<16xf32>, memref<16xf32>
    loop.yield %n : vector<16xf32>
  }
  %last = loop.load %x[0, t0] : memref<8x16xf32> to vector<16xf32>
  %s = arith.addf %sum, %bias : vector<16xf32>
  %t = arith.addf %s, %first : vector<16xf32>
  %u = arith.addf %t, %last : vector<16xf32>
  loop.store %u, %y[t0] : vector<16xf32>, memref<16xf32>
}"""
    moved = text.replace("  %last = ", "  %unused = ").replace(
        "  %sum = loop.for",
        "  %last = loop.load %x[0, t0] : memref<8x16xf32> to vector<16xf32>\n  %sum = loop.for",
    )
    module = check_passes(moved, [UnrollTiles(width=16)])
    kernel = module.body.block.first_op
    assert kernel is not None
    names = [op.results[0].name_hint for op in kernel.regions[0].block.ops if op.results]
    assert names.index("last") > names.index("sum"), "nothing in the loop needs it"
    assert names.index("bias") < names.index("sum"), "the loop starts from it"
    assert names.index("first") < names.index("sum"), "the loop overwrites it"


def kinds_in(text: str, width: int) -> list[str]:
    """What the kernel's body does after the pass, which keeps what it computes: loads, stores and
    loops by name, arithmetic by "op".
    """
    module = check_passes(text, [UnrollTiles(width=width)])
    kernel = module.body.block.first_op
    assert kernel is not None
    names = [op.name for op in kernel.regions[0].block.ops]
    shown = ("loop.load", "loop.store", "loop.for")
    return [name.removeprefix("loop.") if name in shown else "op" for name in names]


def test_pieces_that_are_written_in_place_are_finished_one_by_one() -> None:
    text = """
loop.kernel @in_place(%x: memref<2x12xf32>) {
  %v = loop.load %x[t0, t1 + 1] : memref<2x12xf32> to vector<2x8xf32>
  %w = arith.mulf %v, %v : vector<2x8xf32>
  %u = arith.addf %w, %v : vector<2x8xf32>
  loop.store %u, %x[t0, t1 + PLACE] : vector<2x8xf32>, memref<2x12xf32>
}"""
    piece = ["load", "op", "op", "store"]
    assert kinds_in(text.replace("PLACE", "1"), 4) == piece * 4
    # Each piece overwrites part of the next in its row, which is read before.
    shifted = kinds_in(text.replace("PLACE", "2"), 4)
    assert sorted(shifted) == sorted(piece * 4)
    assert shifted.index("store") > shifted.index("load", shifted.index("load") + 1)


def test_what_two_results_share_is_not_kept_for_the_second() -> None:
    text = """
loop.kernel @two(%x: memref<16xf32>, %y: memref<16xf32>, %z: memref<16xf32>) {
  %v = loop.load %x[t0] : memref<16xf32> to vector<16xf32>
  %w = arith.mulf %v, %v : vector<16xf32>
  %u = arith.addf %w, %v : vector<16xf32>
  loop.store %u, %y[t0] : vector<16xf32>, memref<16xf32>
  %t = arith.addf %w, %w : vector<16xf32>
  loop.store %t, %z[t0] : vector<16xf32>, memref<16xf32>
}"""
    assert kinds_in(text, 4) == ["load", "op", "op", "store", "op", "store"] * 4


@pytest.mark.parametrize(
    ("memref", "late"), [("%y", True), ("%z", False)], ids=["untouched", "read in the loop"]
)
def test_an_early_store_that_shares_arithmetic_is_made_late(memref: str, late: bool) -> None:
    text = """
loop.kernel @early(%x: memref<8x8xf32>, %y: memref<8xf32>, %z: memref<8xf32>, %r: memref<8xf32>) {
  %v = loop.load %x[0, t0] : memref<8x8xf32> to vector<8xf32>
  %w = arith.mulf %v, %v : vector<8xf32>
  loop.store %w, RESULT[t0] : vector<8xf32>, memref<8xf32>
  %nothing = arith.constant 0.0 : f32
  %zero = loop.broadcast %nothing along [0] : f32 to vector<8xf32>
  %sum = loop.for %k = 0 to 8 carry (%c = %zero : vector<8xf32>) {
    %a = loop.load %x[%k, t0] : memref<8x8xf32> to vector<8xf32>
    %b = loop.load %z[t0] : memref<8xf32> to vector<8xf32>
    %p = arith.mulf %a, %b : vector<8xf32>
    %n = arith.addf %c, %p : vector<8xf32>
    loop.yield %n : vector<8xf32>
  }
  %u = arith.addf %sum, %w : vector<8xf32>
  loop.store %u, %r[t0] : vector<8xf32>, memref<8xf32>
}""".replace("RESULT", memref)
    kinds = kinds_in(text, 4)
    assert (kinds.index("store") > kinds.index("for")) == late
    alone = text.replace("arith.addf %sum, %w", "arith.addf %sum, %sum")
    kinds = kinds_in(alone, 4)
    assert kinds.index("store") < kinds.index("for"), "nothing behind the loop needs it"


def test_stores_stay_in_order_where_loads_see_them() -> None:
    text = """
loop.kernel @shift(%x: memref<32xf32>) {
  %v = loop.load %x[t0] : memref<32xf32> to vector<16xf32>
  loop.store %v, %x[t0 + 8] : vector<16xf32>, memref<32xf32>
  %w = loop.load %x[t0 + 8] : memref<32xf32> to vector<16xf32>
  loop.store %w, %x[t0 + 16] : vector<16xf32>, memref<32xf32>
}"""
    module = check_passes(text, [UnrollTiles(width=4)])
    assert sum(isinstance(op, StoreOp) for op in module.walk()) == 8


def test_reductions_over_tiles_must_be_lowered_first() -> None:
    text = """
loop.kernel @k(%x: memref<8x4xf32>, %y: memref<4xf32>) {
  %s = loop.reduce add %k = 0 to 8 : vector<4xf32> {
    %v = loop.load %x[%k, t0] : memref<8x4xf32> to vector<4xf32>
    loop.yield %v : vector<4xf32>
  }
  loop.store %s, %y[t0] : vector<4xf32>, memref<4xf32>
}"""
    with pytest.raises(PassError, match="run lower_reduce first"):
        UnrollTiles(width=4).apply(new_context(), parse_module(text))


def test_a_width_is_positive() -> None:
    with pytest.raises(OptionError, match="number of lanes"):
        UnrollTiles(width=-1).apply(new_context(), parse_module(EVERYTHING))
