"""Programs whose constants are computed by a program of their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import device
from picograd.compiler import in_parts
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, clear_cache, compile_module
from picograd.compiler.hoist_constants import Hoisted, hoist_constants
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation import validation
from picograd.compiler.validation.error import ValidationError
from picograd.dialects.tensor import BinaryOp
from picograd.errors import OptionError
from picograd.semantics.evaluate import entry_of, evaluate
from tests.compiler.test_hoist_constants import TEXT

Arrays = list[NDArray[np.float32]]

UPDATING = """
func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x8xf32> {pico.kept, pico.name = "w"},
                %v: tensor<4x8xf32> {pico.donated = 1}) -> (tensor<8xf32>, tensor<4x8xf32>) {
  %1 = pico.reshape %w to [6, 2, 4] : tensor<6x8xf32> -> tensor<6x2x4xf32>
  %w_panels = pico.permute %1 by [1, 0, 2] {pico.laid_out} : tensor<6x2x4xf32> -> tensor<2x6x4xf32>
  %2 = pico.permute %w_panels by [1, 0, 2] : tensor<2x6x4xf32> -> tensor<6x2x4xf32>
  %3 = pico.reshape %2 to [6, 8] : tensor<6x2x4xf32> -> tensor<6x8xf32>
  %4 = pico.matmul %x, %3 : tensor<4x6xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  %5 = pico.binary add %v, %4 : tensor<4x8xf32>
  %6 = pico.reduce add %4 axes [0] : tensor<4x8xf32> -> tensor<8xf32>
  func.return %6, %5 : tensor<8xf32>, tensor<4x8xf32>
}
"""
"""A program with a donated argument: its number of results is counted behind all inputs."""


def _passes() -> Pipeline:
    """Canonicalization would see that what is laid out is only looked at the other way round."""
    return Pipeline(step for step in pipeline("cpu") if step.name != "canonicalize")


def _compiled(text: str = TEXT, **options: object) -> tuple[ModuleOp, Executable]:
    module = parse_module(text)
    return module, compile_module(module, "cpu", passes=_passes(), **options)  # type: ignore


def _inputs(seed: int = 0, last: tuple[int, ...] = (7,)) -> Arrays:
    rng = np.random.default_rng(seed)
    columns = last[-1]
    shapes = ((4, 6), (6, columns), last)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def _run(executable: Executable, inputs: Arrays) -> Arrays:
    place = executable.device
    return [place.download(out) for out in executable.run([place.upload(one) for one in inputs])]


def test_results_are_those_of_one_module() -> None:
    module, executable = _compiled(cached=False)
    assert executable.constants is not None and executable.constants.reads == (1,)
    assert executable.report.bytes_kept == 2 * 6 * 4 * 4
    assert "192 bytes kept between calls" in str(executable.report)
    assert "hoist_constants" in [record.name for record in executable.report.passes]
    for seed in range(3):  # other weights every time
        inputs = _inputs(seed)
        (found,) = _run(executable, inputs)
        (expected,) = evaluate(module, inputs, precision="float64")
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_inputs_and_results_are_those_of_the_module() -> None:
    module, executable = _compiled(cached=False)
    assert [str(type) for type in executable.inputs] == [
        "tensor<4x6xf32>",
        "tensor<6x7xf32>",
        "tensor<7xf32>",
    ]
    del module


def test_constants_that_were_computed_before() -> None:
    """Who knows that the weights are the same hands the constants over."""
    _, executable = _compiled(cached=False)
    enter = executable.entry([None, None, None])
    assert enter is not None and executable.constants is not None
    x, w, v = (executable.device.upload(one) for one in _inputs())
    (expected,) = executable.run([x, w, v])
    kept = executable.constants.of([x, w, v])
    assert [str(one.type) for one in kept] == ["tensor<2x6x4xf32>"]
    (found,) = enter([x, w, v, *kept])
    download = executable.device.download
    np.testing.assert_array_equal(download(found), download(expected))
    zeros = executable.device.upload(np.zeros((2, 6, 4), np.float32))
    (nothing,) = enter([x, w, v, zeros])
    assert not download(nothing).any()


def test_a_donated_argument_is_still_updated_in_place() -> None:
    module, executable = _compiled(UPDATING, cached=False)
    assert executable.constants is not None and executable.donated == {1: 2}
    inputs = _inputs(last=(4, 8))
    expected = evaluate(module, inputs, precision="float64")
    place = executable.device
    given = [place.upload(one) for one in inputs]
    kept = executable.constants.of(given)
    results = executable.run(given)
    assert results[1] is given[2]
    for found, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(place.download(found), right, rtol=1e-5, atol=1e-5)
    enter = executable.entry([None, None, None])
    assert enter is not None
    given[2] = place.upload(inputs[2])
    again = enter([*given, *kept])
    assert again[1] is given[2]
    for found, right in zip(again, expected, strict=True):
        np.testing.assert_allclose(place.download(found), right, rtol=1e-5, atol=1e-5)


def test_a_program_that_was_compiled_before_is_the_same(tmp_path: Path) -> None:
    clear_cache()
    module, first = _compiled(on_disk=False)
    assert compile_module(module, "cpu", passes=_passes(), on_disk=False) is first
    unmarked = parse_module(TEXT.replace("pico.kept, ", ""))
    other = compile_module(unmarked, "cpu", passes=_passes(), on_disk=False)
    assert other is not first and other.constants is None and other.report.bytes_kept == 0


def test_ir_of_both_programs() -> None:
    _, executable = _compiled(cached=False)
    assert executable.constants is not None
    constants = executable.constants.executable
    assert "pico.matmul" in executable.ir("tensor") and "pico.pad" not in executable.ir("tensor")
    assert "pico.pad" in constants.ir("tensor") and "pico.matmul" not in constants.ir("tensor")
    assert "w_panels" in executable.ir("loop") and "loop.kernel" in constants.ir("loop")
    assert "fma" in executable.ir("target") and "fma" not in constants.ir("target")
    with pytest.raises(OptionError):
        constants.ir("kernels")


def test_profile_leaves_the_constants_out() -> None:
    _, executable = _compiled(cached=False)
    profile = executable.profile([executable.device.upload(one) for one in _inputs()], runs=2)
    assert len(profile.launches) == executable.report.kernels


def test_dump_of_both_ways(tmp_path: Path) -> None:
    _compiled(cached=False, dump=tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    own = next(name for name in names if name.endswith("hoist_constants.mlir"))
    assert "%w_panels: tensor<2x6x4xf32>" in (tmp_path / own).read_text()
    assert "constants/index.md" in (tmp_path / "index.md").read_text()
    inner = sorted(file.name for file in (tmp_path / "constants").iterdir())
    assert inner[0] == "00-input.mlir" and "index.md" in inner
    assert "pico.pad" in (tmp_path / "constants" / inner[0]).read_text()
    assert any(name.endswith("target.ll") for name in inner)
    # A dump of a program without constants leaves nothing behind of this one.
    _compiled(TEXT.replace("pico.kept, ", ""), cached=False, dump=tmp_path)
    assert not (tmp_path / "constants").exists()


def test_every_call_is_checked_when_asked_for() -> None:
    module, executable = _compiled(cached=False, sanitize=True)
    assert executable.constants is not None
    (found,) = _run(executable, _inputs())
    (expected,) = evaluate(module, _inputs(), precision="float64")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("twin", [False, True])
def test_every_pass_of_both_ways_is_validated(twin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if twin:
        monkeypatch.setattr(validation, "LARGE", 100)
    _, executable = _compiled(cached=False, check=True)
    assert executable.constants is not None
    for report in (executable.report, executable.constants.executable.report):
        assert report.validation is not None
        assert bool(report.validation.twin) == (twin and report is executable.report)
        steps = [check.step.partition("{")[0] for check in report.checks]
        assert steps == [one.name for one in report.passes]
        assert str(report).count("of its budget") + str(report).count("unchanged") == len(steps)
    names = [record.name for record in executable.report.passes]
    split = executable.report.checks[names.index("hoist_constants")]
    assert split.elements > 0 and split.used <= 1


def test_parts_may_sum_in_another_order() -> None:
    """NumPy's products depend on how an operand lies: what is laid out is not what is viewed."""
    text = """
    func.func @main(%x: tensor<39x40xf32>, %w: tensor<40x40xf32> {pico.kept}) -> tensor<39x40xf32> {
      %t = pico.permute %w by [1, 0] : tensor<40x40xf32> -> tensor<40x40xf32>
      %1 = pico.reshape %t to [40, 5, 8] : tensor<40x40xf32> -> tensor<40x5x8xf32>
      %p = pico.permute %1 by [1, 0, 2] {pico.laid_out} : tensor<40x5x8xf32> -> tensor<5x40x8xf32>
      %2 = pico.permute %p by [1, 0, 2] : tensor<5x40x8xf32> -> tensor<40x5x8xf32>
      %3 = pico.reshape %2 to [40, 40] : tensor<40x5x8xf32> -> tensor<40x40xf32>
      %y = pico.matmul %x, %3 : tensor<39x40xf32>, tensor<40x40xf32> -> tensor<39x40xf32>
      func.return %y : tensor<39x40xf32>
    }"""
    _, executable = _compiled(text, cached=False, check=True)
    assert executable.constants is not None and executable.report.validation is not None
    assert not executable.report.validation.twin


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda out: Hoisted(out.module, (out.reads[0] - 1,)), "cannot be run"),
        (lambda out: Hoisted(doubled(out.module), out.reads), "result 0 is another one"),
    ],
)
def test_validation_holds_the_parts_against_the_whole(
    fault: Callable[[Hoisted], Hoisted], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(module: ModuleOp) -> Hoisted | None:
        out = hoist_constants(module)
        return None if out is None else fault(out)

    monkeypatch.setattr(in_parts, "hoist_constants", wrong)
    with pytest.raises(ValidationError, match=told) as caught:
        _compiled(cached=False, check=True)
    assert caught.value.step == "hoist_constants" and "%w = " in str(caught.value)


def doubled(module: ModuleOp) -> ModuleOp:
    """The same module, with twice what it returned."""
    end = entry_of(module).body.block.last_op
    assert end is not None
    double = BinaryOp("add", end.operands[0], end.operands[0])
    entry_of(module).body.block.insert_op_before(double, end)
    end.operands[0] = double.result
    return module


def test_the_reference_computes_everything_in_every_call() -> None:
    executable = compile_module(parse_module(TEXT), "reference", cached=False)
    assert executable.constants is None and executable.report.bytes_kept == 0
    assert device("reference") is executable.device
