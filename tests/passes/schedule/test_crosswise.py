"""crosswise: which operand is turned round, with what results, and how threads share them."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr

import picograd
from picograd import Tensor
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import LoadOp, tile_rank
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.schedule.choices import SCHEDULE
from picograd.passes.schedule.choose_staging import staged_loads
from picograd.passes.schedule.choose_tiles import block_sizes, leaf_nests
from picograd.passes.schedule.crosswise import contraction_for
from picograd.targets import lookup
from tests.passes.schedule.products import check_product, lowered, operands, target_of
from tests.passes.schedule.test_choose_tiles import AVX512, by_name, kernel_of
from tests.passes.schedule.test_operand_copies import linear


def lane_of(text: str, target: str = AVX512, choices: str = "") -> str:
    """The dimension along which the vectors of a product go."""
    kernel = kernel_of(text)
    if choices:
        kernel.attributes[SCHEDULE] = StringAttr(choices)
    (nest,) = leaf_nests(kernel)
    contraction = contraction_for(nest, lookup(target), LoopFacts())
    assert contraction is not None
    return contraction.lane.name


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "lane"),
    [
        (128, 784, 512, "i"),
        (16, 1536, 1536, "i"),
        (3, 784, 512, "j"),  # summed along memory, not turned round
        (512, 512, 512, "j"),
        (128, 512, 10, "j"),  # hardly anything to turn round but results
        (128, 10, 512, "j"),
        (64, 64, 64, "j"),
    ],
)
def test_few_rows_are_turned_round_in_the_place_of_a_large_matrix(
    rows: int, columns: int, depth: int, lane: str
) -> None:
    assert lane_of(linear(rows, columns, depth)) == lane


def test_what_has_its_elements_side_by_side_stays() -> None:
    text = linear(128, 784, 512).replace("784x512", "512x784").replace("[%j, %k]", "[%k, %j]")
    assert lane_of(text) == "j"


def test_a_gpu_and_a_chosen_packing_keep_the_roles() -> None:
    text = linear(128, 784, 512)
    assert lane_of(text, "gpu") == "j"
    assert lane_of(text, choices="pack=right") == "j"
    assert lane_of(text, choices="rows=4") == "i"


def test_only_the_left_operand_is_copied() -> None:
    (choice,) = staged_loads(kernel_of(linear(128, 784, 512)), lookup(AVX512))
    assert choice.load.memref.name_hint == "x"


@pytest.mark.parametrize(("cores", "blocks"), [(1, 1), (2, 2), (64, 8)])
def test_blocks_of_the_other_operand_give_each_core_some(cores: int, blocks: int) -> None:
    """But no more than that the copy that each of them makes is little beside its work."""
    target = lookup(f"{AVX512},cores={cores}")
    sizes = by_name(block_sizes(kernel_of(linear(128, 784, 512)), target))["i j"]
    assert sizes["i"] == 64
    assert -(-784 // sizes["j"]) == blocks


def tiles_read(module: ModuleOp, shape: str) -> set[int]:
    """The axes of what is read at a time from the matrix of a shape."""
    loads = [op for op in module.walk() if isinstance(op, LoadOp)]
    return {tile_rank(op.result.type) for op in loads if f"<{shape}xf32>" in str(op.memref.type)}


@pytest.mark.parametrize("kind", ["NT", "TT"])
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("seed", range(3))
def test_every_edge_of_tiles_that_are_turned_round(kind: str, lanes: int, seed: int) -> None:
    rng = np.random.default_rng((seed, lanes))
    m, n, k = (int(rng.integers(*pair)) for pair in ((29, 33), (190, 260), (180, 240)))
    a, b = operands(kind, m, n, k, rng)
    target = target_of(lanes).replace("l2_bytes=32768", "l2_bytes=262144")
    module = lowered(kind, a, b, f"{target},cores=2")
    assert tiles_read(module, f"{n}x{k}") == {0}
    check_product(kind, a, b, module, (1, 2, 3))


@pytest.mark.parametrize("rows", [29, 47])
def test_what_follows_a_product_is_computed_in_turned_tiles(rows: int) -> None:
    rng = np.random.default_rng(rows)
    shapes = ((rows, 700), (210, 700), (210,), (rows, 210))
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    @picograd.compile
    def layer(x: Tensor, w: Tensor, b: Tensor, h: Tensor) -> Tensor:
        return (x @ w.T + b).relu() * h

    module = layer.trace(*map(picograd.tensor, arrays)).module.clone()
    run_pipeline(module, pipeline("cpu").aimed_at(AVX512), facts=frozenset())
    assert tiles_read(module, "210x700") == {0}
    device = CpuDevice(ThreadPool(2))
    output = device.upload(np.full(shapes[3], np.nan, np.float32))
    device.load(module).run([device.upload(array) for array in arrays], [output])
    device.pool.stop()
    x, w, b, h = (array.astype(np.float64) for array in arrays)
    wanted = np.maximum(x @ w.T + b, 0) * h
    np.testing.assert_allclose(device.download(output), wanted, rtol=2e-5, atol=1e-4)
