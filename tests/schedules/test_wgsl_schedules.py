"""Hand-written GPU kernels at loop level: they parse, round-trip, evaluate, and run on the GPU.

They show that the loop level can say what a fast GPU kernel is; the passes have to derive them.
"""

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from picograd.backends.wgsl.device import GpuDevice
from picograd.dialects import new_context
from picograd.passes.insert_barriers import InsertBarriers
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.semantics.evaluate import evaluate

FOLDER = Path(__file__).parent
NAMES = ("gemm_wgsl", "tree_reduction_wgsl")


def schedule(name: str) -> ModuleOp:
    module = Parser(new_context(), (FOLDER / f"{name}.mlir").read_text(), name).parse_module()
    module.verify()
    return module


def inputs(name: str, rng: np.random.Generator) -> list[np.ndarray]:
    shapes = {"gemm_wgsl": [(100, 70), (70, 90), (90,)], "tree_reduction_wgsl": [(5, 1000)]}
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes[name]]


def expected(name: str, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The result in float64, and what float32 may lose: n * eps * the sum of absolute terms."""
    wide = [array.astype(np.float64) for array in arrays]
    if name == "gemm_wgsl":
        x, w, b = wide
        size = np.abs(x) @ np.abs(w) + np.abs(b)
        return np.maximum(x @ w + b, 0), 71 * 2**-24 * size
    return wide[0].sum(1), 1000 * 2**-24 * np.abs(wide[0]).sum(1)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_round_trips(name: str) -> None:
    module = schedule(name)
    again = Parser(new_context(), str(module)).parse_module()
    assert module.is_structurally_equivalent(again)
    assert str(again) == str(module)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_means_what_it_should(name: str, rng: np.random.Generator) -> None:
    arrays = inputs(name, rng)
    (found,) = evaluate(schedule(name), arrays)
    reference, budget = expected(name, arrays)
    assert (np.abs(found - reference) <= budget).all()
    (wide,) = evaluate(schedule(name), arrays, precision="float64")
    np.testing.assert_allclose(wide, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_runs_on_the_gpu(name: str, rng: np.random.Generator) -> None:
    arrays = inputs(name, rng)
    module = schedule(name)
    for step in (UnrollTiles(width=1), InsertBarriers()):
        step.apply(new_context(), module)
        module.verify()
    device = GpuDevice()
    program = device.load(module)
    reference, budget = expected(name, arrays)
    output = device.upload(np.full(reference.shape, np.nan, np.float32))
    results: list[np.ndarray] = []
    for _ in range(3):
        program.run([device.upload(array) for array in arrays], [output])
        results.append(device.download(output))
    assert (np.abs(results[0] - reference) <= budget).all()
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    assert "workgroupBarrier();" in program.texts["wgsl"]


@pytest.mark.gpu
def test_the_tile_of_a_gemm_thread_is_kept_in_variables() -> None:
    module = schedule("gemm_wgsl")
    for step in (UnrollTiles(width=1), InsertBarriers()):
        step.apply(new_context(), module)
    text = GpuDevice().load(module).texts["wgsl"]
    waiting = [line for line in text.splitlines() if "_waiting_" in line and "var " in line]
    assert len(waiting) == 64
    assert text.count("workgroupBarrier();") == 2
    assert text.count("fma(") == 64
