"""lower_kernels_to_buffers: tensors between kernels get memory, results become arguments."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.buffer import AllocOp, ConstantOp, KernelOp
from picograd.errors import PassError
from picograd.passes import Level, level_of
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.outline_kernels import OutlineKernels
from picograd.semantics.evaluate import evaluate

RNG = np.random.default_rng(23)


def lowered(text: str) -> ModuleOp:
    module = parse_module(text)
    if level_of(module) == Level.TENSOR:
        OutlineKernels().apply(new_context(), module)
    LowerKernelsToBuffers().apply(new_context(), module)
    module.verify()
    assert level_of(module) == Level.BUFFER
    return module


def kernels(module: ModuleOp) -> list[KernelOp]:
    return [op for op in module.walk() if isinstance(op, KernelOp)]


def test_results_are_written_where_the_caller_says() -> None:
    text = """
      func.func @main(%x: tensor<4xf32> {pico.name = "x"}) -> (tensor<4xf32>, tensor<4xf32>) {
        %hidden = pico.unary exp %x : tensor<4xf32>
        %y = pico.unary sqrt %hidden : tensor<4xf32>
        func.return %y, %hidden : tensor<4xf32>, tensor<4xf32>
      }"""
    module = lowered(text)
    assert '%y: memref<4xf32> {buffer.output, pico.name = "y"}' in str(module)
    assert '%x: memref<4xf32> {pico.name = "x"}' in str(module)
    # %hidden is a result, so it needs no memory besides, and its reader reads the result.
    assert not [op for op in module.walk() if isinstance(op, AllocOp)]
    x = RNG.random(4, np.float32)
    for expected, found in zip(
        evaluate(parse_module(text), [x]), evaluate(module, [x]), strict=True
    ):
        assert np.array_equal(expected, found)


def test_intermediates_get_memory_named_after_them_or_their_kernel() -> None:
    module = lowered(
        """
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %hidden = pico.unary exp %x : tensor<4xf32>
          %1 = pico.unary tanh %hidden : tensor<4xf32>
          %y = pico.unary sqrt %1 : tensor<4xf32>
          func.return %y : tensor<4xf32>
        }"""
    )
    allocs = [op.result.name_hint for op in module.walk() if isinstance(op, AllocOp)]
    assert allocs == ["hidden", "tanh"]
    assert [kernel.label.data for kernel in kernels(module)] == ["exp", "tanh", "sqrt"]


def test_large_constants_are_shared_and_small_ones_stay_inside() -> None:
    large = RNG.integers(0, 99, 40)
    text = f"""
      func.func @main(%x: tensor<40xi32>) -> tensor<40xi32> {{
        %c = pico.constant dense<{large.tolist()}> : tensor<40xi32>
        %splat = pico.constant dense<3> : tensor<40xi32>
        %a = pico.binary add %x, %c : tensor<40xi32>
        %b = pico.binary mul %a, %c : tensor<40xi32>
        %y = pico.binary add %b, %splat : tensor<40xi32>
        func.return %y : tensor<40xi32>
      }}"""
    module = lowered(text)
    assert len([op for op in module.walk() if isinstance(op, ConstantOp)]) == 1
    assert [len(kernel.reads) for kernel in kernels(module)] == [2, 2, 1]
    x = RNG.integers(0, 99, 40).astype(np.int32)
    assert np.array_equal(evaluate(module, [x])[0], (x + large) * large + 3)


def test_nothing_is_read_or_written_where_there_are_no_elements() -> None:
    text = """
      func.func @main(%x: tensor<3x0xf32>) -> (tensor<3x0xf32>, tensor<3xf32>) {
        %e = pico.unary exp %x : tensor<3x0xf32>
        %s = pico.reduce add %e axes [1] : tensor<3x0xf32> -> tensor<3xf32>
        func.return %e, %s : tensor<3x0xf32>, tensor<3xf32>
      }"""
    module = lowered(text)
    (kernel,) = kernels(module)
    assert not kernel.reads and len(kernel.writes) == 1
    empty, zeros = evaluate(module, [np.zeros((3, 0), np.float32)])
    assert empty.shape == (3, 0) and np.array_equal(zeros, np.zeros(3, np.float32))


def test_kernels_that_nobody_reads_are_left_out() -> None:
    module = lowered(
        """
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %dead = pico.unary exp %x : tensor<4xf32>
          %y = pico.unary sqrt %x : tensor<4xf32>
          func.return %y : tensor<4xf32>
        }"""
    )
    assert [kernel.label.data for kernel in kernels(module)] == ["sqrt"]


def test_a_result_of_no_kernel_is_an_error() -> None:
    text = """
      func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
        %y = kernel.fused "exp" (%a = %x : tensor<4xf32>) -> (tensor<4xf32>) {
          %e = pico.unary exp %a : tensor<4xf32>
          kernel.yield %e : tensor<4xf32>
        }
        func.return %y, RETURNED : tensor<4xf32>, tensor<4xf32>
      }"""
    for returned in ("%x", "%y"):
        with pytest.raises(PassError, match="kernel of its own") as error:
            lowered(text.replace("RETURNED", returned))
        assert "copy" in error.value.hint
