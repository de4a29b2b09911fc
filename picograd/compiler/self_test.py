"""Small programs with known results: whether a device and its driver compute what they should.

One program for each thing that drivers are known to get wrong: long sums, running sums, barriers
between the threads of a workgroup, selections, elementary functions, and integers (quotients,
remainders and maxima of negative numbers). Results are held against the float64 evaluation within
its error bounds, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from picograd.backends.runtime import Array, Device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.dialects.dtypes import AnyTensor
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import ACCURACY, compare
from picograd.semantics.evaluate import entry_of

SUM = """
func.func @main(%x: tensor<5003xf32>, %m: tensor<9x301xf32>)
    -> (tensor<f32>, tensor<9xf32>, tensor<301xf32>) {
  %all = pico.reduce add %x axes [0] : tensor<5003xf32> -> tensor<f32>
  %rows = pico.reduce add %m axes [1] : tensor<9x301xf32> -> tensor<9xf32>
  %columns = pico.reduce max %m axes [0] : tensor<9x301xf32> -> tensor<301xf32>
  func.return %all, %rows, %columns : tensor<f32>, tensor<9xf32>, tensor<301xf32>
}
"""

SCAN = """
func.func @main(%x: tensor<7x97xf32>) -> tensor<7x97xf32> {
  %y = pico.scan add %x axis 1 : tensor<7x97xf32>
  func.return %y : tensor<7x97xf32>
}
"""

BARRIER = """
func.func @main(%a: tensor<67x45xf32>, %b: tensor<45x70xf32>) -> tensor<67x70xf32> {
  %c = pico.matmul %a, %b : tensor<67x45xf32>, tensor<45x70xf32> -> tensor<67x70xf32>
  func.return %c : tensor<67x70xf32>
}
"""

SELECT = """
func.func @main(%a: tensor<5x101xf32>, %b: tensor<5x101xf32>)
    -> (tensor<5x101xf32>, tensor<5xi64>) {
  %less = pico.compare lt %a, %b : tensor<5x101xf32> -> tensor<5x101xi1>
  %chosen = pico.select %less, %b, %a : tensor<5x101xi1>, tensor<5x101xf32>
  %place = pico.argreduce max %a axis 1 : tensor<5x101xf32> -> tensor<5xi64>
  func.return %chosen, %place : tensor<5x101xf32>, tensor<5xi64>
}
"""

TRANSCENDENTAL = """
func.func @main(%x: tensor<997xf32>) -> (tensor<997xf32>, tensor<997xf32>, tensor<997xf32>,
    tensor<997xf32>, tensor<997xf32>) {
  %exp = pico.unary exp %x : tensor<997xf32>
  %log = pico.unary log %exp : tensor<997xf32>
  %sin = pico.unary sin %x : tensor<997xf32>
  %tanh = pico.unary tanh %x : tensor<997xf32>
  %erf = pico.unary erf %x : tensor<997xf32>
  func.return %exp, %log, %sin, %tanh, %erf : tensor<997xf32>, tensor<997xf32>, tensor<997xf32>,
    tensor<997xf32>, tensor<997xf32>
}
"""

INTEGERS = """
func.func @main(%x: tensor<257xf32>, %y: tensor<257xf32>) -> (tensor<257xi32>, tensor<257xf32>,
    tensor<257xf32>) {
  %a = pico.cast %x to i32 : tensor<257xf32> -> tensor<257xi32>
  %b = pico.cast %y to i32 : tensor<257xf32> -> tensor<257xi32>
  %quotient = pico.binary floordiv %a, %b : tensor<257xi32>
  %rest = pico.binary remainder %a, %b : tensor<257xi32>
  %number = pico.cast %rest to f32 : tensor<257xi32> -> tensor<257xf32>
  %negated = pico.unary neg %a : tensor<257xi32>
  %absolute = pico.binary maximum %a, %negated : tensor<257xi32>
  %largest = pico.binary maximum %absolute, %b : tensor<257xi32>
  %length = pico.cast %largest to f32 : tensor<257xi32> -> tensor<257xf32>
  func.return %quotient, %number, %length : tensor<257xi32>, tensor<257xf32>, tensor<257xf32>
}
"""

PROGRAMS: Mapping[str, str] = {
    "sum": SUM,
    "scan": SCAN,
    "barrier": BARRIER,
    "select": SELECT,
    "transcendental": TRANSCENDENTAL,
    "integers": INTEGERS,
}
"""The programs, at tensor level, by the name of what they try."""


@dataclass(frozen=True)
class Verdict:
    """What came of one program: `problem` is empty when all its results are right."""

    name: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


def self_test(device: Device) -> list[Verdict]:
    """Run every program on a device."""
    return [_try(name, text, device) for name, text in PROGRAMS.items()]


def _try(name: str, text: str, device: Device) -> Verdict:
    module = parse_module(text, name)
    rng = np.random.default_rng(sum(map(ord, name)))
    shapes = [cast(AnyTensor, argument.type).get_shape() for argument in entry_of(module).args]
    inputs: list[Array] = [rng.normal(0.0, 2.0, shape).astype(np.float32) for shape in shapes]
    executable = compile_module(module, device.name, cached=False)
    outputs = executable.run([device.upload(array) for array in inputs])
    found = [device.download(output) for output in outputs]
    comparison = compare(module, inputs, found, ACCURACY[device.name])
    return Verdict(name, "" if comparison.excesses == 0 else str(comparison.worst))
