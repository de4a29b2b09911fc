"""Which weights are kept in panels, and how wide; products read them as they read copies."""

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import AllocOp, KernelOp
from picograd.passes.loops.scalar_loops import scalar_hot_loops
from picograd.passes.schedule.constant_panels import panel_columns
from picograd.passes.schedule.register_tiles import best_tile
from picograd.targets import lookup

AVX512 = "vector_bits=512,vector_registers=32,memory_operands=true"
SMALL_CACHES = "l1_bytes=512,l2_bytes=2048,l3_bytes=4096"


def test_panels_are_as_wide_as_the_tiles_that_suit_the_rows() -> None:
    target = lookup(f"cpu:{AVX512}")

    def wide(rows: int, columns: int, *, transposed: bool = False) -> int | None:
        return panel_columns(rows, 64, columns, 32, target, transposed=transposed)

    assert wide(16, 1000) == 48
    assert wide(128, 512) == 64
    assert wide(128, 20) == 32
    assert wide(128, 48) is None
    assert wide(128, 48, transposed=True) == 48
    assert wide(128, 7, transposed=True) is None
    assert wide(2, 512) is None
    assert wide(2, 512, transposed=True) == 128
    assert wide(1, 512, transposed=True) is None
    assert wide(1024, 512) is None


def test_a_tile_is_as_wide_as_a_panel_or_a_part_of_it() -> None:
    target = lookup(f"cpu:{AVX512}")
    for panel in (16, 32, 48, 64):
        rows, columns = best_tile(100, 500, 16, target, panel)
        assert columns == panel
        assert rows > 4
    assert best_tile(100, 500, 16, target, 320)[1] in (64, 80)
    assert best_tile(100, 500, 16, target, 10)[1] == 10
    assert best_tile(100, 500, 16, target, 200) == (1, 200)


def product(rows: int, depth: int, columns: int, panel: int) -> str:
    """A product with a weight that lies in panels: unpacked, as far as tensors are concerned."""
    count = -(-columns // panel)
    x, p = f"tensor<{rows}x{depth}xf32>", f"tensor<{count}x{depth}x{panel}xf32>"
    t, u = f"tensor<{depth}x{count}x{panel}xf32>", f"tensor<{depth}x{count * panel}xf32>"
    w, y = f"tensor<{depth}x{columns}xf32>", f"tensor<{rows}x{columns}xf32>"
    return f"""
        func.func @main(%x: {x}, %p: {p}) -> {y} {{
          %t = pico.permute %p by [1, 0, 2] : {p} -> {t}
          %u = pico.reshape %t to [{depth}, {count * panel}] : {t} -> {u}
          %w = pico.slice %u from [0, 0] to [{depth}, {columns}] step [1, 1] : {u} -> {w}
          %y = pico.matmul %x, %w : {x}, {w} -> {y}
          func.return %y : {y}
        }}"""


@pytest.mark.parametrize("caches", ["", f",{SMALL_CACHES}"], ids=["caches", "small caches"])
@pytest.mark.parametrize("bits", [128, 256, 512])
def test_products_read_panels_where_they_lie(
    bits: int, caches: str, rng: np.random.Generator
) -> None:
    """No copy, no single elements; all widths, and columns around the edges of panels."""
    target = f"cpu:vector_bits={bits},vector_registers={32 if bits == 512 else 16}{caches}"
    lanes = bits // 32
    for rows, depth, over in ((7, 9, -1), (13, 33, 0), (50, 17, 1), (12, 70, lanes)):
        panel = best_tile(rows, 8 * lanes, lanes, lookup(target))[1]
        columns = 2 * panel + over
        text = product(rows, depth, columns, panel)
        steps = pipeline("cpu").aimed_at(target)
        module = parse_module(text)
        run_pipeline(module, steps, facts=frozenset())
        kernels = [op for op in module.walk() if isinstance(op, KernelOp)]
        assert len(kernels) == 1
        assert not any(isinstance(op, AllocOp) for op in kernels[0].walk())
        assert not scalar_hot_loops(kernels[0])
        x = rng.standard_normal((rows, depth), np.float32)
        p = rng.standard_normal((-(-columns // panel), depth, panel), np.float32)
        executable = compile_module(parse_module(text), "cpu", passes=steps)
        buffers = [executable.device.upload(array) for array in (x, p)]
        (y,) = (executable.device.download(b) for b in executable.run(buffers))
        w = p.astype(np.float64).transpose(1, 0, 2).reshape(depth, -1)[:, :columns]
        np.testing.assert_allclose(y, x @ w, rtol=1e-5, atol=1e-4)
