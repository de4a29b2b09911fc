"""Kernels scheduled by hand at loop level: what the language must be able to say for the CPU."""

from pathlib import Path

import numpy as np
import pytest
from xdsl.parser import Parser

from picograd.backends.llvm.codegen import assembly, host, x86
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.emit import emit
from picograd.backends.llvm.inspect_assembly import inner_loops
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.dialects import new_context
from picograd.dialects.loop import tile_rank
from picograd.passes.expand_math import ExpandMath
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.semantics.evaluate import evaluate
from picograd.targets import lookup

HERE = Path(__file__).parent


def gemm(x, w, b):
    return np.maximum(x @ w + b, 0)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def attention(q, k, v):
    scores = q @ k.transpose(0, 2, 1) * q.shape[-1] ** -0.5
    hidden = np.triu(np.ones(scores.shape[1:], bool), 1)
    return softmax_last(np.where(hidden, -np.inf, scores)) @ v


def softmax_last(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


SCHEDULES = {
    "gemm_tails": (gemm, [(75, 101), (101, 130), (130,)]),
    "gemm_256_bits": (gemm, [(64, 40), (40, 48), (48,)]),
    "softmax_rows": (softmax, [(33, 203)]),
    "causal_attention": (attention, [(3, 40, 24)] * 3),
    "tree_sum": (np.sum, [(50003,)]),
}
LARGE = {"gemm_512": (gemm, 512), "gemm_1024": (gemm, 1024)}


def parse(name):
    path = HERE / f"{name}.mlir"
    module = Parser(new_context(), path.read_text(), str(path)).parse_module()
    module.verify()
    return module


def finished(name, *, expand=True, target="cpu"):
    """The schedule with its tiles split into machine vectors."""
    module = parse(name)
    if expand:
        ExpandMath().apply(new_context(), module)
    if any(tile_rank(value.type) > 1 for op in module.walk() for value in op.results):
        UnrollTiles(target=target).apply(new_context(), module)
    module.verify()
    return module


def inputs_of(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def run(module, inputs, threads=1):
    device = CpuDevice(ThreadPool(threads))
    main = next(op for op in module.ops if op.name == "func.func")
    type = main.body.block.args[-1].type
    program = device.load(module)
    output = device.upload(np.full(type.get_shape(), np.nan, np.float32))
    program.run([device.upload(array) for array in inputs], [output])
    device.pool.stop()
    return device.download(output)


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", [*SCHEDULES, *LARGE])
def test_text_round_trips(name):
    module = parse(name)
    again = Parser(new_context(), str(module)).parse_module()
    assert str(again) == str(module)
    assert again.is_structurally_equivalent(module)


@pytest.mark.parametrize("name", SCHEDULES)
def test_reference_agrees_with_float64(name):
    exact, shapes = SCHEDULES[name]
    inputs = inputs_of(shapes)
    (found,) = evaluate(parse(name), inputs)
    assert_close(found, exact(*(array.astype(np.float64) for array in inputs)))


@pytest.mark.parametrize("name", SCHEDULES)
def test_machine_code_agrees_with_float64(name):
    exact, shapes = SCHEDULES[name]
    inputs = inputs_of(shapes, seed=1)
    wanted = exact(*(array.astype(np.float64) for array in inputs))
    assert_close(run(finished(name), inputs), wanted)
    assert_close(run(finished(name, expand=False), inputs), wanted)


@pytest.mark.parametrize("name", LARGE)
def test_large_products_agree_with_float64(name):
    exact, size = LARGE[name]
    inputs = inputs_of([(size, size), (size, size), (size,)])
    wanted = exact(*(array.astype(np.float64) for array in inputs))
    assert_close(run(finished(name), inputs), wanted)


@pytest.mark.parametrize("name", ["softmax_rows", "causal_attention", "tree_sum"])
def test_results_do_not_depend_on_the_number_of_threads(name):
    _, shapes = SCHEDULES[name]
    inputs = inputs_of(shapes, seed=2)
    module = finished(name)
    one = run(module, inputs, threads=1)
    for threads in (2, 3, 5):
        assert run(module, inputs, threads).tobytes() == one.tobytes()


@pytest.mark.parametrize("name", ["softmax_rows", "causal_attention"])
def test_nan_spreads_through_its_row_only(name):
    exact, shapes = SCHEDULES[name]
    inputs = inputs_of(shapes, seed=3)
    inputs[0][2, 7] = np.nan
    with np.errstate(invalid="ignore"):
        wanted = exact(*(array.astype(np.float64) for array in inputs))
    found = run(finished(name), inputs)
    assert (np.isnan(found) == np.isnan(wanted)).all()
    assert 0 < np.isnan(found).sum() < found.size


def hot_loop(module, processor, bits):
    """The innermost loop with the most multiply-adds, for a processor that need not be here."""
    text = emit(module, vector_bits=bits).text
    return inner_loops(assembly(text, processor))[0]


@pytest.mark.parametrize("name", ["host", "znver5", "x86-64-v4"])
def test_the_products_inner_loop_spills_nothing(name):
    if name == "host" and lookup("cpu").vector_bits < 512:
        pytest.skip("the host has no registers of 512 bits")
    processor = host() if name == "host" else x86(name)
    loop = hot_loop(finished("gemm_512"), processor, 512)
    assert loop.fused == 8 * 48 // 16
    assert (loop.vector_spills, loop.vector_reloads, loop.scalar_fused) == (0, 0, 0)
    assert loop.instructions <= loop.fused + 20


def test_narrow_registers_hold_a_narrow_tile():
    module = finished("gemm_256_bits", target="cpu:vector_bits=256,vector_registers=16")
    loop = hot_loop(module, x86("x86-64-v3"), 256)
    assert loop.fused == 6 * 16 // 8
    assert (loop.vector_spills, loop.vector_reloads, loop.scalar_fused) == (0, 0, 0)


def test_a_tile_that_does_not_fit_is_noticed():
    module = finished("gemm_512", target="cpu:vector_bits=256,vector_registers=16")
    loop = hot_loop(module, x86("x86-64-v3"), 256)
    assert loop.vector_spills > 0
