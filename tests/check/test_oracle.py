"""The oracle: each kind of fault is told from the others, and what is right is left alone."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.rewriter import Rewriter

from picograd.backends.llvm.device import CpuDevice
from picograd.check.generation.programs import random_samples
from picograd.check.meaning import WAY_TO
from picograd.check.oracle import Case, Failure, examination, examine, missing
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import bool_, float32, int32, int64
from picograd.dialects.loop import LaunchOp
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.errors import CompileError, PipelineError
from picograd.passes import LegalizeTypes, Level, LowerReduce, Pass
from picograd.semantics.evaluate import entry_of, evaluate

TEXT = """
func.func @main(%x: tensor<3x2xf32>, %w: tensor<3x2xf32>) -> (tensor<3x2xf32>, tensor<3xf32>) {
  %a = pico.unary exp %x : tensor<3x2xf32>
  %b = pico.binary mul %a, %w : tensor<3x2xf32>
  %c = pico.reduce add %b axes [1] : tensor<3x2xf32> -> tensor<3xf32>
  func.return %b, %c : tensor<3x2xf32>, tensor<3xf32>
}
"""

ONE_KERNEL = """
func.func @main(%x: tensor<3x2xf32>, %w: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %a = pico.unary exp %x : tensor<3x2xf32>
  func.return %a : tensor<3x2xf32>
}
"""


def case(*passes: Pass | str, device: str = "reference", text: str = TEXT) -> Case:
    module = parse_module(text)
    rng = np.random.default_rng(5)
    x, w = (rng.normal(size=(3, 2)).astype(np.float32) for _ in range(2))
    return Case(module, (x, w), as_passes(passes), device)


def pass_that(apply: Callable[[ModuleOp], object], level: Level = Level.TENSOR) -> Pass:
    """A pass that does what a function says."""

    class Made(Pass):
        name: ClassVar[str] = "made"
        level_in: ClassVar[Level] = level
        level_out: ClassVar[Level] = level

        def apply(self, ctx: Any, op: ModuleOp) -> None:
            apply(op)

    return Made()


def first(module: ModuleOp, kind: type[Any]) -> Any:
    return next(op for op in module.walk() if isinstance(op, kind))


def swap_exp(module: ModuleOp) -> None:
    op = first(module, UnaryOp)
    Rewriter.replace_op(op, UnaryOp("tanh", op.x))


def divide_by_zero(module: ModuleOp) -> None:
    _ = 1 // 0


def return_twice(module: ModuleOp) -> None:
    end = first(module, ReturnOp)
    end.operands = [end.operands[0], end.operands[0], end.operands[1]]
    entry_of(module).update_function_type()


def use_before_definition(module: ModuleOp) -> None:
    op = first(module, BinaryOp)
    op.detach()
    block = entry_of(module).body.block
    assert block.first_op is not None
    block.insert_op_before(op, block.first_op)


def write_to_argument(module: ModuleOp) -> None:
    """Let the first kernel, which reads %x, write to %w."""
    launch = first(module, LaunchOp)
    x, w, *_ = entry_of(module).args
    launch.operands = [x if value is x else w for value in launch.operands]


def leave(module: ModuleOp) -> None:
    sys.exit(3)


WRONG = {
    Fault.VALUES: swap_exp,
    Fault.CRASH: divide_by_zero,
    Fault.SIGNATURE: return_twice,
    Fault.INVALID: use_before_definition,
}


@pytest.mark.parametrize("fault", WRONG, ids=lambda fault: fault.name)
def test_each_fault_is_told_from_the_others(fault: Fault) -> None:
    failure = examine(case("canonicalize", pass_that(WRONG[fault]), "cse"))
    assert failure is not None
    assert (failure.fault, failure.culprit, failure.stage) == (fault, "made", 1)
    assert (failure.excess is not None) == (fault == Fault.VALUES)
    assert failure.detail
    # Whoever reads it has asked `blame` or `reduce` already, and is shown the inputs elsewhere.
    assert "help:" not in failure.detail and "these inputs" not in failure.detail


def test_the_first_value_that_differs_is_named() -> None:
    found = examine(case(pass_that(swap_exp)))
    assert found is not None and found.excess is not None
    assert (found.excess.output, found.excess.index) == (0, (0, 0))
    given = case()
    assert found.excess.expected == pytest.approx(
        float(np.exp(given.inputs[0][0, 0]) * given.inputs[1][0, 0]), rel=1e-5
    )
    assert found.excess.found == pytest.approx(
        float(np.tanh(given.inputs[0][0, 0]) * given.inputs[1][0, 0]), rel=1e-5
    )


def test_an_argument_that_nobody_donated_is_not_written() -> None:
    way = as_passes(WAY_TO[Level.LOOP])
    found = examine(case(*way, pass_that(write_to_argument, Level.LOOP), text=ONE_KERNEL))
    assert found is not None
    assert (found.fault, found.stage) == (Fault.ARGUMENT, len(way))


def test_a_pass_that_leaves_python_crashes() -> None:
    found = examine(case(pass_that(leave)))
    assert found is not None
    assert found.fault == Fault.CRASH


def test_alike_is_the_same_fault_of_the_same_pass() -> None:
    crash, value = (examine(case(pass_that(f))) for f in (divide_by_zero, swap_exp))
    later = examine(case("cse", pass_that(divide_by_zero)))
    other = examine(case(pass_that(lambda module: {}["nothing"])))
    assert crash is not None and value is not None and later is not None and other is not None
    assert crash.alike(later)
    assert not crash.alike(value)
    assert not crash.alike(other)  # another exception


def test_refusals_of_a_back_end_are_told_apart_by_what_they_say() -> None:
    def refused(message: str, code: str = "PG609") -> Failure:
        error = CompileError(message, code=code, hint="map it")
        return Failure(Fault.CRASH, "gpu", 3, message, error=error)

    shared = refused("a buffer in space 'stack' cannot be shared by 128 threads")
    assert shared.alike(refused("a buffer in space 'local' cannot be shared by 4 threads"))
    assert not shared.alike(refused("loop.parallel at the top is not mapped to the grid"))
    assert not shared.alike(refused("WGSL has no element type i8", "PG606"))


def test_an_illegal_order_is_the_mistake_of_who_asks() -> None:
    with pytest.raises(PipelineError):
        examine(case("fuse"))


def test_what_a_device_refuses_is_no_failure() -> None:
    text = "func.func @main(%x: tensor<2xf64>) -> tensor<2xf64> { func.return %x : tensor<2xf64> }"
    wide = Case(parse_module(text), (np.array([1.0, 2.0]),), pipeline("gpu"))
    found = examination(wide)
    assert found.failure is None
    assert "float64" in found.refused or "f64" in found.refused


TO_LOOPS = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
BYTES = """
func.func @main(%x: tensor<2xi8>) -> tensor<2xi8> {
  %y = pico.unary abs %x : tensor<2xi8>
  func.return %y : tensor<2xi8>
}
"""


def leave_alone(*arguments: object) -> None:
    """A pass that forgets what it is there for."""


def without(name: str, device: str) -> Pipeline:
    """A device's pipeline, less one pass."""
    return Pipeline(step for step in pipeline(device) if step.name != name)


