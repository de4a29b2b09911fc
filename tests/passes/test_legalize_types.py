"""legalize_types: narrow types are computed wide, 64-bit integers become 32-bit ones, and nothing
is guessed.
"""

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects import dtypes, new_context
from picograd.errors import DTypeError
from picograd.passes.legalization.narrow import held_dtype
from picograd.passes.legalize_types import LegalizeTypes
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import all_samples
from picograd.targets import lookup

RNG = np.random.default_rng(21)
GPU = LegalizeTypes(target="gpu")


NARROW = [dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.int16, dtypes.uint8]
CPU = LegalizeTypes(target="cpu")


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


@pytest.mark.parametrize("dtype", [dtypes.int8, dtypes.int16, dtypes.uint8], ids=str)
def test_an_integer_is_narrow_no_more_once_it_is_cast(dtype: dtypes.DType) -> None:
    """On a GPU both are the same int32; taken for narrow, it would be shifted as 8 bits."""
    text = module_of(
        f"%w = pico.cast %x to i32 : tensor<2x3x{dtype.ir}> -> tensor<2x3xi32>\n"
        "%one = pico.constant dense<1> : tensor<2x3xi32>\n"
        "%half = pico.binary shr %w, %one : tensor<2x3xi32>\n"
        "%parts = pico.windows %w axis 1 size 2 stride 1 dilation 1"
        " : tensor<2x3xi32> -> tensor<2x2x2xi32>\n"
        "%most = pico.reduce max %parts axes [2] : tensor<2x2x2xi32> -> tensor<2x2xi32>\n"
        "%rows = pico.reduce max %most axes [1] : tensor<2x2xi32> -> tensor<2xi32>\n"
        "%wide = pico.broadcast %rows to [3, 2] : tensor<2xi32> -> tensor<3x2xi32>\n"
        "%turned = pico.permute %wide by [1, 0] : tensor<3x2xi32> -> tensor<2x3xi32>\n"
        "%y = pico.binary add %half, %turned : tensor<2x3xi32>",
        f"%x: tensor<2x3x{dtype.ir}>",
        "tensor<2x3xi32>",
    )
    x = np.array([[-1, -2, 100], [3, -128, 7]]).astype(dtype.numpy)
    (expected,) = evaluate(parse_module(text), [x])
    (found,) = evaluate(parse_module(legalized(text, GPU)), [x.astype(np.int32)])
    np.testing.assert_array_equal(found, expected)


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


# Narrow types


def legalized(text: str, step: LegalizeTypes) -> str:
    module = parse_module(text)
    step.apply(new_context(), module)
    module.verify()
    return str(module)


def test_a_cpu_casts_before_and_after_an_op() -> None:
    text = module_of(
        "%a = pico.binary mul %x, %x : tensor<3xf16>\n%y = pico.binary add %a, %x : tensor<3xf16>",
        "%x: tensor<3xf16>",
        "tensor<3xf16>",
    )
    assert legalized(text, CPU) == str(
        parse_module("""
func.func @main(%x: tensor<3xf16>) -> tensor<3xf16> {
  %0 = pico.cast %x to f32 : tensor<3xf16> -> tensor<3xf32>
  %1 = pico.binary mul %0, %0 : tensor<3xf32>
  %a = pico.cast %1 to f16 : tensor<3xf32> -> tensor<3xf16>
  %2 = pico.cast %a to f32 : tensor<3xf16> -> tensor<3xf32>
  %3 = pico.binary add %2, %0 : tensor<3xf32>
  %y = pico.cast %3 to f16 : tensor<3xf32> -> tensor<3xf16>
  func.return %y : tensor<3xf16>
}""")
    )


