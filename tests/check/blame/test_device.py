"""A wrong back end is blamed: the kernel, the store in it, and the lines of generated code."""

import numpy as np
import pytest
from xdsl.dialects import arith, math

from picograd.backends.llvm import emit, emit_elements
from picograd.backends.wgsl import elements
from picograd.check.blame import Blame, blame
from picograd.check.blame.parts import parts_of
from picograd.check.blame.stores import first_wrong_store, stores_of
from picograd.check.generation.programs import random_samples
from picograd.check.oracle import Case
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import clear_cache
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.expectation import expect
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import bool_, float32, int32
from picograd.dialects.loop import KernelOp
from picograd.errors import CompileError
from picograd.semantics.accuracy import ACCURACY

PRODUCT = """builtin.module {
  func.func @main(%x: tensor<6x100xf32>, %z: tensor<100x5xf32>) -> tensor<6x5xf32> {
    %h = pico.unary abs %x : tensor<6x100xf32>
    %y = pico.matmul %h, %z : tensor<6x100xf32>, tensor<100x5xf32> -> tensor<6x5xf32>
    %q = pico.unary sqrt %y : tensor<6x5xf32>
    %r = pico.binary sub %q, %y : tensor<6x5xf32>
    func.return %r : tensor<6x5xf32>
  }
}"""

# Long sums, each thread a share of one: the shares lie in workgroup memory.
SHARES = """builtin.module {
  func.func @main(%x: tensor<6x300xf32>, %z: tensor<6x300xf32>) -> tensor<6xf32> {
    %n = pico.binary sub %x, %z : tensor<6x300xf32>
    %s = pico.reduce add %n axes [1] : tensor<6x300xf32> -> tensor<6xf32>
    %r = pico.unary neg %s : tensor<6xf32>
    func.return %r : tensor<6xf32>
  }
}"""


def wrong_on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code generator of a device add where it should subtract."""
    clear_cache()
    if device == "cpu":
        monkeypatch.setitem(emit_elements._BINARY, arith.SubfOp, "fadd")  # pyright: ignore
    else:
        addition = elements._form("{0} + {1}")  # pyright: ignore
        monkeypatch.setitem(elements._ROWS, arith.SubfOp.name, addition)  # pyright: ignore


def case_of(text: str, device: str, rng: np.random.Generator) -> Case:
    shapes = {PRODUCT: ((6, 100), (100, 5)), SHARES: ((6, 300), (6, 300))}[text]
    inputs = tuple(rng.uniform(0.5, 1.5, shape).astype(np.float32) for shape in shapes)
    return Case(parse_module(text), inputs, pipeline(device), device)


DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


def blamed(case: Case) -> Blame:
    found = blame(case)
    clear_cache()
    assert found is not None
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_a_wrong_instruction(
    device: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_on(device, monkeypatch)
    found = blamed(case_of(PRODUCT, device, rng))
    assert (found.step, found.number) == (device, 0)
    assert found.family == f"code for {device} on arith.subf"
    assert "kernel @" in found.scope and "to %r" in found.scope
    assert found.failure.fault is Fault.VALUES and found.failure.excess is not None
    (marked,) = [line for line in found.before.splitlines() if line.startswith("> ")]
    assert "loop.store %r" in marked
    (line,) = [line for line in found.code.splitlines() if line.startswith("> ")]
    assert ("store" in line) if device == "cpu" else ("_r[" in line)
    text = str(found)
    assert "in the IR:" in text and "code:" in text and "after:" not in text


@pytest.mark.parametrize("device", DEVICES)
def test_right_devices_are_not_blamed(device: str, rng: np.random.Generator) -> None:
    assert blame(case_of(PRODUCT, device, rng)) is None
    assert blame(case_of(SHARES, device, rng)) is None


@pytest.mark.gpu
def test_the_first_wrong_store_may_be_to_local_memory(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads' shares are wrong already, before the tree over them and the result."""
    wrong_on("gpu", monkeypatch)
    found = blamed(case_of(SHARES, "gpu", rng))
    assert "store number 1, to %s_parts" in found.scope and "thread number" in found.scope
    (marked,) = [line for line in found.before.splitlines() if line.startswith("> ")]
    assert "%s_parts[" in marked
    assert "_s_parts[" in found.code


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("text", [PRODUCT, SHARES])
def test_repeating_the_stores_changes_nothing(
    text: str, device: str, rng: np.random.Generator
) -> None:
    """Of right kernels no store is wrong, and all of them can be looked at."""
    case = case_of(text, device, rng)
    module = case.module.clone()
    run_pipeline(module, case.passes)
    looked = 0
    for part in parts_of(module, case.inputs):
        assert first_wrong_store(part, device) is None
        (kernel,) = (op for op in part.module.ops if isinstance(op, KernelOp))
        looked += len(stores_of(kernel))
    assert looked > 0


