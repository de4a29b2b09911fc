"""Matrix products in every transposition, lowered for some machine, and what they have to give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd import Tensor
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline

PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "NN": lambda a, b: a @ b,
    "NT": lambda a, b: a @ b.T,
    "TN": lambda a, b: a.T @ b,
    "TT": lambda a, b: a.T @ b.T,
}

Matrix = NDArray[np.float32]


def target_of(lanes: int) -> str:
    """A machine whose caches are so small that matrices of a few hundred rows are packed."""
    registers = 16 if lanes == 8 else 32
    return (
        f"cpu:vector_bits={32 * lanes},vector_registers={registers},l1_bytes=2048,"
        "l2_bytes=32768,l3_bytes=262144"
    )


def operands(kind: str, m: int, n: int, k: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Random operands whose product has m rows and n columns, each a sum of k terms."""
    a = rng.standard_normal((k, m) if kind[0] == "T" else (m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if kind[1] == "T" else (k, n)).astype(np.float32)
    return a, b


def lowered(kind: str, a: Matrix, b: Matrix, target: str) -> ModuleOp:
    tensors = [picograd.tensor(array) for array in (a, b)]
    module = picograd.compile(PRODUCTS[kind]).trace(*tensors).module.clone()
    run_pipeline(module, pipeline("cpu").aimed_at(target), facts=frozenset())
    return module


def check_product(
    kind: str, a: Matrix, b: Matrix, module: ModuleOp, threads: Sequence[int] = (1, 2)
) -> None:
    """Run a lowered product with several counts of threads: the same bits, and the right ones."""
    wide = a.astype(np.float64)
    wanted = (wide.T if kind[0] == "T" else wide) @ (b.T if kind[1] == "T" else b)
    terms = b.shape[1 if kind[1] == "T" else 0]
    results: set[bytes] = set()
    for count in threads:
        device = CpuDevice(ThreadPool(count))
        output = device.upload(np.full(wanted.shape, np.nan, np.float32))
        device.load(module).run([device.upload(a), device.upload(b)], [output])
        device.pool.stop()
        found = device.download(output)
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=7e-6 * np.sqrt(terms))
        results.add(found.tobytes())
    assert len(results) == 1
