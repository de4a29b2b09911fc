"""Copies of several transposed squares become loops over squares, and nothing else does."""

from __future__ import annotations

import pytest

from picograd.check.loop_samples import check_passes
from picograd.dialects.loop import ForOp, ShuffleOp
from picograd.passes.unroll_tiles import UnrollTiles

STORED = """
loop.kernel @pack(%x: memref<24x9xf32>, %y: memref<2x8x12xf32>) {{
  loop.parallel %j = 0 to 24 step 12 {{
    %v = loop.load %x[%j + t0, t1 + 1] : memref<24x9xf32> to vector<12x{columns}xf32>
    loop.store %v, %y[%j floordiv 12, t1, t0] : vector<12x{columns}xf32>, memref<2x8x12xf32>
  }}
}}"""
"""Memory runs along the first axis of what is stored."""

LOADED = """
loop.kernel @pack(%x: memref<24x9xf32>, %y: memref<9x24xf32>) {{
  loop.parallel %k = 0 to 9 step 3 {{
    %v = loop.load %x[t1, %k + t0] : memref<24x9xf32> to vector<{rows}x24xf32>
    loop.store %v, %y[%k + t0, t1] : vector<{rows}x24xf32>, memref<9x24xf32>
  }}
}}"""
"""Memory runs along the first axis of what is loaded."""


@pytest.mark.parametrize(
    "text, width, loops, shuffles",
    [
        (STORED.format(columns=4), 4, 1, 8),
        (STORED.format(columns=8), 4, 2, 8),  # both axes are longer than a vector
        (STORED.format(columns=2), 2, 1, 2),
        (STORED.format(columns=4), 16, 0, None),  # less than a vector
        (STORED.format(columns=4), 8, 0, None),  # not whole vectors
        (LOADED.format(rows=2), 2, 1, 2),
        (LOADED.format(rows=3), 8, 1, None),
    ],
)
def test_a_square_stands_once(text: str, width: int, loops: int, shuffles: int | None) -> None:
    module = check_passes(text, [UnrollTiles(width=width)])
    ops = list(module.walk())
    assert sum(isinstance(op, ForOp) for op in ops) == loops
    if shuffles is not None:
        assert sum(isinstance(op, ShuffleOp) for op in ops) == shuffles
    check_passes(text, [UnrollTiles(width=width), UnrollTiles(width=max(1, width // 2))])


ALONG = """
loop.kernel @along(%x: memref<16x4xf32>, %y: memref<16x4xf32>) {
  %v = loop.load %x[t0, t1] : memref<16x4xf32> to vector<16x4xf32>
  loop.store %v, %y[t0, t1] : vector<16x4xf32>, memref<16x4xf32>
}"""

WITH_MORE = """
loop.kernel @sums(%x: memref<16x4xf32>, %y: memref<4x16xf32>, %z: memref<16x4xf32>) {
  %v = loop.load %x[t0, t1] : memref<16x4xf32> to vector<16x4xf32>
  %s = arith.addf %v, %v : vector<16x4xf32>
  loop.store %s, %y[t1, t0] : vector<16x4xf32>, memref<4x16xf32>
  loop.store %v, %z[t0, t1] : vector<16x4xf32>, memref<16x4xf32>
}"""

IN_PLACE = """
loop.kernel @turned(%x: memref<16x16xf32>) {
  %v = loop.load %x[t0, t1] : memref<16x16xf32> to vector<16x16xf32>
  loop.store %v, %x[t1, t0] : vector<16x16xf32>, memref<16x16xf32>
}"""


@pytest.mark.parametrize("text", [ALONG, WITH_MORE, IN_PLACE], ids=["along", "more", "in place"])
def test_other_bodies_stay_straight(text: str) -> None:
    """Part by part a tile may be stored over what is still to be loaded."""
    module = check_passes(text, [UnrollTiles(width=4)])
    assert not any(isinstance(op, ForOp) for op in module.walk())
