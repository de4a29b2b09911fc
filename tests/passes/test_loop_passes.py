"""All passes over the loop level at once: random kernels, sizes and machines keep their meaning."""

from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.check.loop_samples import SAMPLES, check_passes, linear_relu, softmax, the_kernel
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.loop import AllocOp, LoadOp, ShuffleOp, tile_rank, tile_shape
from picograd.passes.base import Pass
from picograd.passes.hoist_reduce import HoistReduce
from picograd.passes.loops.scalar_loops import scalar_hot_loops
from picograd.passes.lower_reduce import LowerReduce
from picograd.passes.stage_operands import StageOperands
from picograd.passes.tile_loops import TileLoops
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.passes.vectorize_loops import VectorizeLoops

AVX512 = (
    "cpu:vector_bits=512,vector_registers=32,l1_bytes=49152,l2_bytes=1048576,l3_bytes=33554432,"
    "fma=true,cores=1"
)


def pipeline(target: str) -> list[Pass]:
    return [
        TileLoops(target=target),
        HoistReduce(target=target),
        StageOperands(target=target),
        TileLoops(exact=True, target=target),
        VectorizeLoops(target=target),
        LowerReduce(target=target),
        UnrollTiles(target=target),
    ]


def random_target(rng: np.random.Generator) -> str:
    """A machine, often with caches so small that everything is blocked and packed."""
    facts = {
        "vector_bits": rng.choice([64, 128, 256, 512]),
        "vector_registers": rng.choice([8, 16, 32]),
        "l1_bytes": rng.choice([512, 4096, 32768]),
        "l2_bytes": rng.choice([1024, 8192, 262144]),
        "l3_bytes": rng.choice([0, 4096, 1 << 20]),
    }
    fma = "true" if rng.integers(2) else "false"
    return "cpu:" + ",".join(f"{key}={value}" for key, value in facts.items()) + f",fma={fma}"


def after(text: str, passes: Sequence[Pass]) -> ModuleOp:
    """What passes make of a kernel that is too large to evaluate."""
    module = parse_module(text)
    for step in passes:
        step.apply(new_context(), module)
    module.verify()
    return module


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SAMPLES)
def test_the_pipeline_preserves_meaning(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(name)])
    check_passes(SAMPLES[name].draw(rng), pipeline(random_target(rng)), seed=seed)


@pytest.mark.parametrize("seed", range(8))
def test_passes_in_any_order_preserve_meaning(seed: int) -> None:
    """Only that reductions over tiles are lowered before tiles are split is needed."""
    rng = np.random.default_rng([seed, 77])
    steps = pipeline(random_target(rng))
    steps.insert(4, TileLoops(exact=True, target="cpu:vector_bits=128"))
    kept = [step for step in steps[:-2] if rng.integers(4)]
    rng.shuffle(kept)  # type: ignore[arg-type]
    kept += [steps[-2], steps[-1], LowerReduce(), UnrollTiles(width=2)]
    name = list(SAMPLES)[seed % len(SAMPLES)]
    check_passes(SAMPLES[name].draw(rng), kept, seed=seed)


def test_a_schedule_given_by_name() -> None:
    """The classic one: blocks, a hoisted reduction, packed operands, register tiles."""
    rng = np.random.default_rng(5)
    for _ in range(5):
        m, n, k = (int(size) for size in rng.integers(17, 36, 3))
        rows, columns, depth = (int(size) for size in rng.integers(2, 8, 3))
        passes = [
            TileLoops(sizes=f"j={2 * columns} i={2 * rows} k={depth}"),
            HoistReduce(loop="k0", above="i0"),
            StageOperands(operand="w", at="k0", layout=f"j={columns} k=1"),
            StageOperands(operand="x", at="i0", layout=f"i={rows} k=1"),
            TileLoops(sizes=f"j={columns} i={rows} w_j={columns} x_i={rows}", exact=True),
            VectorizeLoops(),
            LowerReduce(),
            UnrollTiles(width=int(rng.choice([1, 2, 4, 16]))),
        ]
        if depth < k:
            check_passes(linear_relu(m, n, k), passes, seed=m)


@pytest.mark.parametrize(("m", "n", "k"), [(1000, 1000, 1000), (128, 512, 784)])
def test_the_register_tile_of_a_matmul(m: int, n: int, k: int) -> None:
    """6 x 64 accumulators for 16 lanes and 32 registers, and nothing scalar in a hot loop."""
    module = after(linear_relu(m, n, k), pipeline(AVX512)[:-1])
    kernel = the_kernel(module)
    accumulators = {
        tile_shape(value.type)
        for op in kernel.walk()
        if op.name == "loop.for"
        for value in op.results
        if tile_rank(value.type)
    }
    assert (6, 64) in accumulators
    assert scalar_hot_loops(kernel) == []


@pytest.mark.parametrize(
    ("m", "n", "k", "copies"),
    [
        (256, 256, 256, 0),
        (512, 512, 512, 1),
        (1000, 1000, 1000, 1),
        (2048, 2048, 2048, 1),
        (128, 2048, 2048, 1),  # few rows make up for a copy of what no second cache holds,
        (128, 2000, 2000, 1),
        (48, 1024, 1024, 1),
        (48, 4096, 4096, 1),
        (24, 2000, 2000, 0),  # but not so few: they read all of it row by row
        (512, 512, 128, 1),  # a panel fits the first cache, but not where its rows lie
        (512, 496, 128, 0),
        (512, 500, 128, 1),  # rows begin anywhere in a line
    ],
)
def test_packing_follows_the_caches(m: int, n: int, k: int, copies: int) -> None:
    module = after(linear_relu(m, n, k), pipeline(AVX512)[:3])
    assert sum(isinstance(op, AllocOp) for op in module.walk()) == copies


@pytest.mark.parametrize(
    ("m", "n", "k", "copies"),
    [
        (256, 256, 256, 0),  # too few panels to make up for a copy
        (1024, 1024, 1024, 2),
        (1024, 64, 1024, 0),
        (1024, 1024, 128, 2),
        (1024, 2048, 32, 1),  # so few lines stay in the first cache
    ],
)
def test_a_left_operand_is_packed_whose_rows_are_not_walked_along(
    m: int, n: int, k: int, copies: int
) -> None:
    text = linear_relu(m, n, k).replace("%x[%i, %k]", "%x[%k, %i]")
    text = text.replace(f"memref<{m}x{k}xf32>", f"memref<{k}x{m}xf32>")
    module = after(text, pipeline(AVX512)[:3])
    assert sum(isinstance(op, AllocOp) for op in module.walk()) == copies


def test_softmax_is_vectorized() -> None:
    module = after(softmax(4096, 1024), pipeline(AVX512))
    kernel = the_kernel(module)
    assert scalar_hot_loops(kernel) == []
    loads = [op for op in kernel.walk() if isinstance(op, LoadOp)]
    assert loads and all(tile_shape(op.result.type) == (16,) for op in loads)


def test_hot_scalar_loops_are_reported() -> None:
    module = after(softmax(64, 64), [LowerReduce()])
    names = [line.partition(":")[0] for line in scalar_hot_loops(the_kernel(module))]
    assert names == ["a", "b", "j"]


def test_strided_operands_are_transposed_with_shuffles() -> None:
    module = after(SAMPLES["transposed_matmul"].text(96, 96, 96), pipeline(AVX512))
    kernel = the_kernel(module)
    assert any(isinstance(op, ShuffleOp) for op in kernel.walk())
    assert scalar_hot_loops(kernel) == []
