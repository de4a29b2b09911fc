"""The loop level in NumPy: against NumPy itself, iteration by iteration where order matters."""

import numpy as np
import pytest

from picograd.check.loop_samples import (
    argmax_gather,
    arguments_of,
    batched_matmul,
    convolution,
    integer_reductions,
    linear_relu,
    softmax,
    the_kernel,
    transposed_matmul,
    triangle,
)
from picograd.compiler.diagnostics import parse_module
from picograd.errors import IndexOutOfRange, VerificationError
from picograd.semantics.loop import run_kernel


def run(text: str, *inputs: np.ndarray, seed: int = 0, widen: bool = False) -> list[np.ndarray]:
    """Run a kernel on its first arguments as given, and on random or poisoned ones for the rest."""
    kernel = the_kernel(parse_module(text))
    arrays = arguments_of(kernel, np.random.default_rng(seed))
    arrays[: len(inputs)] = [array.copy() for array in inputs]
    run_kernel(kernel, arrays, widen=widen)
    return arrays


@pytest.mark.parametrize("sizes", [(3, 4, 5), (1, 1, 1), (2, 3, 0), (0, 3, 2), (300, 200, 3)])
def test_matmuls(sizes: tuple[int, int, int]) -> None:
    x, w, b, y = run(linear_relu(*sizes))
    np.testing.assert_allclose(y, np.maximum(x.astype(np.float64) @ w + b, 0), rtol=1e-5, atol=1e-5)
    x, w, y = run(transposed_matmul(*sizes))
    np.testing.assert_allclose(y, x.T.astype(np.float64) @ w.T, rtol=1e-5, atol=1e-5)
    x, w, y = run(batched_matmul(2, *sizes))
    np.testing.assert_array_equal(y, x @ w)