@pytest.mark.parametrize("device", DEVICES)
def test_stores_of_random_kernels_are_right(device: str) -> None:
    for sample in random_samples(8, 21, fewest_ops=6, dtypes=(float32, int32, bool_)):
        module = sample.module.clone()
        run_pipeline(module, pipeline(device))
        for part in parts_of(module, sample.inputs):
            assert first_wrong_store(part, device) is None, part.module


def test_code_that_cannot_be_compiled(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(emit_elements._INTRINSICS, math.SqrtOp, "llvm.nonsense")  # pyright: ignore
    clear_cache()
    case = case_of(PRODUCT, "cpu", rng)
    found = blamed(case)
    assert found.failure.fault is Fault.CRASH
    assert isinstance(found.failure.error, CompileError)
    assert found.op == "loop.kernel" and found.scope.startswith("kernel @")
    assert "math.sqrt" in found.before


TWO_KERNELS = """builtin.module {
  func.func @main(%x: tensor<6x100xf32>, %z: tensor<100x5xf32>) -> tensor<6x5xf32> {
    %h = pico.unary abs %x : tensor<6x100xf32>
    %y = pico.matmul %h, %z : tensor<6x100xf32>, tensor<100x5xf32> -> tensor<6x5xf32>
    %m = pico.unary neg %y : tensor<6x5xf32>
    %t = pico.permute %m by [1, 0] : tensor<6x5xf32> -> tensor<5x6xf32>
    %r = pico.matmul %m, %t : tensor<6x5xf32>, tensor<5x6xf32> -> tensor<6x6xf32>
    %s = pico.matmul %r, %y : tensor<6x6xf32>, tensor<6x5xf32> -> tensor<6x5xf32>
    func.return %s : tensor<6x5xf32>
  }
}"""


def test_kernels_that_are_right_alone(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All buffers in one place: what a kernel leaves for another is overwritten in between."""
    place = emit.Main._place  # pyright: ignore

    def at_the_start(self: object, value: object, base: str, offset: int) -> None:
        place(self, value, base, 0)  # pyright: ignore

    monkeypatch.setattr(emit.Main, "_place", at_the_start)  # pyright: ignore
    clear_cache()
    inputs = tuple(rng.uniform(0.5, 1.5, s).astype(np.float32) for s in ((6, 100), (100, 5)))
    found = blamed(Case(parse_module(TWO_KERNELS), inputs, pipeline("cpu"), "cpu"))
    assert found.family == "cpu on the kernels together"
    assert "the memory that they share" in found.scope
    assert "buffer.place" in found.before and "loop.launch" in found.before


INFINITE = """builtin.module {
  loop.kernel @difference(%x: memref<4xf32>, %most: memref<1xf32>, %y: memref<4xf32>) {
    loop.parallel (%i) = (0) to (4) {
      %v = loop.load %x[%i] : memref<4xf32>
      %d = arith.subf %v, %v : f32
      loop.store %d, %y[%i] : f32, memref<4xf32>
    }
    %least = arith.constant 0xFF800000 : f32
    %m = loop.for %k = 0 to 4 carry (%so_far = %least : f32) {
      %w = loop.load %x[%k] : memref<4xf32>
      %n = arith.maximumf %so_far, %w : f32
      loop.yield %n : f32
    }
    loop.store %m, %most[0] : f32, memref<1xf32>
  }
  func.func @main(%x: memref<4xf32>, %most: memref<1xf32> {buffer.output},
                  %y: memref<4xf32> {buffer.output}) {
    loop.launch @difference(%x, %most, %y) : memref<4xf32>, memref<1xf32>, memref<4xf32>
    func.return
  }
}"""


def test_a_gpu_is_not_blamed_for_infinities() -> None:
    """WGSL may take x - x for 0, whatever x is; but a maximum that starts with -inf is judged."""
    x = np.array([1.0, np.inf, np.nan, 2.0], np.float32)
    most, difference = expect(parse_module(INFINITE), [x], ACCURACY["gpu"])
    assert difference.lost.tolist() == [False, True, True, False]
    assert most.lost.all()
    most, _ = expect(parse_module(INFINITE), [np.arange(4, dtype=np.float32)], ACCURACY["gpu"])
    assert not most.lost.any() and most.value == 3
    most, difference = expect(parse_module(INFINITE), [x], ACCURACY["cpu"])
    assert not most.lost.any() and not difference.lost.any()
