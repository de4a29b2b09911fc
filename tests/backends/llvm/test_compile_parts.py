"""compile_parts: programs whose kernels are compiled one by one are what they are as a whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp, StringAttr

import picograd
from picograd.backends.llvm import background, codegen, compile_parts
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.standing.code import ENTRY_CODE, POOL_CODE
from picograd.backends.runtime import Image
from picograd.check.generation.programs import random_samples
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.buffer import outputs_of
from picograd.dialects.dtypes import dtype_of
from picograd.dialects.loop import KernelOp
from picograd.errors import CompileError
from picograd.semantics.entry import entry_of


@pytest.fixture(autouse=True, scope="module")
def nothing_else_compiles() -> None:
    """What is the same for all programs has been made: no thread of it begins or ends here."""
    ENTRY_CODE.library()
    POOL_CODE.library()


def lowered(count: int, seed: int) -> list[tuple[ModuleOp, Sequence[NDArray[Any]]]]:
    """Random modules of loop level, and inputs for each."""
    samples = list(random_samples(count, seed, fewest_ops=5, most_ops=10))
    given: list[tuple[ModuleOp, Sequence[NDArray[Any]]]] = [
        (sample.module, sample.inputs) for sample in samples
    ]
    for module, _ in given:
        run_pipeline(module, pipeline("cpu"))
    return given


@pytest.mark.parametrize("enough", [1, 60, 100_000])
def test_results_are_those_of_the_whole(enough: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_parts, "_ENOUGH", enough)
    device, parts = CpuDevice(), 0
    for module, inputs in lowered(6, 11):
        image = device.compile(module)
        parts = max(parts, image.facts["parts"])
        in_parts, whole = device.restore(image), device.load(module)
        types = [dtype_of(type) for type in whole_outputs(module)]
        shapes = [type.get_shape() for type in whole_outputs(module)]
        results: list[list[NDArray[Any]]] = []
        for program in (whole, in_parts):
            given = [device.upload(one) for one in inputs]
            made = [
                device.upload(np.zeros(shape, dtype.numpy))
                for shape, dtype in zip(shapes, types, strict=True)
            ]
            program.run(given, made)
            results.append([device.download(one) for one in made])
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)
        assert in_parts.launches == whole.launches
        assert in_parts.scratch_bytes == whole.scratch_bytes
    assert (parts > 1) == (enough < 100_000)


def test_a_kernel_that_nobody_launches_is_left_out() -> None:
    device = CpuDevice()
    module, _ = lowered(1, 3)[0]
    blobs = device.compile(module).blobs
    extra = next(op for op in module.ops if isinstance(op, KernelOp)).clone()
    extra.properties["sym_name"] = StringAttr("unused")
    module.body.block.insert_op_before(extra, next(iter(module.ops)))
    assert device.compile(module).blobs == blobs


def whole_outputs(module: ModuleOp) -> list[Any]:
    """The types of the buffers that `@main` writes."""
    return [argument.type for argument in outputs_of(entry_of(module))]


def test_what_llvm_rejects_is_told_of_and_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    device, before = CpuDevice(), threading.active_count()
    module, _ = lowered(1, 3)[0]

    def reject(text: str, **_: object) -> bytes:
        raise CompileError("no", expected="a", found="b", code="PG902", hint="c")

    monkeypatch.setattr(codegen, "object_code", reject)
    with pytest.raises(CompileError, match="no"):
        device.compile(module)
    assert threading.active_count() == before


def test_other_work_is_done_while_llvm_generates_code(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = lowered(1, 3)[0]
    kernels = [op for op in module.ops if isinstance(op, KernelOp)]
    expected, original = CpuDevice().compile(module), codegen.object_code
    done: list[str] = []

    def told(text: str, begun: Callable[[], None] | None = None) -> bytes:
        def has_begun() -> None:
            done.append("begun")
            if begun is not None:
                begun()

        return original(text, begun=has_begun)

    monkeypatch.setattr(codegen, "object_code", told)
    for enough in (1, 100_000):
        monkeypatch.setattr(compile_parts, "_ENOUGH", enough)
        done.clear()
        with CpuDevice().in_parts() as compiling:
            for kernel in kernels:
                compiling.kernel(kernel)
            image = compiling.finish(module, lambda: done.append("meanwhile"))
        assert done.count("meanwhile") == (enough == 1)
        assert "begun" in done[: done.index("meanwhile") if enough == 1 else None]
        assert enough == 1 or image.blobs == expected.blobs


@pytest.mark.parametrize("fails", [False, True])
def test_other_work_is_done_though_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The thread may have come to its end, or to a text that LLVM rejects, before anybody asks."""
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    module, _ = lowered(1, 3)[0]
    kernel = next(op for op in module.ops if isinstance(op, KernelOp))
    original, done = codegen.object_code, threading.Event()

    def code(text: str, **words: Any) -> bytes:
        if fails:
            raise CompileError("no", expected="a", found="b", code="PG902", hint="c")
        return original(text, **words)

    monkeypatch.setattr(codegen, "object_code", code)
    with (
        pytest.raises(CompileError, match="no") if fails else nullcontext(),
        CpuDevice().in_parts() as compiling,
    ):
        compiling.kernel(kernel)
        time.sleep(0.2)
        compiling.finish(module, done.set)
    assert done.is_set()


def test_whoever_gives_up_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    device, before = CpuDevice(), threading.active_count()
    usual = sys.getswitchinterval()
    module, _ = lowered(1, 3)[0]
    kernels = [op for op in module.ops if isinstance(op, KernelOp)]
    with pytest.raises(KeyboardInterrupt), device.in_parts() as compiling:
        for kernel in kernels * 5:
            compiling.kernel(kernel)
        assert sys.getswitchinterval() < usual
        raise KeyboardInterrupt
    assert threading.active_count() == before
    assert sys.getswitchinterval() == usual


def test_a_system_that_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    device, (module, _) = CpuDevice(), lowered(1, 3)[0]
    usual, expected = sys.getswitchinterval(), device.compile(module)

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background.Thread, "start", refused)
    image = device.compile(module)
    assert image.blobs == expected.blobs and image.facts["parts"] > 1
    assert sys.getswitchinterval() == usual


def test_one_thread_is_one_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many threads there are for computing says nothing of the one that compiles."""
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    module, _ = lowered(1, 3)[0]
    names: set[str] = set()
    original = codegen.object_code

    def named(text: str, **words: Any) -> bytes:
        names.add(threading.current_thread().name)
        return original(text, **words)

    monkeypatch.setattr(codegen, "object_code", named)
    before = picograd.get_num_threads()
    images: list[Image] = []
    for threads in (1, 3):
        picograd.set_num_threads(threads)
        images.append(CpuDevice().compile(module))
    picograd.set_num_threads(before)
    assert images[0].blobs == images[1].blobs
    assert names == {"picograd: LLVM"}


def test_a_compiled_function_of_many_kernels(rng: np.random.Generator) -> None:
    x = picograd.tensor(rng.standard_normal((70, 33)).astype(np.float32))

    def layers(x: picograd.Tensor) -> picograd.Tensor:
        for _ in range(4):
            x = (x @ x.T).softmax(1) @ x
        return x

    compiled = picograd.compile(layers)
    np.testing.assert_allclose(compiled(x).numpy(), layers(x).numpy(), rtol=1e-4, atol=1e-5)