def test_a_gpu_rounds_and_wraps() -> None:
    text = module_of(
        "%b = pico.binary maximum %x, %x : tensor<bf16>\n%y = pico.unary exp %b : tensor<bf16>",
        "%x: tensor<bf16>",
        "tensor<bf16>",
    )
    after = legalized(text, GPU)
    assert after.count("round_bfloat16") == 1, "the larger of two needs no rounding"
    assert "bf16" not in after.replace("round_bfloat16", "")
    text = module_of("%y = pico.unary neg %x : tensor<2xui8>", "%x: tensor<2xui8>", "tensor<2xui8>")
    after = legalized(text, GPU)
    assert "dense<255>" in after and "and" in after and "i8" not in after.replace("ui8", "i8 ")


def test_uint8_has_the_bits_of_int8_below() -> None:
    text = module_of(
        "%c = pico.constant dense<[1, 255]> : tensor<2xui8>\n"
        "%p = pico.concat %x, %c axis 0 : tensor<2xui8>, tensor<2xui8> -> tensor<4xui8>\n"
        "%y = pico.cast %p to i32 : tensor<4xui8> -> tensor<4xi32>",
        "%x: tensor<2xui8>",
        "tensor<4xi32>",
    )
    module = parse_module(text)
    CPU.apply(new_context(), module)
    assert "ui8" not in str(module) and "dense<[1, -1]> : tensor<2xi8>" in str(module)
    (found,) = evaluate(module, [np.array([200, 7], np.uint8).view(np.int8)])
    assert found.tolist() == [200, 7, 1, 255]


def test_moving_elements_needs_no_casts() -> None:
    text = module_of(
        "%p = pico.pad %x with -1.5 : bf16 low [1] high [0] interior [0]"
        " : tensor<2xbf16> -> tensor<3xbf16>\n"
        "%y = pico.reverse %p axes [0] : tensor<3xbf16>",
        "%x: tensor<2xbf16>",
        "tensor<3xbf16>",
    )
    assert "cast" not in legalized(text, CPU)
    assert "round" not in legalized(text, GPU)


@pytest.mark.parametrize("step", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
def test_the_meaning_stays(dtype: dtypes.DType, step: LegalizeTypes) -> None:
    """Each sample gives the numbers that the reference gives it, in the types it is held in."""
    tried = 0
    for sample in all_samples():
        if dtype not in sample.dtypes or dtypes.float64 in sample.dtypes:
            continue
        before, after = sample.module(), sample.module()
        inputs = [held(array, step) for array in sample.inputs]
        try:
            step.apply(new_context(), after)
        except DTypeError:
            assert "i64" in str(before) and step is GPU
            continue
        after.verify()
        (expected,), (found,) = evaluate(before, sample.inputs), evaluate(after, inputs)
        if expected.dtype == np.int64 and abs(expected.astype(np.float64)).max(initial=0) >= 2**31:
            continue
        np.testing.assert_array_equal(
            found.astype(np.float64), held(expected, step).astype(np.float64), err_msg=sample.name
        )
        tried += 1
    assert tried > 60


def held(array: np.ndarray, step: LegalizeTypes) -> np.ndarray:
    """An array as the target holds it."""
    return array.astype(held_dtype(dtypes.from_numpy(array.dtype), lookup(step.target)).numpy)


@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
def test_twice_is_once(dtype: dtypes.DType) -> None:
    text = module_of(
        f"%y = pico.binary add %x, %x : tensor<3x{dtype.ir}>",
        f"%x: tensor<3x{dtype.ir}>",
        f"tensor<3x{dtype.ir}>",
    )
    for step in (CPU, GPU):
        once = legalized(text, step)
        assert legalized(once, step) == once


@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
def test_loops_ask_for_this_pass(dtype: dtypes.DType) -> None:
    module = parse_module(
        module_of(
            f"%y = pico.binary add %x, %x : tensor<3x{dtype.ir}>",
            f"%x: tensor<3x{dtype.ir}>",
            f"tensor<3x{dtype.ir}>",
        )
    )
    without = [step for step in pipeline("cpu") if not isinstance(step, LegalizeTypes)]
    with pytest.raises(DTypeError, match=f"computes with {dtype.name}") as error:
        run_pipeline(module, tuple(without), facts=frozenset())
    assert "legalize_types" in str(error.value)