def test_a_reduction_of_many_steps() -> None:
    """Too long to be spread out, so it runs step by step."""
    x, w, b, y = run(linear_relu(40, 40, 60))
    np.testing.assert_allclose(y, np.maximum(x.astype(np.float64) @ w + b, 0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("sizes", [(4, 9), (1, 1), (3, 0), (0, 4)])
def test_rows(sizes: tuple[int, int]) -> None:
    x, y = run(softmax(*sizes))
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    np.testing.assert_allclose(y, e / e.sum(axis=1, keepdims=True), rtol=1e-6)


def test_padding_reads_zero() -> None:
    x, w, y = run(convolution(2, 3, 2, 4, 5))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    np.testing.assert_allclose(y, np.einsum("nchwuv,ocuv->nohw", windows, w), rtol=1e-4, atol=1e-5)


def test_several_values_reduced_together() -> None:
    x = np.random.default_rng(3).standard_normal((5, 12)).astype(np.float32)
    x[1, [4, 7]] = 9.0
    _, y, _ = run(argmax_gather(5, 12), x)
    np.testing.assert_array_equal(y, x.argmax(axis=1))


def test_triangular_bounds() -> None:
    x, y, z = run(triangle(9))
    np.testing.assert_allclose(y, np.tril(x).sum(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(z, np.tril(x, -1) + np.triu(x.T))


def test_integers_wrap_and_empty_reductions_give_the_identity() -> None:
    x = np.full((3, 2), 2**30, np.int32)
    _, y, t = run(integer_reductions(3, 2), x)
    assert y.tolist() == [-(2**30)] * 2 and t[0] == 2**30
    _, y, t = run(integer_reductions(0, 2))
    assert y.tolist() == [0, 0] and t[0] == -(2**31)


def test_nan_and_infinities() -> None:
    x = np.array([[0.0, np.nan, 1.0], [np.inf, 1.0, 2.0], [-np.inf] * 3], np.float32)
    _, y = run(softmax(3, 3), x)
    assert np.isnan(y[0]).all() and np.isnan(y[1, 0]) and np.isnan(y[2]).all()


def test_widening_computes_in_float64() -> None:
    x, w, b, y = (a.astype(np.float64) for a in run(linear_relu(2, 2, 2)))
    kernel = the_kernel(parse_module(linear_relu(2, 2, 2)))
    run_kernel(kernel, [x, w, b, y], widen=True)
    np.testing.assert_array_equal(y, np.maximum(x @ w + b, 0))


def test_each_iteration_has_a_buffer_of_its_own() -> None:
    text = """
loop.kernel @own(%x: memref<4x3xf32>, %y: memref<4x3xf32>) {
  loop.parallel %i = 0 to 4 {
    %m = loop.alloc : memref<3xf32, "stack">
    loop.for %k = 0 to 2 {
      loop.parallel %j = %k to 3 {
        %v = loop.load %x[%i, %j] : memref<4x3xf32>
        loop.store %v, %m[%j - %k] : f32, memref<3xf32, "stack">
      }
    }
    loop.parallel %j = 0 to 3 {
      %v = loop.load %m[%j] : memref<3xf32, "stack">
      loop.store %v, %y[%i, %j] : f32, memref<4x3xf32>
    }
  }
}"""
    x, y = run(text)
    np.testing.assert_array_equal(y, x[:, [1, 2, 2]])


def test_local_buffers_start_poisoned() -> None:
    text = """
loop.kernel @poison(%y: memref<2xf32>, %n: memref<2xi32>) {
  %m = loop.alloc : memref<2xf32, "stack">
  %k = loop.alloc : memref<2xi32, "stack">
  %v = loop.load %m[t0] : memref<2xf32, "stack"> to vector<2xf32>
  %w = loop.load %k[t0] : memref<2xi32, "stack"> to vector<2xi32>
  loop.store %v, %y[t0] : vector<2xf32>, memref<2xf32>
  loop.store %w, %n[t0] : vector<2xi32>, memref<2xi32>
}"""
    y, n = run(text)
    assert np.isnan(y).all() and (n == -(2**31)).all()


def test_clipped_stores_are_dropped() -> None:
    text = """
loop.kernel @clip(%y: memref<3xf32>) {
  loop.parallel %i = 0 to 8 {
    %v = loop.index %i : f32
    loop.store %v, %y[%i - 2] clip : f32, memref<3xf32>
  }
}"""
    assert run(text)[0].tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("access", ["loop.load %x[%i + 1] : memref<4xf32>", "store"])
def test_an_access_out_of_bounds_is_an_error(access: str) -> None:
    body = (
        "loop.store %one, %x[%i - 1] : f32, memref<4xf32>"
        if access == "store"
        else f"%v = {access}"
    )
    text = f"""
loop.kernel @wrong(%x: memref<4xf32>) {{
  loop.parallel %i = 0 to 4 {{
    %one = arith.constant 1.0 : f32
    {body}
  }}
}}"""
    with pytest.raises(VerificationError, match="out of bounds on axis 0"):
        run(text)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_checked_index_out_of_range_is_the_users_error(index: int) -> None:
    text = """
loop.kernel @gather(%n: memref<1xi64>, %x: memref<3xf32>, %y: memref<1xf32>) {
  %n0 = loop.load %n[0] : memref<1xi64>
  %i = loop.checked_index %n0 : i64 below 3
  %v = loop.load %x[%i] : memref<3xf32>
  loop.store %v, %y[0] : f32, memref<1xf32>
}"""
    with pytest.raises(IndexOutOfRange):
        run(text, np.array([index]))
    _, x, y = run(text, np.array([2]))
    assert y[0] == x[2]


def test_tiles_fold_and_shuffle() -> None:
    text = """
loop.kernel @tiles(%x: memref<4x6xf32>, %y: memref<4xf32>, %z: memref<4xf32>) {
  %v = loop.load %x[t0, t1] : memref<4x6xf32> to vector<4x6xf32>
  %m = loop.fold max %v : vector<4x6xf32> to vector<4xf32>
  %s = loop.shuffle %m, %m [3, 4, 1, 0] : vector<4xf32>, vector<4xf32> to vector<4xf32>
  loop.store %m, %y[t0] : vector<4xf32>, memref<4xf32>
  loop.store %s, %z[t0] : vector<4xf32>, memref<4xf32>
}"""
    x, y, z = run(text)
    np.testing.assert_array_equal(y, x.max(axis=1))
    np.testing.assert_array_equal(z, y[[3, 0, 1, 0]])