@pytest.mark.parametrize(
    ("passes", "device", "said"),
    [
        (TO_LOOPS, "cpu", "the CPU cannot run loop.reduce"),
        (without("lower_reduce", "cpu"), "cpu", "the CPU cannot run loop.reduce"),
        pytest.param(TO_LOOPS, "gpu", "is not mapped to the grid", marks=pytest.mark.gpu),
        pytest.param(without("map_to_grid", "gpu"), "gpu", "is not mapped", marks=pytest.mark.gpu),
    ],
)
def test_a_device_may_refuse_what_lacks_passes_that_it_needs(
    passes: Pipeline | str, device: str, said: str
) -> None:
    given = case(*as_passes(passes), device=device)
    assert missing(given)
    found = examination(given)
    assert found.failure is None
    assert said in found.refused


def test_a_device_may_not_refuse_what_its_whole_pipeline_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LowerReduce, "apply", leave_alone)
    given = case(*pipeline("cpu"), device="cpu")
    assert not missing(given)
    found = examine(given)
    assert found is not None
    assert (found.fault, found.culprit) == (Fault.CRASH, "cpu")
    assert found.detail.startswith("the CPU cannot run loop.reduce")


def test_of_what_starts_as_loops_nobody_knows_which_passes_ran() -> None:
    module = case().module
    run_pipeline(module, as_passes(TO_LOOPS))
    given = Case(module, case().inputs, Pipeline(), "cpu")
    assert not missing(given)
    found = examine(given)
    assert found is not None and found.fault == Fault.CRASH


def test_types_are_missing_where_the_device_lacks_them() -> None:
    text = (
        "func.func @main(%x: tensor<2x{0}>) -> tensor<2x{0}> {{ func.return %x : tensor<2x{0}> }}"
    )
    wide, plain = (Case(parse_module(text.format(t)), (), Pipeline()) for t in ("i64", "i32"))
    early, late = as_passes("outline_kernels"), as_passes("legalize_types{target=gpu}")
    assert missing(replace(wide, passes=early, device="gpu")) == ("legalize_types",)
    assert missing(replace(wide, passes=(Pipeline((*late, *early))), device="gpu")) == ()
    assert missing(replace(wide, passes=early, device="cpu")) == ()
    assert missing(replace(plain, passes=early, device="gpu")) == ()
    for_cpu = as_passes("legalize_types{target=cpu},outline_kernels")
    assert missing(replace(wide, passes=for_cpu, device="gpu")) == ("legalize_types",)
    # What runs before the device is asked counts too.
    assert missing(replace(wide, device="gpu")) == ()


