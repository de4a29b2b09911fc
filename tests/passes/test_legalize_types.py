"""legalize_types: 64-bit integers become 32-bit ones where they must, and nothing is guessed."""

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.errors import DTypeError
from picograd.passes.legalize_types import LegalizeTypes
from picograd.semantics.evaluate import evaluate

RNG = np.random.default_rng(21)
GPU = LegalizeTypes(target="gpu")


def module_of(body: str, arguments: str, result: str) -> str:
    return f"func.func @main({arguments}) -> {result} {{\n{body}\nfunc.return %y : {result}\n}}"


def test_labels_and_indices_become_32_bits() -> None:
    text = module_of(
        "%i = pico.iota 5 of i64 : tensor<5xi64>\n"
        "%b = pico.argreduce max %x axis 1 : tensor<5x3xf32> -> tensor<5xi64>\n"
        "%c = pico.cast %b to i64 : tensor<5xi64> -> tensor<5xi64>\n"
        "%d = pico.constant dense<[1, -2, 3, 4, 5]> : tensor<5xi64>\n"
        "%e = pico.binary add %c, %d : tensor<5xi64>\n"
        "%f = pico.binary mul %e, %labels : tensor<5xi64>\n"
        "%g = pico.binary sub %f, %i : tensor<5xi64>\n"
        "%y = pico.pad %g with -7 : i64 low [1] high [0] interior [0]"
        " : tensor<5xi64> -> tensor<6xi64>",
        "%x: tensor<5x3xf32>, %labels: tensor<5xi64>",
        "tensor<6xi64>",
    )
    before, after = parse_module(text), parse_module(text)
    GPU.apply(new_context(), after)
    after.verify()
    assert "i64>" not in str(after).replace("i64: ", "")
    x, labels = RNG.normal(size=(5, 3)).astype(np.float32), RNG.integers(-9, 9, 5)
    (expected,) = evaluate(before, [x, labels])
    (found,) = evaluate(after, [x, labels.astype(np.int32)])
    assert found.dtype == np.int32 and np.array_equal(expected, found)


def test_machines_with_64_bits_keep_them() -> None:
    text = module_of("%y = pico.unary neg %x : tensor<2xi64>", "%x: tensor<2xi64>", "tensor<2xi64>")
    module = parse_module(text)
    before = str(module)
    LegalizeTypes(target="cpu").apply(new_context(), module)
    assert str(module) == before


def refuse(body: str, arguments: str, result: str) -> str:
    with pytest.raises(DTypeError) as error:
        GPU.apply(new_context(), parse_module(module_of(body, arguments, result)))
    assert error.value.expected and error.value.found and error.value.hint
    return str(error.value)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**62])
def test_constants_out_of_range_are_named(number: int) -> None:
    text = refuse(
        f"%big = pico.constant dense<{number}> : tensor<2xi64>\n"
        "%y = pico.binary add %x, %big : tensor<2xi64>",
        "%x: tensor<2xi64>",
        "tensor<2xi64>",
    )
    assert str(number) in text and "%big" in text


@pytest.mark.parametrize("number", [2**31 - 1, -(2**31)])
def test_the_limits_fit(number: int) -> None:
    text = module_of(f"%y = pico.constant dense<{number}> : tensor<2xi64>", "", "tensor<2xi64>")
    module = parse_module(text)
    GPU.apply(new_context(), module)
    assert f"dense<{number}> : tensor<2xi32>" in str(module)


def test_paddings_out_of_range_are_refused() -> None:
    pad = f"pico.pad %x with {2**40} : i64 low [1] high [0] interior [0]"
    text = refuse(
        f"%y = {pad} : tensor<2xi64> -> tensor<3xi64>", "%x: tensor<2xi64>", "tensor<3xi64>"
    )
    assert "pico.pad" in text


def test_float64_is_refused_with_the_users_line() -> None:
    text = refuse(
        '%y = pico.cast %x to f64 {at = "model.py:12"} : tensor<2xf32> -> tensor<2xf64>',
        "%x: tensor<2xf32>",
        "tensor<2xf64>",
    )
    assert "pico.cast" in text and "model.py:12" in text and "float32" in text


def test_float64_arguments_are_refused_by_name() -> None:
    text = refuse("%y = pico.unary neg %w : tensor<2xf64>", "%w: tensor<2xf64>", "tensor<2xf64>")
    assert "%w" in text


def test_a_64_bit_logical_shift_is_refused() -> None:
    text = refuse(
        "%y = pico.binary shr %x, %x : tensor<2xi64>", "%x: tensor<2xi64>", "tensor<2xi64>"
    )
    assert "shift" in text
