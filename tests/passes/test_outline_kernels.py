"""outline_kernels: one kernel for each op that computes; views and constants come along."""

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.kernel import FusedOp
from picograd.errors import PassError
from picograd.passes import Level, level_of
from picograd.passes.outline_kernels import OutlineKernels
from picograd.semantics.evaluate import entry_of, evaluate

RNG = np.random.default_rng(22)


def outlined(text: str) -> list[FusedOp]:
    """The kernels of `@main`, of a module that means the same as before."""
    before, module = parse_module(text), parse_module(text)
    OutlineKernels().apply(new_context(), module)
    module.verify()
    types = entry_of(module).function_type.inputs
    shapes = [type.get_shape() for type in types if isinstance(type, TensorType)]
    inputs = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    for expected, found in zip(evaluate(before, inputs), evaluate(module, inputs), strict=True):
        assert np.array_equal(expected, found)
    return [op for op in module.walk() if isinstance(op, FusedOp)]


def test_views_constants_and_iota_are_copied_into_their_readers() -> None:
    kernels = outlined(
        """
        func.func @main(%x: tensor<4x3xf32>, %b: tensor<3xf32>) -> tensor<4xf32> {
          %half = pico.constant dense<0.5> : tensor<f32>
          %i = pico.iota 3 of f32 : tensor<3xf32>
          %bi = pico.binary add %b, %i : tensor<3xf32>
          %wide = pico.broadcast %bi to [4, 3] : tensor<3xf32> -> tensor<4x3xf32>
          %halves = pico.broadcast %half to [4, 3] : tensor<f32> -> tensor<4x3xf32>
          %s = pico.binary mul %x, %wide : tensor<4x3xf32>
          %t = pico.binary mul %s, %halves : tensor<4x3xf32>
          %r = pico.reduce add %t axes [1] : tensor<4x3xf32> -> tensor<4xf32>
          func.return %r : tensor<4xf32>
        }"""
    )
    assert [kernel.label.data for kernel in kernels] == ["add", "mul", "mul", "reduce_add"]
    bodies = [[op.name for op in kernel.block.ops][:-1] for kernel in kernels]
    assert bodies == [
        ["pico.iota", "pico.binary"],
        ["pico.broadcast", "pico.binary"],
        ["pico.constant", "pico.broadcast", "pico.binary"],
        ["pico.reduce"],
    ]
    # The vector crosses between kernels, never the matrix that it is broadcast to.
    assert kernels[1].inputs[1].type == kernels[0].outputs[0].type


def test_every_result_is_a_kernels_own() -> None:
    kernels = outlined(
        """
        func.func @main(%x: tensor<2x3xf32>)
            -> (tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2xf32>) {
          %y = pico.unary exp %x : tensor<2x3xf32>
          %p = pico.permute %y by [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
          %c = pico.constant dense<[1.0, 2.0]> : tensor<2xf32>
          func.return %x, %p, %y, %y, %c
            : tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2xf32>
        }"""
    )
    labels = [kernel.label.data for kernel in kernels]
    assert labels == ["exp", "copy", "permute", "copy", "constant"]
    block = kernels[0].parent
    assert block is not None and block.last_op is not None
    assert len(set(block.last_op.operands)) == 5


def test_an_empty_function_has_no_kernel() -> None:
    assert outlined("func.func @main() { func.return }") == []


def test_the_module_reaches_kernel_level_with_its_names() -> None:
    module = parse_module(
        "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
        "%hidden = pico.unary exp %x : tensor<2xf32>\nfunc.return %hidden : tensor<2xf32>\n}"
    )
    OutlineKernels().apply(new_context(), module)
    assert level_of(module) == Level.KERNEL
    assert '%hidden = kernel.fused "exp"' in str(module)


def test_foreign_ops_are_an_error() -> None:
    module = parse_module(
        "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
        "%c = arith.constant 1 : i32\nfunc.return %x : tensor<2xf32>\n}"
    )
    with pytest.raises(PassError, match="no tensor op") as error:
        OutlineKernels().apply(new_context(), module)
    assert "arith.constant" in str(error.value)


HEADS = """
func.func @main(%x: tensor<2x3x5x4xf32>, %w: tensor<2x3x4x6xf32>, %v: tensor<18x2xf32>)
    -> (tensor<10x2xf32>, tensor<18xf32>, tensor<READ>) {
  %p = pico.matmul %x, %w : tensor<2x3x5x4xf32>, tensor<2x3x4x6xf32> -> tensor<2x3x5x6xf32>
  %t = pico.permute %p by [ORDER] : tensor<2x3x5x6xf32> -> tensor<SHAPE>
  %r = pico.reshape %t to [10, 18] : tensor<SHAPE> -> tensor<10x18xf32>
  %y = pico.matmul %r, %v : tensor<10x18xf32>, tensor<18x2xf32> -> tensor<10x2xf32>
  %s = pico.reduce add %r axes [0] : tensor<10x18xf32> -> tensor<18xf32>
  %e = pico.unary exp %OTHER : tensor<READ>
  func.return %y, %s, %e : tensor<10x2xf32>, tensor<18xf32>, tensor<READ>
}
"""


@pytest.mark.parametrize(
    ("order", "shape", "other", "written"),
    [
        ("0, 2, 1, 3", "2x5x3x6xf32", "t", "2x5x3x6xf32"),  # rows in another order
        ("2, 0, 1, 3", "5x2x3x6xf32", "t", "5x2x3x6xf32"),
        ("0, 1, 3, 2", "2x3x6x5xf32", "t", "2x3x5x6xf32"),  # rows taken apart
        ("3, 0, 2, 1", "6x2x5x3xf32", "t", "2x3x5x6xf32"),
        ("0, 2, 1, 3", "2x5x3x6xf32", "p", "2x3x5x6xf32"),  # somebody reads them as they are
    ],
)
def test_a_product_writes_its_rows_in_the_order_in_which_all_read_them(
    order: str, shape: str, other: str, written: str
) -> None:
    read = shape if other == "t" else "2x3x5x6xf32"
    text = HEADS.replace("ORDER", order).replace("SHAPE", shape)
    product = outlined(text.replace("READ", read).replace("OTHER", other))[0]
    assert product.label.data == "matmul"
    assert str(product.outputs[0].type) == f"tensor<{written}>"
