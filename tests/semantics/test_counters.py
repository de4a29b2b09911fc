"""Costs of modules, counted by hand."""

from math import prod

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.dialects.tensor import (
    OPS,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    PadOp,
)
from picograd.errors import VerificationError
from picograd.semantics.counters import OPERATIONS, Counters, count
from picograd.semantics.samples import SAMPLES

LAYER = """
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %p = pico.matmul %x, %w : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %r = pico.broadcast %b to [2, 4] : tensor<4xf32> -> tensor<2x4xf32>
  %s = pico.binary add %p, %r : tensor<2x4xf32>
  %z = pico.constant dense<0.0> : tensor<2x4xf32>
  %y = pico.binary maximum %s, %z : tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
"""
OPERATIONS_OF_LAYER = 2 * 8 * 3 + 8 + 8
X, W, B, Y = 24, 48, 16, 32


def after(passes: str, text: str = LAYER) -> Counters:
    module = parse_module(text)
    run_pipeline(module, as_passes(passes))
    return count(module)


def test_each_op_that_computes_is_a_launch_at_tensor_level() -> None:
    moved = (X + W + Y) + (Y + B + Y) + (Y + Y)
    # While the sum is computed, the product is alive; the result of the function does not count.
    assert after("") == Counters(OPERATIONS_OF_LAYER, moved, Y + Y, 3)


def test_kernels_cost_what_their_ops_cost_and_move_their_operands() -> None:
    assert after("outline_kernels") == after("")
    assert after("outline_kernels,fuse") == Counters(OPERATIONS_OF_LAYER, X + W + B + Y, 0, 1)


def test_buffers_cost_what_is_asked_for() -> None:
    way = "outline_kernels,lower_kernels_to_buffers"
    unplanned = after(way)
    assert unplanned == after("outline_kernels")
    longer = LAYER.replace(
        "  func.return %y", "  %q = pico.unary exp %y : tensor<2x4xf32>\n  func.return %q"
    )
    assert after(way, longer).peak_bytes == 3 * Y
    assert after(f"{way},plan_buffers", longer).peak_bytes == 2 * 64


def test_what_is_updated_in_place_is_read_and_written() -> None:
    text = """
    func.func @main(%y: memref<4xf32> {buffer.output}) {
      %h = buffer.alloc : memref<4xf32>
      buffer.kernel "one" reads() writes(%o = %h : memref<4xf32>) {
        %t = pico.constant dense<1.0> : tensor<4xf32>
        buffer.write %t, %o : tensor<4xf32>, memref<4xf32>
      }
      buffer.kernel "exp" reads() updates(%o = %h : memref<4xf32>) writes() {
        %t = buffer.read %o : memref<4xf32> -> tensor<4xf32>
        %u = pico.unary exp %t : tensor<4xf32>
        buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
      }
      buffer.kernel "neg" reads(%i = %h : memref<4xf32>) writes(%o = %y : memref<4xf32>) {
        %t = buffer.read %i : memref<4xf32> -> tensor<4xf32>
        %u = pico.unary neg %t : tensor<4xf32>
        buffer.write %u, %o : tensor<4xf32>, memref<4xf32>
      }
      func.return
    }"""
    assert count(parse_module(text)) == Counters(8, 16 + 32 + 32, 16, 3)


def test_views_and_constants_cost_nothing_and_reductions_what_they_read() -> None:
    text = """
    func.func @main(%x: tensor<2x3xf32>) -> tensor<2xf32> {
      %p = pico.permute %x by [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
      %y = pico.reduce add %p axes [0] : tensor<3x2xf32> -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }"""
    assert after("", text) == Counters(6, 24 + 8, 0, 1)
    empty = "func.func @main(%x: tensor<f32>) -> tensor<f32> { func.return %x : tensor<f32> }"
    assert after("", empty) == Counters()


def test_a_value_is_alive_until_its_last_reader() -> None:
    text = """
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %a = pico.unary exp %x : tensor<4xf32>
      %b = pico.unary neg %a : tensor<4xf32>
      %c = pico.unary abs %b : tensor<4xf32>
      %d = pico.binary add %a, %c : tensor<4xf32>
      func.return %d : tensor<4xf32>
    }"""
    assert after("", text).peak_bytes == 3 * 16


def test_costs_are_not_counted_at_loop_level() -> None:
    way = "outline_kernels,lower_kernels_to_buffers,plan_buffers,lower_buffers_to_loops"
    with pytest.raises(VerificationError, match="not counted at loop level"):
        after(way)


def test_counters_add_up() -> None:
    assert Counters(1, 2, 3, 4) + Counters(10, 20, 30, 40) == Counters(11, 22, 33, 44)


def test_every_op_computes_or_moves_elements() -> None:
    moves = {op for op in OPS if op.IS_VIEW} | {ConstantOp, IotaOp, PadOp, ConcatOp, GatherOp}
    assert set(OPERATIONS) == set(OPS) - moves


def test_convolutions_scans_and_sorts_are_counted() -> None:
    text = """
    func.func @main(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xi64>) {
      %s = pico.scan add %x axis 1 : tensor<4x8xf32>
      %i = pico.argsort %x axis 1 : tensor<4x8xf32> -> tensor<4x8xi64>
      func.return %s, %i : tensor<4x8xf32>, tensor<4x8xi64>
    }"""
    assert after("", text).operations == 32 + 32 * 3
    for sample in SAMPLES[ConvolutionOp]:
        module = sample.module()
        _, w = sample.inputs
        (result,) = (op.result.type for op in module.walk() if isinstance(op, ConvolutionOp))
        assert count(module).operations == 2 * prod(result.get_shape()) * prod(w.shape[1:])
