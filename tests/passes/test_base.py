"""Levels of modules."""

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.passes import Level, level_of
from picograd.passes.base import stands_at

TENSOR = """func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = pico.unary exp %x : tensor<2xf32>
  func.return %y : tensor<2xf32>
}"""
KERNEL = """func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = kernel.fused "exp" (%a = %x : tensor<2xf32>) -> (tensor<2xf32>) {
    %e = pico.unary exp %a : tensor<2xf32>
    kernel.yield %e : tensor<2xf32>
  }
  func.return %y : tensor<2xf32>
}"""
BUFFER = """func.func @main(%x: memref<2xf32>, %out: memref<2xf32> {buffer.output}) {
  buffer.kernel "exp" reads(%a = %x : memref<2xf32>) writes(%o = %out : memref<2xf32>) {
    %t = buffer.read %a : memref<2xf32> -> tensor<2xf32>
    %e = pico.unary exp %t : tensor<2xf32>
    buffer.write %e, %o : tensor<2xf32>, memref<2xf32>
  }
  func.return
}"""
LOOP = """loop.kernel @exp(%a: memref<2xf32>, %o: memref<2xf32>) {
  loop.parallel %i = 0 to 2 {
    %v = loop.load %a[%i] : memref<2xf32>
    %e = math.exp %v : f32
    loop.store %e, %o[%i] : f32, memref<2xf32>
  }
}
func.func @main(%x: memref<2xf32>, %out: memref<2xf32> {buffer.output}) {
  loop.launch @exp(%x, %out) : memref<2xf32>, memref<2xf32>
  func.return
}"""
TEXTS = dict(zip(Level, (TENSOR, KERNEL, BUFFER, LOOP), strict=True))


@pytest.mark.parametrize("level", list(Level))
def test_level_of(level: Level) -> None:
    module = parse_module(TEXTS[level])
    assert level_of(module) == level
    assert [other for other in Level if stands_at(module, other)] == [level]


def test_outputs_as_arguments_mean_buffers() -> None:
    module = parse_module("func.func @main(%out: memref<0xf32> {buffer.output}) { func.return }")
    assert level_of(module) == Level.BUFFER
    assert all(stands_at(module, level) for level in Level)
