"""Matrix products at sizes around every edge: register tiles, blocks for small caches, copies."""

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
from picograd.dialects.loop import AllocOp
from picograd.passes.schedule.register_tiles import best_tile
from picograd.targets import lookup

PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "NN": lambda a, b: a @ b,
    "NT": lambda a, b: a @ b.T,
    "TN": lambda a, b: a.T @ b,
    "TT": lambda a, b: a.T @ b.T,
}


def target_of(lanes: int) -> str:
    """A machine whose caches are so small that matrices of a few hundred rows are packed."""
    registers = 16 if lanes == 8 else 32
    return (
        f"cpu:vector_bits={32 * lanes},vector_registers={registers},l1_bytes=2048,"
        "l2_bytes=32768,l3_bytes=262144"
    )


def lowered(kind: str, operands: list[np.ndarray], target: str) -> ModuleOp:
    tensors = [picograd.tensor(array) for array in operands]
    module = picograd.compile(PRODUCTS[kind]).trace(*tensors).module.clone()
    run_pipeline(module, pipeline("cpu").aimed_at(target), facts=frozenset())
    return module


@pytest.mark.parametrize("kind", PRODUCTS)
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("beyond", [-1, 1])
def test_sizes_around_tiles_and_blocks(kind: str, lanes: int, beyond: int) -> None:
    target = target_of(lanes)
    rows, columns = best_tile(400, 200, lanes, lookup(target))
    rng = np.random.default_rng(lanes + beyond)
    # Many rows, so that operands are copied; then around one register tile.
    for m, n, k in ((400 // rows * rows, 8 * columns, 64), (rows, columns, 17)):
        m, n, k = (size + int(rng.integers(0, 2)) * beyond for size in (m, n, k))
        a = rng.standard_normal((k, m) if kind[0] == "T" else (m, k)).astype(np.float32)
        b = rng.standard_normal((n, k) if kind[1] == "T" else (k, n)).astype(np.float32)
        module = lowered(kind, [a, b], target)
        copies = sum(isinstance(op, AllocOp) for op in module.walk())
        assert copies >= (1 if m > 300 else 0)
        wanted = (a.T if kind[0] == "T" else a).astype(np.float64) @ (b.T if kind[1] == "T" else b)
        results: list[bytes] = []
        for threads in (1, 2)[: 1 if beyond < 0 else 2]:
            device = CpuDevice(ThreadPool(threads))
            output = device.upload(np.full((m, n), np.nan, np.float32))
            device.load(module).run([device.upload(a), device.upload(b)], [output])
            device.pool.stop()
            found = device.download(output)
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.sqrt(k))
            results.append(found.tobytes())
        assert results[0] == results[-1]
