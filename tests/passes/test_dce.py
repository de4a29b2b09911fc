"""dce: nothing stays that nobody reads, and all stays that somebody does."""

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.passes.dce import DCE, erase_dead

TEXT = """
func.func @main(%x: tensor<4xf32>, %unused: tensor<3xf32>) -> tensor<4xf32> {
  %a = pico.unary exp %x : tensor<4xf32>
  %b = pico.unary neg %a : tensor<4xf32>
  %c = pico.binary add %a, %b : tensor<4xf32>
  %d = pico.binary mul %c, %c : tensor<4xf32>
  %y = pico.unary sqrt %a : tensor<4xf32>
  func.return %y : tensor<4xf32>
}
"""


def test_a_chain_that_nobody_reads_goes_in_one_sweep() -> None:
    module = parse_module(TEXT)
    assert erase_dead(module) == 3
    assert [op.name for op in module.walk()] == [
        "builtin.module",
        "func.func",
        "pico.unary",
        "pico.unary",
        "func.return",
    ]
    assert erase_dead(module) == 0


def test_arguments_and_results_stay() -> None:
    module = parse_module(TEXT)
    DCE().apply(new_context(), module)
    assert "(%x: tensor<4xf32>, %unused: tensor<3xf32>) -> tensor<4xf32>" in str(module)


def test_regions_are_swept_and_keep_their_terminator() -> None:
    module = parse_module(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %y = kernel.fused "k" (%a = %x : tensor<2xf32>) -> (tensor<2xf32>) {
            %dead = pico.unary exp %a : tensor<2xf32>
            kernel.yield %a : tensor<2xf32>
          }
          %z = kernel.fused "dead" (%a = %x : tensor<2xf32>) -> (tensor<2xf32>) {
            kernel.yield %a : tensor<2xf32>
          }
          func.return %y : tensor<2xf32>
        }"""
    )
    assert erase_dead(module) == 2
    module.verify()
    assert str(module).count("kernel.yield") == 1
    assert "exp" not in str(module)


def test_a_function_without_dead_ops_stays_as_it_is() -> None:
    module = parse_module(
        "func.func @main(%x: tensor<f32>) -> tensor<f32> { func.return %x : tensor<f32> }"
    )
    before = str(module)
    DCE().apply(new_context(), module)
    assert str(module) == before
