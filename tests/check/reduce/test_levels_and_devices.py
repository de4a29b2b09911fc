"""Below the tensor level kernels, stores and scalar ops go; wrong devices are shown as well."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.backends.llvm import emit_elements
from picograd.check.blame import blame
from picograd.check.meaning import WAY_TO
from picograd.check.mutants.killer import Verdict
from picograd.check.mutants.mutant import Mutant, applied
from picograd.check.oracle import Case, examine
from picograd.check.reduce.look import family_of
from picograd.check.reduce.reducer import count_ops, reduce
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import clear_cache
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import draw_inputs
from picograd.dialects.buffer import KernelOp as BufferKernelOp
from picograd.dialects.kernel import FusedOp
from picograd.dialects.loop import KernelOp as LoopKernelOp
from picograd.dialects.loop import StoreOp
from picograd.dialects.tensor import BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.base import level_of
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.semantics.evaluate import evaluate

TEXT = """
func.func @main(%x: tensor<6x4xf32>, %w: tensor<4x5xf32>)
    -> (tensor<6x5xf32>, tensor<6x4xf32>, tensor<6xf32>) {
  %p = pico.matmul %x, %w : tensor<6x4xf32>, tensor<4x5xf32> -> tensor<6x5xf32>
  %e = pico.unary exp %p : tensor<6x5xf32>
  %s = pico.reduce add %e axes [1] : tensor<6x5xf32> -> tensor<6xf32>
  %q = pico.unary sqrt %s : tensor<6xf32>
  %b = pico.reshape %q to [6, 1] : tensor<6xf32> -> tensor<6x1xf32>
  %c = pico.broadcast %b to [6, 5] : tensor<6x1xf32> -> tensor<6x5xf32>
  %d = pico.binary sub %e, %c : tensor<6x5xf32>
  %t = pico.unary tanh %d : tensor<6x5xf32>
  %n = pico.unary neg %x : tensor<6x4xf32>
  %m = pico.reduce max %t axes [1] : tensor<6x5xf32> -> tensor<6xf32>
  func.return %t, %n, %m : tensor<6x5xf32>, tensor<6x4xf32>, tensor<6xf32>
}
"""


def swapped(op: BinaryOp, build: Build) -> SSAValue | None:
    return build(BinaryOp("add", op.a, op.b)) if op.kind.data == "sub" else None


def swapped_scalars(op: arith.SubfOp, build: Build) -> SSAValue:
    return build(arith.AddfOp(op.lhs, op.rhs))


def pass_at(level: Level) -> Pass:
    """A pass of a level that makes sums of differences."""

    @dataclass(frozen=True)
    class Wrong(Pass):
        name: ClassVar[str] = "wrong"
        level_in: ClassVar[Level] = level
        level_out: ClassVar[Level] = level

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            rewrite_greedily(op, {BinaryOp: (swapped,), arith.SubfOp: (swapped_scalars,)})

    return Wrong()


@pytest.mark.parametrize(
    ("level", "way", "kernel", "most"),
    [
        (Level.KERNEL, WAY_TO[Level.KERNEL], FusedOp, 3),
        (Level.KERNEL, "outline_kernels,fuse", FusedOp, 3),
        (Level.BUFFER, WAY_TO[Level.BUFFER], BufferKernelOp, 5),
        (Level.BUFFER, "outline_kernels,lower_kernels_to_buffers,plan_buffers", BufferKernelOp, 5),
        (Level.LOOP, WAY_TO[Level.LOOP], LoopKernelOp, 7),
        (
            Level.LOOP,
            "outline_kernels,lower_kernels_to_buffers,plan_buffers,lower_buffers_to_loops",
            LoopKernelOp,
            7,
        ),
    ],
)
def test_one_kernel_of_few_ops_is_left(
    level: Level, way: str, kernel: type[object], most: int
) -> None:
    module = parse_module(TEXT)
    inputs = tuple(draw_inputs(module, 1)[0])
    run_pipeline(module, as_passes(way))
    case = Case(module, inputs, Pipeline((pass_at(level),)))
    failure = examine(case)
    assert failure is not None
    small = reduce(case, failure)
    verify_module(small.module)
    assert level_of(small.module) == level
    assert sum(isinstance(op, kernel) for op in small.module.walk()) == 1
    assert count_ops(small.module) <= most, str(small.module)
    assert family_of(small) == family_of(case)
    again = examine(small)
    assert again is not None and again.alike(failure)
    # Nothing that is left reads memory that nobody has written: poison would show as NaN.
    assert all(np.isfinite(result).all() for result in evaluate(small.module, small.inputs))


def test_stores_that_are_not_needed_go() -> None:
    module = parse_module(TEXT)
    inputs = tuple(draw_inputs(module, 1)[0])
    run_pipeline(module, as_passes(WAY_TO[Level.LOOP]))
    assert sum(isinstance(op, StoreOp) for op in module.walk()) > 2
    case = Case(module, inputs, Pipeline((pass_at(Level.LOOP),)))
    failure = examine(case)
    assert failure is not None
    small = reduce(case, failure)
    assert sum(isinstance(op, StoreOp) for op in small.module.walk()) == 1


@pytest.fixture
def wrong_products(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A back end for the CPU that adds where it should multiply."""
    clear_cache()
    monkeypatch.setitem(emit_elements._BINARY, arith.MulfOp, "fadd")  # pyright: ignore
    yield
    monkeypatch.undo()
    clear_cache()


