"""work: loops over what is left, and loops that end where an outer one stands."""

from __future__ import annotations

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects.loop import LoopOp
from picograd.passes.loops.work import Work
from picograd.targets import lookup


def iterations(loops: str, closing: str) -> dict[str, int]:
    """How often each loop is thought to run."""
    text = f"""
loop.kernel @k(%x: memref<2000xf32>, %y: memref<2000xf32>) {{
  {loops}
    %v = loop.load %x[%i] : memref<2000xf32>
    loop.store %v, %y[%i] : f32, memref<2000xf32>
  {closing}
}}"""
    work = Work(lookup("cpu"))
    found = [op for op in parse_module(text).walk() if isinstance(op, LoopOp)]
    return {op.names.data[0].data: work.iterations(op) for op in found}


@pytest.mark.parametrize(("end", "whole"), [(1000, 64), (64, 64)])
def test_the_rest_of_full_tiles_counts_where_there_are_none(end: int, whole: int) -> None:
    full = iterations(
        f"loop.parallel %i0 = 0 to {end} step 64 {{ loop.for %i = %i0 to min(%i0 + 64, 960) {{",
        "} }",
    )
    rest = iterations(
        f"loop.parallel %i0 = 0 to {end} step 64 {{ loop.for %i = 960 to min(%i0 + 64, {end}) {{",
        "} }",
    )
    assert full["i"] == whole
    assert rest["i"] == 0


def test_a_triangle_counts_half() -> None:
    found = iterations("loop.parallel %r = 0 to 401 { loop.for %i = 0 to %r {", "} }")
    assert found == {"r": 401, "i": 200}


def test_a_single_block_counts_whole() -> None:
    found = iterations(
        "loop.parallel %i0 = 7 to 1000 step 993 { loop.for %i = %i0 to min(%i0 + 993, 1000) {",
        "} }",
    )
    assert found == {"i0": 1, "i": 993}
