"""Reductions as tiles: those with a combiner of their own, at the edges of tiles and of numbers."""

import itertools

import numpy as np
import pytest
from xdsl.dialects.builtin import i32
from xdsl.ir import Operation

import picograd
from picograd.backends.runtime import device as find_device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import loop, new_context
from picograd.dialects.dtypes import from_numpy
from picograd.passes.loops.scalar_loops import scalar_hot_loops
from tests.check.test_properties import narrowed

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
WIDTHS = (128, 256, 512)
TILES = (16, 32, 64)
"""The lanes of a tile of float32 at these widths."""
EDGES = sorted({1, 2, 3, 5, *(tile * n + d for tile in TILES for n in (1, 2) for d in (-1, 0, 1))})


def module_text(kind: str, rows: int, columns: int, element: str, axis: int) -> str:
    x, size = f"tensor<{rows}x{columns}x{element}>", (columns, rows)[axis]
    y = f"tensor<{size}xi64>"
    return f"""
func.func @main(%x: {x}) -> {y} {{
  %y = pico.argreduce {kind} %x axis {axis} : {x} -> {y}
  func.return %y : {y}
}}"""


def found(kind: str, x: np.ndarray, axis: int, bits: int) -> np.ndarray:
    """What the CPU finds with vectors of so many bits."""
    rows, columns = x.shape
    text = module_text(kind, rows, columns, str(from_numpy(x.dtype).ir), axis)
    steps = narrowed(pipeline("cpu"), f"cpu:vector_bits={bits}")
    executable = compile_module(parse_module(text), "cpu", passes=steps)
    cpu = find_device("cpu")
    (result,) = executable.run([cpu.upload(x)])
    return cpu.download(result)


def rows_with_ties(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Numbers of few values, special ones among them: each row has others."""
    pools = [SPECIAL, SPECIAL[:6], SPECIAL[:2], SPECIAL[5:6], SPECIAL[5:], rng.normal(size=4)]
    return np.stack([rng.choice(pools[row % len(pools)], columns) for row in range(rows)])


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize(("kind", "numpy"), [("max", np.argmax), ("min", np.argmin)])
def test_the_first_of_equals_and_nan_before_all(bits, kind, numpy, rng) -> None:
    """NumPy takes the first of equal elements, -0.0 equal to 0.0, and the first NaN before all."""
    for columns in EDGES[WIDTHS.index(bits) :: len(WIDTHS)]:
        x = rows_with_ties(rng, 12, columns).astype(np.float32)
        np.testing.assert_array_equal(
            found(kind, x, 1, bits), numpy(x, axis=1), err_msg=f"{columns}"
        )


def test_rows_that_come_from_memory_are_searched_two_at_a_time(rng) -> None:
    x = rows_with_ties(rng, 37, 129).astype(np.float32)
    steps = narrowed(pipeline("cpu"), "cpu:vector_bits=512,vector_registers=32,l2_bytes=4096")
    executable = compile_module(parse_module(module_text("max", 37, 129, "f32", 1)), "cpu",
                                passes=steps)  # fmt: skip
    cpu = find_device("cpu")
    (result,) = executable.run([cpu.upload(x)])
    np.testing.assert_array_equal(cpu.download(result), np.argmax(x, axis=1))
    lowered = parse_module(executable.ir("loop"))
    carried = [len(op.carried) for op in lowered.walk() if isinstance(op, loop.ForOp)]
    assert carried == [8, 4]  # two vectors of each row, and their positions; then the odd row


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64, np.float16])
@pytest.mark.parametrize("axis", [0, 1])
def test_other_types_and_axes(dtype, axis, rng) -> None:
    for columns in (1, 31, 65, 130):
        x = rng.integers(-3, 3, (9, columns)).astype(dtype)
        np.testing.assert_array_equal(found("max", x, axis, 512), np.argmax(x, axis=axis))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("step", [2, 3, 4, 5, -1, -2])
def test_reductions_of_some_elements_of_a_row(step: int, bits: int, rng) -> None:
    """Sizes at the edges of tiles, so that the last vector ends with the buffer."""

    def sum_and_greatest(x: picograd.Tensor) -> tuple[picograd.Tensor, picograd.Tensor]:
        part = x.flip(1)[:, ::-step] if step < 0 else x[:, ::step]
        return part.sum(-1), part.amax(-1)

    steps = narrowed(pipeline("cpu"), f"cpu:vector_bits={bits}")
    for columns in (1, bits // 32 * 8 - 1, bits // 32 * 8, bits // 32 * 16 + 1):
        x = rng.normal(size=(3, (columns - 1) * abs(step) + 1)).astype(np.float32)
        compiled = picograd.compile(sum_and_greatest, passes=steps)
        total, most = compiled(picograd.tensor(x))
        np.testing.assert_allclose(total.numpy(), x[:, ::step].sum(-1), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(most.numpy(), x[:, ::step].max(-1))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_the_least_integers(dtype, rng) -> None:
    """A row of nothing but the identity has its first element for the greatest."""
    low = np.iinfo(dtype).min
    x = np.full((2, 133), low, dtype)
    x[1, 70] = low + 1
    assert found("max", x, 1, 512).tolist() == [0, 70]


def test_nothing_is_scalar_but_the_end_of_a_row(rng) -> None:
    for columns, bits in itertools.product((1024, 1023), WIDTHS):
        module = parse_module(module_text("max", 64, columns, "f32", 1))
        steps = narrowed(pipeline("cpu"), f"cpu:vector_bits={bits}")
        executable = compile_module(module, "cpu", passes=steps)
        lowered = parse_module(executable.ir("loop"))
        kernels = [op for op in lowered.ops if isinstance(op, loop.KernelOp)]
        assert len(kernels) == 1
        assert scalar_hot_loops(kernels[0]) == []


@pytest.mark.parametrize("columns", [1024, 1023, 1025])
def test_in_order_nobody_asks_which_was_first(columns: int) -> None:
    """Inside of a loop the new position is the later one; only the lanes at its end ask, once."""
    module = parse_module(module_text("max", 4, columns, "f32", 1))
    for step in narrowed(pipeline("cpu"), "cpu:vector_bits=512"):
        step.apply(new_context(), module)
    loops = [op for op in module.walk() if isinstance(op, loop.ForOp)]
    assert len(loops) == 1

    def compares_positions(op: Operation) -> bool:
        return isinstance(op, loop.CompareOp) and loop.element_type(op.left.type) == i32

    assert not any(compares_positions(op) for op in loops[0].walk())
    asked = [op for op in module.walk() if compares_positions(op)]
    assert len(asked) == 7  # of 64 lanes 32 are left, two vectors of them, then 16, 8, 4, 2 and 1
