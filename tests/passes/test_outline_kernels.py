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