def test_a_wrong_device_is_shown_by_one_op(wrong_products: None) -> None:
    module = parse_module(TEXT.replace("binary sub", "binary mul"))
    case = Case(module, tuple(draw_inputs(module, 1)[0]), Pipeline(()), "cpu")
    failure = examine(case)
    assert failure is not None and failure.culprit == "cpu"
    small = reduce(case, failure)
    again = examine(small)
    assert again is not None and again.alike(failure)
    assert family_of(small) == family_of(case)
    assert count_ops(small.module) <= 2, str(small.module)
    assert small.device == "cpu"


COMPARED = TEXT.replace(
    "%d = pico.binary sub %e, %c :",
    "%l = pico.compare lt %e, %c : tensor<6x5xf32> -> tensor<6x5xi1>\n"
    "  %d = pico.select %l, %e, %c : tensor<6x5xi1>,",
)


class NoKiller:
    """Nobody hunts: the test itself looks."""

    kind = "nobody"

    def hunt(self) -> Verdict:
        return Verdict(0)


@pytest.fixture
def wrong_comparisons() -> Iterator[None]:
    """An emitter of WGSL that exchanges what it compares."""
    mutant = Mutant(
        "exchanged",
        "picograd.backends.wgsl.elements:_loop_compare",
        "a < b becomes b < a",
        'return f"{left} {_COMPARE[predicate]} {right}"',
        'return f"{right} {_COMPARE[predicate]} {left}"',
        NoKiller(),
        Fault.VALUES,
    )
    clear_cache()
    with applied(mutant):
        yield
    clear_cache()


@pytest.mark.gpu
def test_a_wrong_emitter_of_wgsl_is_shown_by_few_ops(wrong_comparisons: None) -> None:
    module = parse_module(COMPARED)
    case = Case(module, tuple(draw_inputs(module, 1)[0]), Pipeline(()), "gpu")
    failure = examine(case)
    assert failure is not None and (failure.culprit, failure.fault) == ("gpu", Fault.VALUES)
    small = reduce(case, failure)
    assert small.device == "gpu"
    assert count_ops(small.module) <= 3, str(small.module)
    again = examine(small)
    assert again is not None and again.alike(failure)
    for one in (case, small):
        found = blame(one)
        assert found is not None and found.on_device and found.rule == "code for gpu"
        assert found.scope.startswith("kernel @") and "store number" in found.scope
        (marked,) = [line for line in found.before.splitlines() if line.startswith("> ")]
        assert "loop.store %" in marked
    assert family_of(small) == family_of(case)
