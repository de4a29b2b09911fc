"""What is taken out of a module, and what both modules mean together."""

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.hoist_constants import Hoisted, cut, hoist_constants
from picograd.compiler.pipelines import pipeline
from picograd.dialects.argument_notes import kept_arguments
from picograd.semantics.evaluate import entry_of, evaluate

TEXT = """
func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x7xf32> {pico.kept, pico.name = "w"},
                %v: tensor<7xf32> {pico.kept, pico.name = "v"}) -> tensor<4x7xf32> {
  %0 = pico.pad %w with 0.0 : f32 low [0, 0] high [0, 1] interior [0, 0]
    : tensor<6x7xf32> -> tensor<6x8xf32>
  %1 = pico.reshape %0 to [6, 2, 4] : tensor<6x8xf32> -> tensor<6x2x4xf32>
  %w_panels = pico.permute %1 by [1, 0, 2] {pico.laid_out} : tensor<6x2x4xf32> -> tensor<2x6x4xf32>
  %2 = pico.permute %w_panels by [1, 0, 2] : tensor<2x6x4xf32> -> tensor<6x2x4xf32>
  %3 = pico.reshape %2 to [6, 8] : tensor<6x2x4xf32> -> tensor<6x8xf32>
  %4 = pico.slice %3 from [0, 0] to [6, 7] step [1, 1] : tensor<6x8xf32> -> tensor<6x7xf32>
  %5 = pico.matmul %x, %4 : tensor<4x6xf32>, tensor<6x7xf32> -> tensor<4x7xf32>
  %6 = pico.broadcast %v to [4, 7] : tensor<7xf32> -> tensor<4x7xf32>
  %y = pico.binary mul %5, %6 : tensor<4x7xf32>
  func.return %y : tensor<4x7xf32>
}
"""


def _inputs(module: ModuleOp) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    shapes = [argument.type.get_shape() for argument in entry_of(module).args]  # pyright: ignore
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def _together(module: ModuleOp, hoisted: Hoisted, inputs: list[NDArray[np.float32]]) -> object:
    kept = evaluate(hoisted.module, [inputs[number] for number in hoisted.reads])
    return evaluate(module, [*inputs, *kept])


def test_two_modules_mean_what_the_one_meant() -> None:
    module = parse_module(TEXT)
    inputs = _inputs(module)
    before = evaluate(module, inputs)
    hoisted = hoist_constants(module)
    assert hoisted is not None and hoisted.reads == (1,)
    verify_module(module)
    verify_module(hoisted.module)
    np.testing.assert_array_equal(_together(module, hoisted, inputs), before)
    assert [op.name for op in entry_of(hoisted.module).walk()][1:] == [
        "pico.pad",
        "pico.reshape",
        "pico.permute",
        "func.return",
    ]
    assert "pico.pad" not in str(module) and "pico.laid_out" not in str(module)
    assert not kept_arguments(entry_of(hoisted.module))
    assert '%w_panels: tensor<2x6x4xf32> {pico.name = "w_panels"}' in str(module)


def test_what_others_use_as_well_stays() -> None:
    text = TEXT.replace("%6 = pico.broadcast %v", "%9 = pico.slice %0 from [0, 0] to [1, 7] "
        "step [1, 1] : tensor<6x8xf32> -> tensor<1x7xf32>\n"
        "%10 = pico.reshape %9 to [7] : tensor<1x7xf32> -> tensor<7xf32>\n"
        "%6 = pico.broadcast %10")  # fmt: skip
    module = parse_module(text)
    inputs = _inputs(module)
    before = evaluate(module, inputs)
    hoisted = hoist_constants(module)
    assert hoisted is not None
    verify_module(module)
    assert "pico.pad" in str(module) and "pico.pad" in str(hoisted.module)
    np.testing.assert_array_equal(_together(module, hoisted, inputs), before)


def test_a_value_that_is_returned_and_names_that_are_taken() -> None:
    text = TEXT.replace("-> tensor<4x7xf32> {", "-> (tensor<4x7xf32>, tensor<2x6x4xf32>) {")
    text = text.replace("return %y : tensor<4x7xf32>",
                        "return %y, %w_panels : tensor<4x7xf32>, tensor<2x6x4xf32>")  # fmt: skip
    module = parse_module(text.replace('"v"', '"w_panels"'))
    inputs = _inputs(module)
    before = evaluate(module, inputs)
    hoisted = hoist_constants(module)
    assert hoisted is not None and '"w_panels_1"' in str(module)
    verify_module(module)
    for found, expected in zip(_together(module, hoisted, inputs), before, strict=True):  # type: ignore
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (' {pico.kept, pico.name = "w"}', ""),  # it changes between calls
        (" {pico.laid_out}", ""),  # nobody says that it pays
        # It would take more than four times the memory of the weight.
        ("high [0, 1]", "high [0, 25]"),
    ],
)
def test_what_is_not_to_be_kept_stays(old: str, new: str) -> None:
    text = TEXT.replace(old, new)
    if "25" in new:
        for a, b in (("6x8", "6x32"), ("6, 8", "6, 32"), ("6x2x4", "6x8x4"), ("2x6x4", "8x6x4"),
                     ("[6, 2, 4]", "[6, 8, 4]")):  # fmt: skip
            text = text.replace(a, b)
    module = parse_module(text)
    before = str(module)
    assert hoist_constants(module) is None
    assert str(module) == before


def test_a_value_that_an_argument_decides_too_stays() -> None:
    text = TEXT.replace("%0 = pico.pad %w with", "%s = pico.slice %x from [0, 0] to [1, 1] "
        "step [1, 1] : tensor<4x6xf32> -> tensor<1x1xf32>\n"
        "%t = pico.broadcast %s to [6, 7] : tensor<1x1xf32> -> tensor<6x7xf32>\n"
        "%ws = pico.binary add %w, %t : tensor<6x7xf32>\n"
        "%0 = pico.pad %ws with")  # fmt: skip
    assert hoist_constants(parse_module(text)) is None


def test_only_modules_of_tensors_are_cut() -> None:
    steps = pipeline("cpu")
    head, tail = cut(steps)
    assert [*head, *tail] == [*steps] and tail[0].name == "outline_kernels"
    assert cut(tail[1:]) == (tail[1:], ())
    assert cut(()) == ((), ())
