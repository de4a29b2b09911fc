"""The cost model: tiles fit the registers, blocks fit the caches, formulas follow the machine."""

import numpy as np
import pytest

from picograd.check.loop_samples import SAMPLES, convolution, linear_relu, softmax, transpose_add
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.loop import LoopOp, ReduceOp
from picograd.passes.rewriting.loops import inner_first, kernels
from picograd.passes.schedule.choose_staging import staged_loads
from picograd.passes.schedule.choose_tiles import (
    block_sizes,
    even_blocks,
    reduce_sizes,
    register_sizes,
)
from picograd.passes.schedule.register_tiles import best_tile
from picograd.targets import lookup

AVX512 = "cpu:vector_bits=512,vector_registers=32,l1_bytes=49152,l2_bytes=1048576,l3_bytes=33554432"
AVX2 = "cpu:vector_bits=256,vector_registers=16,l1_bytes=32768,l2_bytes=262144,l3_bytes=8388608"


def kernel_of(text: str):
    (kernel,) = kernels(parse_module(text))
    return kernel


def by_name(plan) -> dict[str, dict[str, int]]:
    return {
        " ".join(dim.name for dim in op.dims): dict(sizes)
        for op, sizes in plan.items()
        if isinstance(op, LoopOp)
    }


@pytest.mark.parametrize(
    ("target", "lanes", "expected"), [(AVX512, 16, (6, 64)), (AVX2, 8, (6, 16))]
)
def test_the_tile_of_a_large_product(target: str, lanes: int, expected: tuple[int, int]) -> None:
    assert best_tile(1000, 999, lanes, lookup(target)) == expected


