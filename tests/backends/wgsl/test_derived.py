"""What the GPU's pipeline makes of whole programs: staged matmuls, rows with trees, one launch."""

import re

import numpy as np
import pytest

from picograd.backends.wgsl.device import GpuDevice
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, compile_module
from picograd.targets import lookup, register
from tests.programs import softmax

pytestmark = pytest.mark.gpu


def run(
    text: str, *arrays: np.ndarray, cores: int | None = None
) -> tuple[Executable, list[np.ndarray]]:
    """Compile for the GPU, as if it had so many cores, and run; the same twice, bit by bit."""
    device = GpuDevice()
    own = lookup("gpu")
    register("gpu", own.override(cores=own.cores if cores is None else cores))
    try:
        executable = compile_module(parse_module(text), "gpu")
    finally:
        register("gpu", own)
    inputs = [device.upload(array) for array in arrays]
    results = [[device.download(b) for b in executable.run(inputs)] for _ in range(2)]
    assert [a.tobytes() for a in results[0]] == [a.tobytes() for a in results[1]]
    return executable, results[0]


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize(
    "shape",
    # The last two are narrower than the block that a workgroup computes, and have a tail.
    [(64, 64, 64), (100, 90, 70), (33, 130, 17), (1, 200, 50), (512, 59, 64), (500, 33, 20)],
)
def test_a_matmul_of_any_layout_is_right(
    shape: tuple[int, int, int], layout: str, rng: np.random.Generator
) -> None:
    m, n, k = shape
    left = (k, m) if layout[0] == "T" else (m, k)
    right = (n, k) if layout[1] == "T" else (k, n)

    def tensor(shape: tuple[int, int]) -> str:
        return f"tensor<{shape[0]}x{shape[1]}xf32>"

    swap = "pico.permute {} by [1, 0] : {} -> {}"
    x = swap.format("%a", tensor(left), tensor((m, k))) if layout[0] == "T" else None
    w = swap.format("%b", tensor(right), tensor((k, n))) if layout[1] == "T" else None
    text = f"""
func.func @main(%a: {tensor(left)}, %b: {tensor(right)}) -> {tensor((m, n))} {{
  {f"%x = {x}" if x else ""}
  {f"%w = {w}" if w else ""}
  %y = pico.matmul {"%x" if x else "%a"}, {"%w" if w else "%b"}
    : {tensor((m, k))}, {tensor((k, n))} -> {tensor((m, n))}
  func.return %y : {tensor((m, n))}
}}"""
    a, b = normal(rng, *left), normal(rng, *right)
    _, (found,) = run(text, a, b)
    wide_a = (a.T if layout[0] == "T" else a).astype(np.float64)
    wide_b = (b.T if layout[1] == "T" else b).astype(np.float64)
    budget = (k + 1) * 2**-24 * (np.abs(wide_a) @ np.abs(wide_b))
    assert (np.abs(found - wide_a @ wide_b) <= budget).all()


@pytest.mark.parametrize(("cores", "tile"), [(1, 8), (4, 4), (16, 2)])
def test_a_matmul_is_staged_and_its_tile_kept_in_registers(
    cores: int, tile: int, rng: np.random.Generator
) -> None:
    """The more cores, the smaller the tiles: there must be blocks enough for all of them."""
    m, n = 128, 192
    executable, _ = run(
        f"""
func.func @main(%x: tensor<{m}x96xf32>, %w: tensor<96x{n}xf32>) -> tensor<{m}x{n}xf32> {{
  %y = pico.matmul %x, %w : tensor<{m}x96xf32>, tensor<96x{n}xf32> -> tensor<{m}x{n}xf32>
  func.return %y : tensor<{m}x{n}xf32>
}}""",
        normal(rng, m, 96),
        normal(rng, 96, n),
        cores=cores,
    )
    text = executable.ir("target")
    assert text.count("var<workgroup>") == 2
    assert text.count("workgroupBarrier();") == 2
    assert text.count("fma(") == tile * tile
    assert f"_waiting_{tile * tile - 1}: f32" in text
    assert "@workgroup_size(64)" in text
    assert executable.report.kernels == 1


@pytest.mark.parametrize("shape", [(3, 5), (7, 300), (65, 1000)])
def test_softmax_is_one_launch(shape: tuple[int, int], rng: np.random.Generator) -> None:
    rows, columns = shape
    x = normal(rng, rows, columns)
    executable, (found,) = run(softmax(rows, columns), x)
    wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(found, wide / wide.sum(1, keepdims=True), rtol=1e-5)
    assert executable.report.kernels == 1
    assert ("var<workgroup>" in executable.ir("target")) == (columns >= 300)


@pytest.mark.parametrize("size", [1, 63, 5000, 70_000])
def test_a_full_sum_is_a_tree(size: int, rng: np.random.Generator) -> None:
    text = f"""
func.func @main(%x: tensor<{size}xf32>) -> tensor<f32> {{
  %s = pico.reduce add %x axes [0] : tensor<{size}xf32> -> tensor<f32>
  func.return %s : tensor<f32>
}}"""
    x = normal(rng, size)
    executable, (found,) = run(text, x)
    assert abs(found - x.sum(dtype=np.float64)) <= 1e-6 * np.abs(x).sum() + 1e-6
    assert ("_parts" in executable.ir("target")) == (size >= 64)


def test_names_and_comments_reach_the_shader(rng: np.random.Generator) -> None:
    executable, _ = run(
        """
func.func @main(%weights: tensor<40xf32> {pico.name = "weights"}) -> tensor<40xf32> {
  %doubled = pico.binary add %weights, %weights : tensor<40xf32>
  func.return %doubled : tensor<40xf32>
}""",
        normal(rng, 40),
    )
    text = executable.ir("target")
    assert "// kernel @" in text
    assert "%weights" in text


def test_a_row_that_one_thread_has_computed_is_padded(rng: np.random.Generator) -> None:
    """The thread's own variables hold the row, and the padded load reaches beyond them."""
    x = normal(rng, 1, 3)
    executable, (y,) = run(
        """
func.func @main(%x: tensor<1x3xf32>) -> tensor<4xf32> {
  %s = pico.reduce add %x axes [1] : tensor<1x3xf32> -> tensor<1xf32>
  %y = pico.pad %s with 5.0 : f32 low [1] high [2] interior [0] : tensor<1xf32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}""",
        x,
    )
    np.testing.assert_allclose(y, np.pad(x.sum(1), (1, 2), constant_values=5), rtol=1e-6)
    assert re.search(r' pad : memref<1xf32, "(stack|private)">', executable.ir("loop"))
