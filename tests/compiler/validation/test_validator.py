"""The instrument: what it counts, what its one error says, and what passes may declare."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp

from picograd.check.replay import read
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.validator import Validator
from picograd.dialects.tensor import UnaryOp
from picograd.passes import Level, Pass
from picograd.semantics.evaluate import entry_of
from tests.compiler.validation.spoiling import Spoil

TEXT = """
func.func @main(%x: tensor<3x2xf32> {pico.name = "x"}, %w: tensor<2xf32>) -> tensor<3x2xf32> {
  %b = pico.binary mul %x, %x : tensor<3x2xf32>
  %unused = pico.unary exp %x : tensor<3x2xf32>
  %y = pico.binary add %b, %b : tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}
"""


def test_every_pass_has_its_check() -> None:
    module = parse_module(TEXT)
    watch = Validator(module)
    run_pipeline(module, as_passes("dce,dce,outline_kernels,fuse"), instruments=[watch])
    assert [check.step for check in watch.checks] == ["dce", "dce", "outline_kernels", "fuse"]
    assert [check.changed for check in watch.checks] == [True, False, True, True]
    changed = watch.checks[0]
    # Two sets of inputs, of which the ordinary one is judged by two budgets.
    assert changed.elements == 3 * 6
    assert 0 <= changed.used <= 1
    assert changed.undetermined <= 6
    assert watch.checks[1].elements == 0


def test_its_error_says_all_there_is_to_know() -> None:
    module = parse_module(TEXT)
    x = np.linspace(-1, 2, 6, dtype=np.float32).reshape(3, 2)
    watch = Validator(module, [[x, np.ones(2, np.float32)]])
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [*as_passes("dce"), Spoil(0)], instruments=[watch])
    error = caught.value
    assert (error.step, error.function, error.fault) == ("spoil", "main", Fault.VALUES)
    assert error.excess is not None
    assert (error.excess.output, error.excess.index) == (0, (0, 0))
    assert error.excess.expected == pytest.approx(2.0)
    assert error.excess.found == pytest.approx(2.0 * (1 + 1e-4), rel=1e-6)
    assert error.used > 1
    assert error.inputs[0].tobytes() == x.tobytes()
    text = str(error)
    for part in ("spoil", "@main", "%y", "[0, 0]", "expected", "±", "%x = [[-1.", "blame"):
        assert part in text
    assert [check.step for check in watch.checks] == ["dce", "spoil"]


def test_a_spoiled_module_is_saved_with_all_that_replays_it(tmp_path: Path) -> None:
    module = parse_module(TEXT)
    watch = Validator(module, folder=tmp_path)
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [*as_passes("dce"), Spoil(0)], instruments=[watch])
    (file,) = tmp_path.iterdir()
    assert str(file) in caught.value.hint
    replay = read(file.read_text(), known={"dce": type(as_passes("dce")[0]), "spoil": Spoil})
    assert [step.name for step in replay.case.passes] == ["dce", "spoil"]
    assert replay.failure is not None and replay.failure.fault == Fault.VALUES
    assert replay.case.module.is_structurally_equivalent(parse_module(TEXT))
    for saved, given in zip(replay.case.inputs, caught.value.inputs, strict=True):
        assert saved.tobytes() == given.tobytes()


@dataclass(frozen=True)
class Approximate(Pass):
    """sin(x) as x: near 0 within float32's budget, and far outside float64's."""

    name: ClassVar[str] = "approximate"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    approximates: ClassVar[bool] = True

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        for unary in [o for o in op.walk() if isinstance(o, UnaryOp)]:
            if unary.kind.data == "sin":
                unary.result.replace_all_uses_with(unary.x)


NEAR_0 = """
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary sin %x : tensor<3xf32>
  %z = pico.unary neg %y : tensor<3xf32>
  func.return %z : tensor<3xf32>
}
"""


class Exactly(Approximate):
    """The same, undeclared."""

    name: ClassVar[str] = "exactly"
    approximates: ClassVar[bool] = False


def test_a_pass_may_say_that_it_approximates() -> None:
    inputs = [np.array([1e-4, -2e-4, 1.5e-4], np.float32)]
    module = parse_module(NEAR_0)
    steps = [Approximate(), *as_passes("canonicalize,dce,outline_kernels")]
    run_pipeline(module, steps, instruments=[Validator(module, [inputs])])
    module = parse_module(NEAR_0)
    with pytest.raises(ValidationError, match="float64") as caught:
        run_pipeline(module, [Exactly()], instruments=[Validator(module, [inputs])])
    assert "`approximates = True`" in str(caught.value.hint)
    module = parse_module(NEAR_0)
    with pytest.raises(ValidationError) as caught:  # far from 0 it does not come near enough
        wide = [np.array([1.0, 2.0, 3.0], np.float32)]
        run_pipeline(module, [Approximate()], instruments=[Validator(module, [wide])])
    assert "approximates" not in str(caught.value.hint)


def test_passes_may_add_results() -> None:
    module = parse_module(NEAR_0)
    watch = Validator(module)
    steps = as_passes("differentiate,canonicalize,cse,dce,outline_kernels,fuse")
    run_pipeline(module, steps, instruments=[watch])
    assert len(entry_of(module).function_type.outputs) == 2
    added = as_passes("differentiate{cotangents=true}")
    module = parse_module(NEAR_0)
    run_pipeline(
        module, [*added, *as_passes("dce,outline_kernels")], instruments=[Validator(module)]
    )
    module = parse_module(NEAR_0)
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [*added, Spoil(1)], instruments=[Validator(module)])
    assert caught.value.step == "spoil{number=1}"


SEVERAL = """
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary sin %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
func.func @other(%x: tensor<2xi32>) -> tensor<2xi32> {
  %y = pico.unary neg %x : tensor<2xi32>
  func.return %y : tensor<2xi32>
}
"""


def test_every_function_is_judged() -> None:
    module = parse_module(SEVERAL)
    run_pipeline(module, as_passes("canonicalize,cse,dce"), instruments=[Validator(module)])
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [Spoil(1)], instruments=[Validator(module)])
    assert caught.value.function == "other"


@dataclass(frozen=True)
class Retype(Pass):
    """Returns another value, of another type."""

    name: ClassVar[str] = "retype"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        function = entry_of(op)
        end = function.body.block.last_op
        assert isinstance(end, ReturnOp)
        end.operands = [function.args[1]]
        function.update_function_type()


def test_another_signature_is_a_fault() -> None:
    module = parse_module(TEXT)
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [Retype()], instruments=[Validator(module)])
    assert caught.value.fault == Fault.SIGNATURE
    assert "tensor<2xf32>" in caught.value.found


DONATED = """
func.func @main(%p: tensor<4xf32> {pico.name = "p", pico.donated = 0 : i64},
                %g: tensor<4xf32> {pico.name = "g"}) -> tensor<4xf32> {
  %q = pico.binary sub %p, %g : tensor<4xf32>
  func.return %q : tensor<4xf32>
}
"""


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_donated_argument_may_be_overwritten(device: str) -> None:
    module = parse_module(DONATED)
    watch = Validator(module)
    run_pipeline(module, pipeline(device), instruments=[watch])
    assert "stored_in" in str(module)
    assert all(check.used <= 1 for check in watch.checks)


NARROW = """
func.func @main(%x: tensor<5xTYPE>, %y: tensor<5xTYPE>) -> tensor<5xTYPE> {
  %a = pico.binary mul %x, %y : tensor<5xTYPE>
  %b = pico.binary add %a, %y : tensor<5xTYPE>
  func.return %b : tensor<5xTYPE>
}
"""


@pytest.mark.parametrize("type", ["f16", "bf16", "i8", "i16", "ui8", "i64", "i32"])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_narrow_and_wide_types_are_judged_in_every_spelling(type: str, device: str) -> None:
    module = parse_module(NARROW.replace("TYPE", type))
    watch = Validator(module)
    run_pipeline(module, pipeline(device), instruments=[watch])
    assert max(check.elements for check in watch.checks) > 0
    module = parse_module(NARROW.replace("TYPE", type))
    with pytest.raises(ValidationError) as caught:
        run_pipeline(module, [Spoil(0)], instruments=[Validator(module)])
    assert caught.value.fault == Fault.VALUES


def test_64_bit_integers_that_wrap_sooner_are_undetermined() -> None:
    module = parse_module(NARROW.replace("TYPE", "i64"))
    large = [np.array([1 << 40, 3, -5, 7, 9]), np.array([1 << 20, 2, 1, 0, -4])]
    watch = Validator(module, [large])
    run_pipeline(module, pipeline("gpu"), instruments=[watch])
    by_name = {check.step.partition("{")[0]: check for check in watch.checks}
    assert by_name["legalize_types"].undetermined == by_name["legalize_types"].elements
    assert by_name["lower_buffers_to_loops"].undetermined == 0


CONSTANTS = """
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %a = pico.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %b = pico.constant dense<[7.0, 11.0, 13.0]> : tensor<3xf32>
  %c = pico.binary div %a, %b : tensor<3xf32>
  %d = pico.unary exp %c : tensor<3xf32>
  %y = pico.binary mul %x, %d : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
"""


def test_constants_may_be_folded_and_rounded_then() -> None:
    module = parse_module(CONSTANTS)
    watch = Validator(module)
    run_pipeline(module, pipeline("cpu"), instruments=[watch])
    assert watch.checks[0].changed
    for number in (2, 3, 4):
        with pytest.raises(ValidationError):
            module = parse_module(CONSTANTS)
            run_pipeline(module, [Spoil(number)], instruments=[Validator(module)])


def test_the_sign_of_zero_does_not_count() -> None:
    module = parse_module("""
    func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      %y = pico.unary neg %x : tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    """)
    watch = Validator(module, [[np.array([0.0, -0.0], np.float32)]])

    @dataclass(frozen=True)
    class Keep(Pass):
        name: ClassVar[str] = "keep"
        level_in: ClassVar[Level] = Level.TENSOR
        level_out: ClassVar[Level] = Level.TENSOR

        def apply(self, ctx: Any, op: ModuleOp) -> None:
            unary = next(o for o in op.walk() if isinstance(o, UnaryOp))
            unary.result.replace_all_uses_with(unary.x)

    run_pipeline(module, [Keep()], instruments=[watch])
