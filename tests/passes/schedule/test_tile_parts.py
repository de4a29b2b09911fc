"""Tiles cover each iteration of a loop once: by exhaustion over small loops and blocks."""

from itertools import product

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import Dim, LoopOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.schedule.tile_parts import exact_parts


def dims_of(text: str) -> list[Dim]:
    module = parse_module(f"loop.kernel @k(%x: memref<4xf32>) {{\n{text}\n}}")
    return [dim for op in module.walk() if isinstance(op, LoopOp) for dim in op.dims]


def at(expression: Linear, outer: Dim | None, value: int) -> int:
    known: dict[Leaf, LinearLike] = {} if outer is None else {outer.variable: value}
    found = expression.substitute(known)
    assert found.is_constant
    return found.constant


def run_through(dim: Dim, tile: int, outer: Dim | None, value: int) -> list[int]:
    """The iterations of a loop over tiles, tile by tile."""
    low, high = at(dim.lower, outer, value), min(at(u, outer, value) for u in dim.uppers)
    return [first + lane for first in range(low, high, tile) for lane in range(tile)]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_loop_alone_is_covered(size: int) -> None:
    for low, extent in product((0, 3), range(12)):
        (dim,) = dims_of(f"loop.parallel %i = {low} to {low + extent} {{\n}}")
        parts = exact_parts(dim, size, LoopFacts())
        assert parts is not None
        covered = [i for part, tile in parts for i in run_through(part, tile, None, 0)]
        assert covered == list(range(low, low + extent))


@pytest.mark.parametrize("block", [2, 4, 6])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_loop_over_a_block_is_covered_in_every_block(block: int, size: int) -> None:
    tiled = 0
    # Where the loop over blocks goes on behind the end, blocks are empty there.
    for low, extent, further in product((0, 3), range(1, 15), (0, 5)):
        end = low + extent
        outer, dim = dims_of(f"""
        loop.parallel %o = {low} to {end + further} step {block} {{
          loop.parallel %i = %o to min(%o + {block}, {end}) {{
          }}
        }}""")
        parts = exact_parts(dim, size, LoopFacts())
        tiled += parts is not None
        for start in range(low, end + further, block):
            covered = [
                i for part, tile in parts or [] for i in run_through(part, tile, outer, start)
            ]
            wanted = list(range(start, min(start + block, end)))
            assert parts is None or covered == wanted, (low, end, further, start)
    assert tiled or block % size


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_loop_with_one_variable_bound_is_covered(size: int) -> None:
    outer, dim = dims_of("""
    loop.parallel %o = 0 to 11 {
      loop.parallel %i = 2 to %o + 2 {
      }
    }""")
    parts = exact_parts(dim, size, LoopFacts())
    assert parts is not None
    for start in range(11):
        covered = [i for part, tile in parts for i in run_through(part, tile, outer, start)]
        assert covered == list(range(2, start + 2))