@pytest.mark.gpu
def test_a_gpu_may_refuse_types_that_were_not_legalized() -> None:
    text = "func.func @main() -> tensor<i64> {{ {} func.return %x : tensor<i64> }}"
    constant = "%x = pico.constant dense<0> : tensor<i64>"
    given = Case(parse_module(text.format(constant)), (), as_passes("outline_kernels"), "gpu")
    found = examination(given)
    assert found.failure is None
    assert found.refused == "WGSL has no element type i64"


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_lowering_may_refuse_types_that_were_not_legalized(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = (np.array([-3, 5], np.int8),)
    found = examination(Case(parse_module(BYTES), inputs, as_passes(TO_LOOPS), device))
    assert found.failure is None
    assert "int8" in found.refused
    monkeypatch.setattr(LegalizeTypes, "apply", leave_alone)
    failure = examine(Case(parse_module(BYTES), inputs, pipeline("cpu"), device))
    assert failure is not None
    assert (failure.fault, failure.culprit) == (Fault.CRASH, "lower_buffers_to_loops")


@pytest.mark.parametrize("passes", ["", "canonicalize,cse", "outline_kernels,fuse"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_device_runs_what_the_passes_leave(device: str, passes: str) -> None:
    found = examination(case(passes, device=device))
    assert found.failure is None
    assert found.kernels > 0


def test_a_wrong_device_is_the_culprit(monkeypatch: pytest.MonkeyPatch) -> None:
    given = case(*pipeline("cpu"), device="cpu")
    download = CpuDevice.download
    monkeypatch.setattr(CpuDevice, "download", lambda self, buffer: download(self, buffer) * 2)
    found = examine(given)
    assert found is not None
    assert found.stage == len(given.passes)
    assert found.culprit == "cpu"


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_random_programs_are_right(device: str) -> None:
    for sample in random_samples(12, 3, dtypes=(float32, int32, bool_, int64), fewest_ops=4):
        given = Case(sample.module, tuple(sample.inputs), Pipeline(pipeline(device)), device)
        assert examine(given) is None


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_an_index_out_of_range_stays_one(device: str) -> None:
    text = """
    func.func @main(%x: tensor<4xf32>, %i: tensor<2xi64>) -> tensor<2xf32> {
      %y = pico.gather %x at %i axis 0 : tensor<4xf32>, tensor<2xi64> -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    """
    inputs = (np.arange(4, dtype=np.float32), np.array([1, 9]))
    assert examine(Case(parse_module(text), inputs, pipeline("cpu"), device)) is None


EDGES = {
    "size 0": (
        """
        func.func @main(%x: tensor<0x3xf32>) -> tensor<0xf32> {
          %y = pico.reduce add %x axes [1] : tensor<0x3xf32> -> tensor<0xf32>
          func.return %y : tensor<0xf32>
        }
        """,
        [np.zeros((0, 3), np.float32)],
    ),
    "rank 0, NaN": (
        """
        func.func @main(%x: tensor<f32>) -> tensor<f32> {
          %y = pico.unary exp %x : tensor<f32>
          func.return %y : tensor<f32>
        }
        """,
        [np.array(np.nan, np.float32)],
    ),
    "no results": ("func.func @main() { func.return }", []),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_edges(edge: str, device: str) -> None:
    text, inputs = EDGES[edge]
    assert examine(Case(parse_module(text), tuple(inputs), pipeline("cpu"), device)) is None


@pytest.mark.parametrize("kind", ["add", "set"])
@pytest.mark.parametrize("device", ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_no_index_is_used_where_there_is_nothing_to_write_into(kind: str, device: str) -> None:
    module = parse_module(f"""
        func.func @main(%index: tensor<1x3xi64>, %new: tensor<1x3xf32>) -> tensor<0x3xf32> {{
          %x = pico.constant dense<> : tensor<0x3xf32>
          %y = pico.scatter {kind} %x at %index from %new axis 0 : tensor<0x3xf32>, tensor<1x3xi64>, tensor<1x3xf32>
          func.return %y : tensor<0x3xf32>
        }}""")  # noqa: E501
    inputs = (np.array([[7, -1, 0]], np.int64), np.ones((1, 3), np.float32))
    (result,) = evaluate(module, inputs)
    assert result.shape == (0, 3)
    target = "gpu" if device == "gpu" else "cpu"
    assert examine(Case(module, inputs, pipeline(target), device)) is None
