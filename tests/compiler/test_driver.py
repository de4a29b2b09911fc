"""The driver checks passes before and after, and turns failures into messages of one screen."""

import gc
from dataclasses import dataclass
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.dialects.tensor import UnaryOp
from picograd.errors import DTypeError, PassError, PipelineError, ShapeError, VerificationError
from picograd.passes import PASSES, Level, Pass
from picograd.passes.dce import DCE
from picograd.passes.fuse import Fuse
from picograd.passes.legalize_types import LegalizeTypes
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.outline_kernels import OutlineKernels

TEXT = """builtin.module {
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %e = pico.unary exp %x : tensor<2xf32>
    %unused = pico.unary neg %e : tensor<2xf32>
    func.return %e : tensor<2xf32>
  }
}"""


@dataclass(frozen=True)
class _Test(Pass):
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR


def unaries(module: ModuleOp) -> list[UnaryOp]:
    return [op for op in module.walk() if isinstance(op, UnaryOp)]


@dataclass(frozen=True)
class Crash(_Test):
    name = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for unary in unaries(op):
            assert unary.kind.data != "neg", "negations are not for me"


@dataclass(frozen=True)
class Leave(_Test):
    name = "leave"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise SystemExit(0)


@dataclass(frozen=True)
class Silent(_Test):
    name = "silent"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise AssertionError("")


@dataclass(frozen=True)
class Refuse(_Test):
    name = "refuse"
    size: int = 3

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise ShapeError("too small", expected="size 9", found="size 2", hint="grow it")


@dataclass(frozen=True)
class Swap(_Test):
    name = "swap"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first, second = unaries(op)
        block = first.parent_block()
        assert block is not None
        second.detach()
        block.insert_op_before(second, first)


@dataclass(frozen=True)
class Break(_Test):
    name = "break_types"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        del unaries(op)[0].properties["kind"]


