"""Narrow dtypes as machine code: right for every number, and made of the processor's own means."""

from __future__ import annotations

import re

import numpy as np
import pytest

from picograd.backends.llvm.cross import cross_compile
from picograd.backends.llvm.device import CpuDevice
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import dtypes
from picograd.targets import lookup
from picograd.targets.processors import PROCESSORS

HALVES = [dtypes.float16, dtypes.bfloat16]
NARROW = [*HALVES, dtypes.int8, dtypes.int16, dtypes.uint8]

NATIVE = lookup("cpu").float16_conversions


def program(element: str) -> str:
    return f"""
func.func @main(%x: tensor<37x19x{element}>, %w: tensor<19x21x{element}>, %b: tensor<21x{element}>)
    -> (tensor<37x21x{element}>, tensor<37x{element}>, tensor<37x21xi64>) {{
  %p = pico.matmul %x, %w : tensor<37x19x{element}>, tensor<19x21x{element}>
      -> tensor<37x21x{element}>
  %c = pico.broadcast %b to [37, 21] : tensor<21x{element}> -> tensor<37x21x{element}>
  %s = pico.binary add %p, %c : tensor<37x21x{element}>
  %m = pico.binary maximum %s, %c : tensor<37x21x{element}>
  %r = pico.reduce add %m axes [1] : tensor<37x21x{element}> -> tensor<37x{element}>
  %i = pico.cast %s to i64 : tensor<37x21x{element}> -> tensor<37x21xi64>
  func.return %m, %r, %i : tensor<37x21x{element}>, tensor<37x{element}>, tensor<37x21xi64>
}}"""


@pytest.mark.parametrize("machine", [processor.name for processor in PROCESSORS])
@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
def test_no_function_of_a_runtime_library_is_called(dtype: dtypes.DType, machine: str) -> None:
    module = parse_module(program(str(dtype.ir)))
    run_pipeline(module, pipeline("cpu").aimed_at(machine), facts=frozenset())
    code = cross_compile(module, machine).assembly
    assert not re.findall(r"__\w*(?:hf|bf)\w*", code)
    called = set(re.findall(r"\b(?:callq?|bl)\s+(\S+)", code))
    assert not [name for name in called if name.startswith("__")]


@pytest.mark.parametrize(
    "native",
    [False, pytest.param(True, marks=pytest.mark.skipif(not NATIVE, reason="no F16C here"))],
)
@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_every_half_and_what_lies_between_two_converts_exactly(
    dtype: dtypes.DType, native: bool, rng: np.random.Generator
) -> None:
    target = f"cpu:float16_conversions={'true' if native else 'false'}"
    halves = np.arange(2**16, dtype=np.uint16).view(dtype.numpy)
    with np.errstate(all="ignore"):
        wide = halves.astype(np.float32)
        middle = (wide + np.roll(wide, 1)) / np.float32(2)
        beside = [np.nextafter(middle, np.float32(end)) for end in (np.inf, -np.inf)]
    anything = rng.integers(0, 2**32, 2**16, dtype=np.uint32).view(np.float32)
    floats = np.concatenate([wide, middle, *beside, anything]).astype(np.float32)
    text = f"""
func.func @main(%x: tensor<{floats.size}xf32>, %h: tensor<{halves.size}x{dtype.ir}>)
    -> (tensor<{floats.size}x{dtype.ir}>, tensor<{halves.size}xf32>) {{
  %a = pico.cast %x to {dtype.ir} : tensor<{floats.size}xf32> -> tensor<{floats.size}x{dtype.ir}>
  %b = pico.cast %h to f32 : tensor<{halves.size}x{dtype.ir}> -> tensor<{halves.size}xf32>
  func.return %a, %b : tensor<{floats.size}x{dtype.ir}>, tensor<{halves.size}xf32>
}}"""
    device = CpuDevice()
    executable = compile_module(parse_module(text), "cpu", passes=pipeline("cpu").aimed_at(target))
    outputs = executable.run([device.upload(floats), device.upload(halves)])
    narrowed, widened = (device.download(output) for output in outputs)
    with np.errstate(all="ignore"):
        expected = floats.astype(dtype.numpy)
    same_numbers(narrowed, expected, np.uint16)
    same_numbers(widened, wide, np.uint32)


def same_numbers(found: np.ndarray, expected: np.ndarray, bits: type) -> None:
    """Equal bit for bit, but for the bits of NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(found), nan)
    np.testing.assert_array_equal(found[~nan].view(bits), expected[~nan].view(bits))
