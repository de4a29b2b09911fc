"""Kernels that a pass leaves alone are not run again, and whatever differs at all is."""

from collections.abc import Sequence

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation import launches
from picograd.compiler.validation.launches import KnownLaunches
from picograd.dialects import new_context
from picograd.dialects.literals import Array
from picograd.dialects.loop import BarrierOp, KernelOp
from picograd.errors import SanitizerError
from picograd.semantics.evaluate import evaluate
from picograd.semantics.loop import run_kernel

TWO = """
func.func @main(%x: tensor<4x3xf32>, %w: tensor<3x5xf32>) -> tensor<4xf32> {
  %product = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x5xf32> -> tensor<4x5xf32>
  %sum = pico.reduce add %product axes [1] : tensor<4x5xf32> -> tensor<4xf32>
  %y = pico.unary tanh %sum : tensor<4xf32>
  func.return %y : tensor<4xf32>
}"""
SHIFT = """
loop.kernel @shift(%x: memref<4xf32>, %y: memref<4xf32>) {
  loop.for (%i) = (0) to (3) {
    %value = loop.load %x[%i] : memref<4xf32> to f32
    loop.store %value, %y[%i + 1] : f32, memref<4xf32>
  }
}"""


class Counting(KnownLaunches):
    """Also knows which kernels ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.ran: list[str] = []

        def noting(
            kernel: KernelOp, arrays: Sequence[Array], *, widen: bool, sanitize: bool
        ) -> None:
            self.ran.append(kernel.sym_name.data)
            run_kernel(kernel, arrays, widen=widen, sanitize=sanitize)

        monkeypatch.setattr(launches, "run_kernel", noting)

    def since(self) -> int:
        """How many kernels ran since this was asked last."""
        count = len(self.ran)
        self.ran.clear()
        return count


def draw(rng: np.random.Generator) -> list[Array]:
    return [rng.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3, 5))]


def test_what_a_pass_left_alone_is_remembered(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    known = Counting(monkeypatch)
    module, inputs = parse_module(TWO), draw(rng)
    run_pipeline(
        module, as_passes("outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops")
    )
    expected = evaluate(module, inputs)
    first = evaluate(module, inputs, launch=known.run)
    kernels = known.since()
    assert kernels == 3
    known.renew()
    again = evaluate(module, inputs, launch=known.run)
    assert known.since() == 0
    for found in (first, again):
        np.testing.assert_array_equal(found[0], expected[0])
    run_pipeline(module, as_passes("expand_math"))
    known.renew()
    changed = evaluate(module, inputs, launch=known.run)
    assert known.since() == 1
    np.testing.assert_array_equal(changed[0], evaluate(module, inputs)[0])


def test_other_contents_precision_and_checks_are_run(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    known = Counting(monkeypatch)
    module, inputs = parse_module(TWO), draw(rng)
    run_pipeline(module, pipeline("cpu"))
    evaluate(module, inputs, launch=known.run)
    kernels = known.since()
    evaluate(module, draw(rng), launch=known.run)
    assert known.since() == kernels
    evaluate(module, inputs, launch=known.run, precision="float64")
    assert known.since() == kernels
    evaluate(module, inputs, launch=known.run, sanitize=True)
    assert known.since() == kernels
    evaluate(module, inputs, launch=known.run)
    assert known.since() == 0


def test_barriers_matter_to_who_looks_for_races(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    known = Counting(monkeypatch)
    module = parse_module("""
func.func @main(%x: tensor<3x700xf32>) -> tensor<3xf32> {
  %y = pico.reduce add %x axes [1] : tensor<3x700xf32> -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}""")
    inputs = [rng.normal(size=(3, 700)).astype(np.float32)]
    steps = pipeline("gpu")
    place = [step.name for step in steps].index("insert_barriers")
    run_pipeline(module, steps[:place])
    before = evaluate(module, inputs, launch=known.run)
    steps[place].apply(new_context(), module)
    assert any(isinstance(op, BarrierOp) for op in module.walk())
    known.since()
    known.renew()
    after = evaluate(module, inputs, launch=known.run)
    assert known.since() == 0
    np.testing.assert_array_equal(after[0], before[0])
    evaluate(module, inputs, launch=known.run, sanitize=True)
    assert known.since() == 1


def test_what_is_not_needed_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    known = Counting(monkeypatch)
    module, inputs = parse_module(TWO), draw(rng)
    run_pipeline(module, pipeline("cpu"))
    evaluate(module, inputs, launch=known.run)
    kernels = known.since()
    known.renew()
    known.renew()
    evaluate(module, inputs, launch=known.run)
    assert known.since() == kernels


def test_arrays_in_one_another_s_memory_are_another_matter(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    known = Counting(monkeypatch)
    (kernel,) = (op for op in parse_module(SHIFT).body.ops if isinstance(op, KernelOp))
    x = rng.normal(size=4).astype(np.float32)
    apart, same = x.copy(), x.copy()
    known.run(kernel, [x, apart], widen=False, sanitize=False)
    known.run(kernel, [same, same], widen=False, sanitize=False)
    assert known.since() == 2
    np.testing.assert_array_equal(apart, x[[0, 0, 1, 2]])
    np.testing.assert_array_equal(same, x[[0, 0, 0, 0]])


def test_what_raises_raises_again(rng: np.random.Generator) -> None:
    known = KnownLaunches()
    text = SHIFT.replace("(3)", "(4)")
    (kernel,) = (op for op in parse_module(text).body.ops if isinstance(op, KernelOp))
    for _ in range(2):
        arrays = [rng.normal(size=4).astype(np.float32) for _ in range(2)]
        with pytest.raises(SanitizerError):
            known.run(kernel, arrays, widen=False, sanitize=False)
