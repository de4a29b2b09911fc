"""Evaluation dispatches by level, checks its inputs, and shows reads of memory nobody wrote."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from picograd.dialects import buffer, kernel, new_context, tensor
from picograd.errors import DTypeError, ShapeError, VerificationError
from picograd.semantics.evaluate import entry_of, evaluate

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 3)).astype(np.float32)
W = RNG.normal(size=(3, 2)).astype(np.float32)


def parse(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def example(documentation: str | None) -> ModuleOp:
    """The example program in a dialect's documentation: tanh(x @ w) at each level."""
    assert documentation is not None
    return parse(documentation[documentation.index("    func.func") :])


LEVELS = {"tensor": tensor, "kernel": kernel, "buffer": buffer}


@pytest.mark.parametrize("level", LEVELS)
def test_the_examples_of_all_levels_mean_the_same(level: str):
    module = example(LEVELS[level].__doc__)
    (native,) = evaluate(module, [X, W])
    (wide,) = evaluate(module, [X, W], precision="float64")
    expected = np.tanh(X.astype(np.float64) @ W)
    assert native.dtype == np.float32 and wide.dtype == np.float64
    np.testing.assert_allclose(wide, expected, rtol=1e-14)
    np.testing.assert_allclose(native, expected, rtol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_float64_precision_takes_float64_inputs(level: str):
    module = example(LEVELS[level].__doc__)
    x, w = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2))
    (wide,) = evaluate(module, [x, w], precision="float64")
    np.testing.assert_allclose(wide, np.tanh(x @ w), rtol=1e-14)
    with pytest.raises(DTypeError, match="input 0 has the wrong dtype"):
        evaluate(module, [x, w])


def test_results_are_fresh_arrays():
    module = parse(
        "func.func @main(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {"
        "%y = pico.reverse %x axes [] : tensor<3xf32>\n"
        "func.return %x, %y : tensor<3xf32>, tensor<3xf32> }"
    )
    x = np.array([1, 2, 3], np.float32)
    first, second = evaluate(module, [x])
    first[0] = second[1] = 9
    assert x.tolist() == [1, 2, 3]


def test_main_is_the_entry_among_several_functions():
    module = parse(
        "func.func @other(%x: tensor<f32>) -> tensor<f32> { func.return %x : tensor<f32> }\n"
        "func.func @main(%x: tensor<f32>) -> tensor<f32> {"
        "%y = pico.unary neg %x : tensor<f32>\n func.return %y : tensor<f32> }"
    )
    assert entry_of(module).sym_name.data == "main"
    x = np.array(2.0, np.float32)
    assert evaluate(module, [x])[0] == -2
    other = next(op for op in module.body.ops)
    assert evaluate(other, [x])[0] == 2  # type: ignore[arg-type]


def test_a_single_function_needs_no_name():
    module = parse("func.func @f() -> tensor<i1> {%c = pico.constant dense<true> : tensor<i1>\n"
                   "func.return %c : tensor<i1> }")  # fmt: skip
    assert evaluate(module, [])[0].tolist() is True


def test_a_module_without_entry_is_an_error():
    with pytest.raises(VerificationError, match=r"(?s)no entry.*@main.*no function"):
        evaluate(ModuleOp([]), [])


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([X], ShapeError, "(?s)number of inputs.*2 inputs.*1 inputs"),
        ([X, W.T], ShapeError, r"(?s)input 1 has the wrong shape.*\[3, 2\].*\[2, 3\]"),
        ([X, W.astype(np.int32)], DTypeError, "(?s)input 1.*float32.*int32"),
    ],
)
def test_inputs_are_checked(inputs: list[np.ndarray], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        evaluate(example(tensor.__doc__), inputs)


def test_unwritten_outputs_and_reused_bytes_show():
    module = parse(
        """
        func.func @main(%x: memref<2xf32>, %out0: memref<2xf32> {buffer.output}, %out1:
        memref<2xi32> {buffer.output}, %out2: memref<2xf32> {buffer.output}) {
          %m = buffer.arena : memref<8xi8>
          %p = buffer.place %m at 0 : memref<8xi8> to memref<2xf32>
          %q = buffer.place %m at 0 : memref<8xi8> to memref<2xf32>
          buffer.kernel "keep" reads(%a = %x : memref<2xf32>) writes(%o = %p : memref<2xf32>) {
            %0 = buffer.read %a : memref<2xf32> -> tensor<2xf32>
            buffer.write %0, %o : tensor<2xf32>, memref<2xf32>
          }
          buffer.kernel "overwrite" reads(%a = %x : memref<2xf32>) writes(%o = %q : memref<2xf32>) {
            %0 = buffer.read %a : memref<2xf32> -> tensor<2xf32>
            %1 = pico.unary neg %0 : tensor<2xf32>
            buffer.write %1, %o : tensor<2xf32>, memref<2xf32>
          }
          buffer.kernel "load" reads(%a = %p : memref<2xf32>) writes(%o = %out2 : memref<2xf32>) {
            %0 = buffer.read %a : memref<2xf32> -> tensor<2xf32>
            buffer.write %0, %o : tensor<2xf32>, memref<2xf32>
          }
          func.return
        }
        """
    )
    x = np.array([1.5, -2.0], np.float32)
    for precision in ("native", "float64"):
        never, integers, overwritten = evaluate(module, [x], precision=precision)
        assert np.isnan(never).all()
        assert (np.abs(integers) > 10**9).all()
        assert overwritten.tolist() == [-1.5, 2.0]


def test_unwritten_memory_is_poisoned():
    module = parse(
        """
        func.func @main(%out0: memref<2xf32> {buffer.output}, %out1: memref<2xf32> {buffer.output})
        {
          %m = buffer.arena : memref<8xi8>
          %p = buffer.place %m at 0 : memref<8xi8> to memref<2xf32>
          %q = buffer.alloc : memref<2xf32>
          buffer.kernel "load" reads(%a = %p : memref<2xf32>, %b = %q : memref<2xf32>)
              writes(%o = %out0 : memref<2xf32>, %u = %out1 : memref<2xf32>) {
            %0 = buffer.read %a : memref<2xf32> -> tensor<2xf32>
            %1 = buffer.read %b : memref<2xf32> -> tensor<2xf32>
            buffer.write %0, %o : tensor<2xf32>, memref<2xf32>
            buffer.write %1, %u : tensor<2xf32>, memref<2xf32>
          }
          func.return
        }
        """
    )
    assert all(np.isnan(output).all() for output in evaluate(module, []))


def test_ops_without_meaning_are_named():
    module = parse("func.func @main() { %c = arith.constant 0 : i32\n func.return }")
    with pytest.raises(VerificationError, match=r"arith\.constant has no evaluation rule"):
        evaluate(module, [])


def test_kernels_of_loop_level_are_looked_up_in_the_module():
    module = parse("func.func @main(%x: memref<2xf32>) {\n"
                   "loop.launch @absent(%x) : memref<2xf32>\n func.return }")  # fmt: skip
    with pytest.raises(VerificationError, match=r"(?s)names no kernel.*@absent"):
        evaluate(module, [np.zeros(2, np.float32)])