@dataclass(frozen=True)
class Mislabelled(Pass):
    name = "mislabelled"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.KERNEL

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Paint(_Test):
    name = "paint"
    establishes: ClassVar[frozenset[str]] = frozenset({"painted"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Admire(_Test):
    name = "admire"
    requires: ClassVar[frozenset[str]] = frozenset({"painted"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


def test_records_tell_what_each_pass_did() -> None:
    module = parse_module(TEXT)
    dce, outline = run_pipeline(module, [DCE(), OutlineKernels()])
    assert (dce.name, dce.ops_before, dce.ops_after) == ("dce", 4, 3)
    assert outline.spelling == "outline_kernels"
    assert dce.seconds > 0 and dce.verify_seconds > 0


def test_a_pass_at_the_wrong_level_is_refused_before_it_runs() -> None:
    module = parse_module(TEXT)
    with pytest.raises(PipelineError) as caught:
        run_pipeline(module, [DCE(), LowerBuffersToLoops()])
    assert "lower_buffers_to_loops is out of order" in caught.value.message
    assert "buffer level" in caught.value.expected
    assert "tensor level" in caught.value.found and "dce" in caught.value.found
    assert caught.value.hint == "run before it: outline_kernels, lower_kernels_to_buffers"


def test_a_pass_after_its_level_says_to_move_it() -> None:
    with pytest.raises(PipelineError) as caught:
        run_pipeline(parse_module(TEXT), [OutlineKernels(), LowerKernelsToBuffers(), Fuse()])
    assert "fuse is out of order" in caught.value.message
    assert "before the lowering from kernel level" in caught.value.hint


def test_missing_facts_are_named_with_the_pass_that_establishes_them() -> None:
    with pytest.raises(PipelineError) as caught:
        run_pipeline(parse_module(TEXT), [Admire(), Paint()])
    assert "admire is out of order" in caught.value.message
    assert "painted" in caught.value.expected
    assert caught.value.hint == "run paint before it"
    run_pipeline(parse_module(TEXT), [Paint(), Admire()])
    run_pipeline(parse_module(TEXT), [Admire()], facts=frozenset({"painted"}))


def test_a_module_of_unknown_history_may_have_any_fact_but_the_order_is_checked() -> None:
    run_pipeline(parse_module(TEXT), [Admire()], facts=None)
    with pytest.raises(PipelineError):
        run_pipeline(parse_module(TEXT), [Admire(), Paint()], facts=None)


def test_a_crash_names_pass_and_op_and_shows_the_ir() -> None:
    with pytest.raises(PassError) as caught:
        run_pipeline(parse_module(TEXT), [Crash()])
    error = caught.value
    assert error.message.startswith("pass crash failed on pico.unary: AssertionError")
    assert "negations are not for me" in error.message and "test_driver.py:" in error.found
    assert error.found.splitlines()[-1].strip() == "^" * len(error.found.splitlines()[-2].strip())
    (marked,) = [line for line in error.where.splitlines() if line.startswith("  > ")]
    assert "pico.unary neg" in marked
    assert len(str(error).splitlines()) < 25 and "Traceback" not in str(error)
    assert isinstance(error.__cause__, AssertionError)


def test_a_pass_that_ends_the_process_has_failed() -> None:
    with pytest.raises(PassError, match="pass leave failed: SystemExit: 0"):
        run_pipeline(parse_module(TEXT), [Leave()])


def test_an_exception_without_words_is_named_once() -> None:
    with pytest.raises(PassError) as caught:
        run_pipeline(parse_module(TEXT), [Silent()])
    assert caught.value.message == "pass silent failed: AssertionError"


def test_an_error_of_picogards_own_keeps_its_parts() -> None:
    with pytest.raises(PassError) as caught:
        run_pipeline(parse_module(TEXT), [Refuse(size=4)])
    error = caught.value
    assert error.message == "pass refuse{size=4} failed: too small"
    assert (error.expected, error.found, error.hint) == ("size 9", "size 2", "grow it")


def test_an_error_about_the_users_program_keeps_its_type() -> None:
    module = parse_module(TEXT.replace("f32", "f64"))
    with pytest.raises(DTypeError) as caught:
        run_pipeline(module, [LegalizeTypes(target="gpu")])
    assert "float64" in caught.value.message
    assert 'pass legalize_types{target="gpu"}' in caught.value.where


def test_broken_dominance_is_blamed_on_the_pass() -> None:
    with pytest.raises(PassError) as caught:
        run_pipeline(parse_module(TEXT), [Swap()])
    assert "pass swap left IR that does not verify" in caught.value.message
    assert "%e" in caught.value.message
    assert "pico.unary neg" in caught.value.where


def test_broken_ops_are_blamed_on_the_pass() -> None:
    with pytest.raises(PassError, match="pass break_types left IR that does not verify"):
        run_pipeline(parse_module(TEXT), [Break()])


def test_a_pass_that_misses_its_level_is_blamed() -> None:
    with pytest.raises(PassError, match="mislabelled left the module at tensor level"):
        run_pipeline(parse_module(TEXT), [Mislabelled()])


def test_a_broken_module_is_not_blamed_on_the_first_pass() -> None:
    module = parse_module(TEXT)
    Swap().apply(Context(), module)
    with pytest.raises(VerificationError):
        run_pipeline(module, [DCE()])


def test_a_module_that_computes_nothing_stands_at_every_level() -> None:
    module = parse_module("builtin.module { func.func @main() { func.return } }")
    steps = [OutlineKernels(), LowerKernelsToBuffers(), LowerBuffersToLoops()]
    assert len(run_pipeline(module, steps)) == 3


class Watch:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def before(self, step: Pass, module: ModuleOp) -> None:
        self.seen.append(f"before {step.name} {len(unaries(module))}")

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        self.seen.append(f"after {record.name} {len(unaries(module))}")


def test_instruments_see_every_pass() -> None:
    watch = Watch()
    run_pipeline(parse_module(TEXT), [DCE(), OutlineKernels()], instruments=[watch])
    assert watch.seen == [
        "before dce 2",
        "after dce 1",
        "before outline_kernels 1",
        "after outline_kernels 1",
    ]


def test_garbage_collection_is_as_it_was_afterwards() -> None:
    assert gc.isenabled()
    with pytest.raises(PassError):
        run_pipeline(parse_module(TEXT), [Crash()])
    assert gc.isenabled()


def test_every_registered_pass_declares_its_levels() -> None:
    for name, step in PASSES.items():
        assert step.name == name
        assert isinstance(step.level_in, Level) and isinstance(step.level_out, Level)
