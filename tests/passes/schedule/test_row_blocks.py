"""row_blocks: a few rows of a large matrix at a time, right at every edge of the blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd import Tensor
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import ForOp
from picograd.passes.schedule.row_blocks import ROWS_AT_ONCE

SMALL_CACHES = "cpu:vector_bits=512,vector_registers=32,l2_bytes=65536"

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "vector by matrix": lambda x, v: v @ x,
    "sum": lambda x, v: x.sum(0) * 2.0,
    "greatest": lambda x, v: x.amax(0),
    "mean square": lambda x, v: (x * x).mean(0),
}


def lowered(name: str, x: np.ndarray, v: np.ndarray) -> ModuleOp:
    function = FUNCTIONS[name]
    module = picograd.compile(function).trace(picograd.tensor(x), picograd.tensor(v)).module.clone()
    run_pipeline(module, pipeline("cpu").aimed_at(SMALL_CACHES), facts=frozenset())
    return module


def is_blocked(module: ModuleOp) -> bool:
    loops = [op for op in module.walk() if isinstance(op, ForOp)]
    return any(loop.dims[0].step == ROWS_AT_ONCE for loop in loops)


def inputs(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows * columns)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    return x, rng.standard_normal(rows).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("rows", "columns"), [(23, 1024), (24, 2047), (25, 2049), (16, 4096), (17, 4097), (9, 5000)]
)
def test_every_edge_of_the_blocks(name: str, rows: int, columns: int) -> None:
    x, v = inputs(rows, columns)
    module = lowered(name, x, v)
    assert is_blocked(module)
    wide = [picograd.tensor(each.astype(np.float64), device="reference") for each in (x, v)]
    wanted = FUNCTIONS[name](*wide).numpy()
    results: list[bytes] = []
    for threads in (1, 2):
        device = CpuDevice(ThreadPool(threads))
        output = device.upload(np.full(columns, np.nan, np.float32))
        device.load(module).run([device.upload(x), device.upload(v)], [output])
        device.pool.stop()
        np.testing.assert_allclose(device.download(output), wanted, rtol=2e-5, atol=2e-5)
        results.append(device.download(output).tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize(("rows", "columns"), [(512, 200), (15, 1024)])
def test_narrow_and_small_matrices_are_read_in_strips(rows: int, columns: int) -> None:
    assert not is_blocked(lowered("sum", *inputs(rows, columns)))