def test_tiles_fit_the_registers_and_the_output() -> None:
    rng = np.random.default_rng(8)
    for _ in range(100):
        rows, columns = (int(size) for size in rng.integers(1, 200, 2))
        lanes, registers = int(rng.choice([1, 4, 8, 16])), int(rng.choice([8, 16, 32]))
        target = lookup(f"cpu:vector_registers={registers}")
        height, width = best_tile(rows, columns, lanes, target)
        vectors = -(-width // lanes)
        assert 1 <= height <= rows and 1 <= width <= columns
        assert height * vectors + vectors + 1 <= registers


@pytest.mark.parametrize(
    ("spelling", "lanes"), [(AVX512, 16), (AVX2, 8), ("cpu:vector_bits=128", 4)]
)
def test_square_tiles_of_a_transposed_operand_fit_the_blocks(spelling: str, lanes: int) -> None:
    target = lookup(spelling)
    for size in (1024, 1000, 777):
        depth = by_name(block_sizes(kernel_of(linear_relu(32, size, size)), target))["i j"]["k"]
        assert depth % lanes == 0 and depth % 8 == 0


def test_blocks_are_even_multiples() -> None:
    rng = np.random.default_rng(9)
    for _ in range(200):
        extent, size, step = (int(n) for n in rng.integers(1, 3000, 3))
        step = step % 50 + 1
        block = even_blocks(extent, size, step)
        assert block % step == 0
        blocks = -(-extent // block)
        assert blocks * block - extent < block


def test_small_products_are_not_blocked_and_large_ones_are() -> None:
    target = lookup(AVX512)
    small = by_name(block_sizes(kernel_of(linear_relu(256, 256, 256)), target))["i j"]
    assert small["i"] >= 256 and small["k"] >= 256
    large = by_name(block_sizes(kernel_of(linear_relu(4096, 4096, 4096)), target))["i j"]
    # One panel of the right operand at a time: as wide as a register tile, and it leaves most of
    # the second cache free. What goes by of the left operand leaves most of the third.
    assert small["j"] == large["j"] == 64
    assert large["k"] * large["j"] * 4 <= target.l2_bytes // 4
    assert target.l3_bytes // 8 <= large["i"] * large["k"] * 4 <= target.l3_bytes // 2


def test_only_contractions_are_blocked() -> None:
    target = lookup(AVX512)
    for name in ("softmax", "transpose_add", "triangle", "integer_reductions", "argmax_gather"):
        sample = SAMPLES[name]
        assert block_sizes(kernel_of(sample.text(*sample.most)), target) == {}


def test_register_tiles_of_other_nests() -> None:
    target = lookup(AVX512)
    assert by_name(register_sizes(kernel_of(softmax(64, 512)), target)) == {"j": {"j": 64}}
    tiles = by_name(register_sizes(kernel_of(transpose_add(100, 100)), target))["i j"]
    assert tiles == {"i": 16, "j": 16}
    conv = by_name(register_sizes(kernel_of(convolution(2, 8, 16, 56, 56)), target))["n o p q"]
    assert set(conv) == {"o", "q"}


def test_reductions_that_run_along_memory_get_accumulators() -> None:
    kernel = kernel_of(softmax(64, 512))
    reductions = inner_first(kernel, ReduceOp)
    sizes = reduce_sizes(reductions, lookup(AVX512))
    assert sorted(sizes.values()) == [("a", 128), ("b", 32)]
    columns = kernel_of(SAMPLES["integer_reductions"].text(64, 64))
    found = reduce_sizes(inner_first(columns, ReduceOp), lookup(AVX512))
    assert [name for name, _ in found.values()] == ["b"], "columns are vectorized across, not along"


@pytest.mark.parametrize(
    ("place", "chosen"),
    [
        ("%a, %b * 3", "b"),
        ("%a, 255 - %b", "b"),
        ("0, %b * 4 + %a", "a"),
        ("%b, %a * 2", "a"),
        ("%b, %a * 5", None),
        ("%a, 7", None),
    ],
)
def test_reductions_of_what_lies_a_few_elements_apart(place: str, chosen: str | None) -> None:
    kernel = kernel_of(f"""
loop.kernel @k(%x: memref<64x256xf32>, %y: memref<1xf32>) {{
  %sum = loop.reduce add (%a, %b) = (0, 0) to (50, 50) : f32 {{
    %v = loop.load %x[{place}] : memref<64x256xf32>
    loop.yield %v : f32
  }}
  loop.store %sum, %y[0] : f32, memref<1xf32>
}}""")
    sizes = reduce_sizes(inner_first(kernel, ReduceOp), lookup(AVX512))
    assert [name for name, _ in sizes.values()] == ([chosen] if chosen else [])


@pytest.mark.parametrize(("value", "tile"), [("%v", 128), ("%t", 64)])
def test_columns_are_reduced_in_long_runs_where_that_is_all(value: str, tile: int) -> None:
    """Down a column each row is one run of memory: as long as there are registers to spare."""
    x, y = "memref<4096x1024xf32>", "memref<1024xf32>"
    kernel = kernel_of(f"""
loop.kernel @columns(%x: {x}, %y: {y}) {{
  loop.parallel %i = 0 to 1024 {{
    %sum = loop.reduce add %j = 0 to 4096 : f32 {{
      %v = loop.load %x[%j, %i] : {x}
      {"%s = arith.mulf %v, %v : f32" if value == "%t" else ""}
      {"%t = arith.addf %s, %v : f32" if value == "%t" else ""}
      loop.yield {value} : f32
    }}
    loop.store %sum, %y[%i] : f32, {y}
  }}
}}""")
    assert by_name(register_sizes(kernel, lookup(AVX512))) == {"i": {"i": tile}}


def test_a_gpu_blocks_for_workgroups() -> None:
    target = lookup("gpu")
    blocks = by_name(block_sizes(kernel_of(linear_relu(512, 512, 512)), target))["i j"]
    staged = (blocks["i"] + blocks["j"]) * blocks["k"] * 4
    assert staged <= target.workgroup_bytes
    tiny = by_name(block_sizes(kernel_of(linear_relu(8, 8, 8)), target))
    assert all(not sizes for sizes in tiny.values())


def test_awkward_operands_are_copied_where_they_are_used_often() -> None:
    target = lookup(AVX512)

    def copied(text: str) -> list[str | None]:
        return [choice.load.memref.name_hint for choice in staged_loads(kernel_of(text), target)]

    assert copied(SAMPLES["transposed_matmul"].text(96, 96, 96)) == ["w"]
    assert copied(SAMPLES["transposed_matmul"].text(2, 96, 96)) == []
    assert copied(convolution(2, 8, 16, 56, 56)) == ["x"]
    assert copied(linear_relu(64, 64, 64)) == []


@pytest.mark.parametrize(("columns", "copied"), [(64, False), (160, False), (256, True)])
@pytest.mark.parametrize(("rows", "often"), [(64, False), (256, True)])
def test_a_small_part_of_long_rows_is_copied_where_it_is_used_often(
    columns: int, copied: bool, rows: int, often: bool
) -> None:
    """A slice of a matrix, such as the keys of one head among all that a product made."""
    text = linear_relu(rows, 64, 250).replace("250x64xf32", f"250x{columns}xf32")
    found = [
        choice.load.memref.name_hint for choice in staged_loads(kernel_of(text), lookup(AVX512))
    ]
    assert found == (["w"] if copied and often else [])


@pytest.mark.parametrize(("rows", "columns", "most"), [(33, 1024, 256), (48, 1024, 256)])
def test_panels_that_are_no_copies_leave_room_in_the_places_they_share(
    rows: int, columns: int, most: int
) -> None:
    """Rows a multiple of 4 KiB apart crowd in the places of a few lines of each page."""
    target = lookup(f"{AVX512},l2_bytes=2097152")
    nest = by_name(block_sizes(kernel_of(linear_relu(rows, columns, 512)), target))["i j"]
    assert nest["k"] <= most < 512
    apart = by_name(block_sizes(kernel_of(linear_relu(rows, columns + 4, 512)), target))["i j"]
    assert apart["k"] > nest["k"]
