"""Chains of shuffles: LLVM looks through those that lack something, and through no others."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.emit import emit
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.passes.unroll_tiles import UnrollTiles

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32}

TURNED = """
builtin.module {{
  func.func @main(%x: memref<{rows}x{columns}x{dtype}>,
                  %y: memref<{columns}x{rows}x{dtype}> {{buffer.output}}) {{
    loop.launch @turn(%x, %y) : memref<{rows}x{columns}x{dtype}>, memref<{columns}x{rows}x{dtype}>
    func.return
  }}
  loop.kernel @turn(%x: memref<{rows}x{columns}x{dtype}>, %y: memref<{columns}x{rows}x{dtype}>) {{
    %v = loop.load %x[t0, t1] : memref<{rows}x{columns}x{dtype}> to vector<{rows}x{columns}x{dtype}>
    loop.store %v, %y[t1, t0]
      : vector<{rows}x{columns}x{dtype}>, memref<{columns}x{rows}x{dtype}>
  }}
}}"""


@pytest.mark.parametrize(
    "rows, columns, dtype, width, fenced",
    [
        (8, 8, "f32", 8, True),
        (16, 16, "f32", 16, True),
        (8, 8, "f64", 8, True),
        (4, 4, "f32", 4, False),  # too short for LLVM to find many ways
        (8, 5, "f32", 8, False),  # of what is missing LLVM makes fewer shuffles
        (6, 8, "f32", 8, False),
        (8, 8, "i32", 8, False),  # LLVM has no such fence for integers
    ],
)
def test_only_whole_chains_are_fenced(
    rows: int, columns: int, dtype: str, width: int, fenced: bool, rng: np.random.Generator
) -> None:
    module = parse_module(TURNED.format(rows=rows, columns=columns, dtype=dtype))
    UnrollTiles(width=width).apply(new_context(), module)
    text = emit(module).text
    assert "shufflevector" in text
    assert ("llvm.arithmetic.fence" in text) == fenced
    if fenced:  # all rounds of the butterfly but the last, whose vectors are stored
        rounds = width.bit_length() - 1
        assert text.count("= call") == width * (rounds - 1)
    x = rng.integers(-9, 9, (rows, columns)).astype(DTYPES[dtype])
    device = CpuDevice()
    given, result = device.upload(x), device.upload(np.zeros((columns, rows), x.dtype))
    device.load(module).run([given], [result])
    np.testing.assert_array_equal(device.download(result), x.T)
