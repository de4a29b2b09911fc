"""Reductions, products, scans and sorts, lowered to loops, compute what they did before."""

from typing import Any

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.dialects import tensor as t
from tests.passes.lowering.kernels import (
    Add,
    check,
    integers,
    loops,
    normal,
)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
def test_reduce_floats(kind: str, axes: tuple[int, ...]) -> None:
    x = normal(3, 5, 4)
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, axes))])
    x[1, 2, 3] = np.nan
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, axes))])


@pytest.mark.parametrize("kind", ["add", "mul", "max", "min", "and", "or"])
def test_reduce_integers(kind: str) -> None:
    x = integers(4, 5, low=-9, high=9, dtype=np.int64)
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, (0,)))])


@pytest.mark.parametrize("kind", ["and", "or"])
def test_reduce_bools(kind: str) -> None:
    check([normal(4, 2) > 0], lambda add, a: [add(t.ReduceOp(kind, a, (1,)))])


@pytest.mark.parametrize("kind", ["add", "mul"])
def test_reduce_of_an_empty_axis_is_the_identity(kind: str) -> None:
    check([normal(3, 0)], lambda add, a: [add(t.ReduceOp(kind, a, (1,)))])


def test_reduce_of_an_axis_of_size_one_needs_no_loop() -> None:
    module = check([normal(3, 1)], lambda add, a: [add(t.ReduceOp("add", a, (1,)))])
    assert not loops(module, loop.ReduceOp)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_argreduce(kind: str, axis: int) -> None:
    x = integers(5, 6, low=0, high=3).astype(np.float32)
    check([x], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    x[2, 4] = x[2, 5] = x[4, 4] = np.nan
    check([x], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    worst = np.full((2, 3), -np.inf if kind == "max" else np.inf, np.float32)
    check([worst], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    check([integers(4, 3, low=-2, high=2)], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("shape", [(4, 3, 5), (1, 1, 1), (3, 0, 2), (1, 7, 1)])
def test_matmul(shape: tuple[int, int, int], dtype: Any) -> None:
    m, k, n = shape
    a, b = (normal(m, k) * 4).astype(dtype), (normal(k, n, seed=1) * 4).astype(dtype)
    check([a, b], lambda add, x, y: [add(t.MatmulOp(x, y))])


def test_batched_matmul_of_transposed_operands() -> None:
    def body(add: Add, x: SSAValue, y: SSAValue) -> list[SSAValue]:
        return [add(t.MatmulOp(x, add(t.PermuteOp(y, (0, 2, 1)))))]

    check([normal(2, 3, 4), normal(2, 5, 4, seed=1)], body)


CONVOLUTIONS = [
    ((2, 3, 7), (4, 3, 3), (1,), (1,), (1,), (1,), 1),
    ((2, 4, 5, 6), (6, 2, 2, 3), (2, 1), (1, 0), (0, 2), (1, 2), 2),
    ((1, 2, 3), (2, 2, 1), (1,), (4,), (0,), (1,), 1),
    ((1, 1, 1), (1, 1, 1), (1,), (0,), (0,), (1,), 1),
    ((1, 3, 4), (6, 1, 2), (1,), (0,), (0,), (1,), 3),
    ((1, 1, 1), (1, 1, 1), (10,), (5,), (0,), (1,), 1),
    ((2, 0, 4), (3, 0, 2), (1,), (0,), (0,), (1,), 1),
]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=repr)
def test_convolution(case: Any, dtype: Any) -> None:
    data, kernel, *numbers = case
    x, w = (normal(*data) * 4).astype(dtype), (normal(*kernel, seed=1) * 4).astype(dtype)
    check([x, w], lambda add, a, b: [add(t.ConvolutionOp(a, b, *numbers))])


def test_convolution_reads_its_input_through_views() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue) -> list[SSAValue]:
        swapped = add(t.PermuteOp(x, (1, 0, 2)))
        return [add(t.ConvolutionOp(swapped, w, (1,), (1,), (2,), (1,)))]

    check([normal(3, 2, 5), normal(4, 3, 3, seed=1)], body)


def test_a_padded_reshape_needs_no_division() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue) -> list[SSAValue]:
        image = add(t.ReshapeOp(x, (2, 1, 3, 5)))
        return [add(t.ConvolutionOp(image, w, (1, 1), (1, 1), (1, 1), (1, 1)))]

    x, w = normal(2, 15), normal(3, 1, 3, 3, seed=1)
    assert "floordiv" not in str(check([x, w], body))


@pytest.mark.parametrize("shape", [(3, 9), (9,), (2, 9, 3)])
def test_windows(shape: tuple[int, ...]) -> None:
    axis = shape.index(9)

    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        # Elements that cost something are computed once, though several windows hold them.
        wide = add(t.WindowsOp(add(t.UnaryOp("exp", x)), axis, 3, 2, 2))
        return [wide, add(t.ReduceOp("max", wide, (axis + 1,)))]

    check([normal(*shape)], body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_scan(kind: str, axis: int, dtype: Any) -> None:
    x = (normal(5, 4) * 2).astype(dtype)
    check([x], lambda add, a: [add(t.ScanOp(kind, a, axis))])
    if kind in ("add", "mul"):
        check([x], lambda add, a: [add(t.ScanOp(kind, a, axis, exclusive=True))])


def test_scan_carries_one_total_along_each_row() -> None:
    module = check([normal(3, 7)], lambda add, a: [add(t.ScanOp("add", a, 1))])
    (sequence,) = loops(module, loop.ForOp)
    assert len(sequence.inits) == 1
    assert isinstance(sequence.parent_op(), loop.ParallelOp)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("descending", [False, True])
def test_argsort(descending: bool, axis: int) -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        return [add(t.ArgSortOp(a, axis, descending=descending))]

    x = integers(5, 6, low=0, high=3).astype(np.float32)
    check([x], body)
    x[2, 4] = x[2, 5] = x[4, 4] = np.nan
    check([x], body)
    check([integers(4, 3, low=-2, high=2)], body)


def test_scan_and_argsort_amid_other_ops() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        sums = add(t.ScanOp("add", add(t.UnaryOp("neg", a)), 1), "sums")
        order = add(t.ArgSortOp(sums, 0), "order")
        total = add(t.ReduceOp("add", sums, (0,)))
        return [add(t.UnaryOp("tanh", sums)), total, add(t.GatherOp(sums, order, 0)), order]

    check([normal(5, 3)], body)
