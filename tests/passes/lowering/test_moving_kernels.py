"""Kernels that make and move data, lowered to loops, compute what they did before."""

from typing import Any

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.dialects import buffer
from picograd.dialects import tensor as t
from picograd.dialects.literals import literal
from picograd.errors import IndexOutOfRange
from picograd.semantics.evaluate import evaluate
from tests.passes.lowering.kernels import (
    Add,
    check,
    integers,
    kernel_module,
    loops,
    lower,
    normal,
)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_iota(dtype: Any) -> None:
    element = literal(np.zeros(1, dtype)).type.element_type
    check(
        [normal(1)],
        lambda add, _: [add(t.BroadcastOp(add(t.IotaOp(5, element)), (3, 5)))],
    )


@pytest.mark.parametrize("shape", [(), (1,), (13,), (3, 5), (2, 3, 4)])
def test_random_bits(shape: tuple[int, ...]) -> None:
    state = np.array([123, -456, -1, 7], np.int32)
    check([state], lambda add, s: [add(t.RandomBitsOp(s, shape))])


def test_random_bits_carry_into_the_upper_counter_word() -> None:
    state = np.array([1, 2, -2, 0], np.int32)
    check([state], lambda add, s: [add(t.RandomBitsOp(s, (40,)))])


def test_constants_with_different_elements_become_buffers() -> None:
    table = normal(3, 4, seed=5)

    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        return [add(t.BinaryOp("mul", x, add(t.ConstantOp(literal(table)), "table")))]

    module = check([normal(3, 4)], body)
    assert len(loops(module, buffer.ConstantOp)) == 1
    assert "%table = buffer.constant" in str(module)


RESHAPES = [
    ((4, 6), (24,)),
    ((24,), (2, 3, 4)),
    ((4, 6), (6, 4)),
    ((4, 6), (8, 3)),
    ((5, 7), (7, 5)),
    ((1, 6, 1), (6,)),
    ((6,), (1, 6)),
    ((1,), ()),
    ((), (1, 1)),
    ((2, 3, 4), (4, 3, 2)),
]


@pytest.mark.parametrize(("old", "new"), RESHAPES)
def test_reshape(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    check([normal(*old)], lambda add, a: [add(t.ReshapeOp(a, new))])
    check([normal(*old)], lambda add, a: [add(t.UnaryOp("exp", add(t.ReshapeOp(a, new))))])
    check([normal(*old)], lambda add, a: [add(t.ReshapeOp(add(t.UnaryOp("exp", a)), new))])

    def there_and_back(add: Add, a: SSAValue) -> list[SSAValue]:
        return [add(t.ReshapeOp(add(t.ReshapeOp(a, new)), old))]

    module = check([normal(*old)], there_and_back)
    if (old, new) != RESHAPES[-1]:
        assert " mod " not in str(module) and "floordiv" not in str(module)


def test_views_of_views() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        x = add(t.PermuteOp(a, (2, 0, 1)))
        x = add(t.SliceOp(x, (1, 0, 2), (5, 3, 7), (2, 1, 3)))
        x = add(t.ReverseOp(x, (0, 2)))
        x = add(t.ReshapeOp(x, (12,)))
        return [add(t.BroadcastOp(x, (2, 12)))]

    check([normal(3, 8, 6)], body)


PADS = [
    ((2, 0), (1, 3), (0, 0)),
    ((0, 1), (0, 0), (2, 1)),
    ((1, 1), (2, 2), (1, 3)),
    ((0, 0), (0, 0), (0, 0)),
]


@pytest.mark.parametrize(("low", "high", "interior"), PADS)
@pytest.mark.parametrize("value", [0.0, -1.5])
def test_pad(low: Any, high: Any, interior: Any, value: float) -> None:
    x = normal(3, 4)
    check([x], lambda add, a: [add(t.PadOp(a, low, high, interior, value))])

    def of_a_computed_value(add: Add, a: SSAValue) -> list[SSAValue]:
        y = add(t.BinaryOp("div", a, add(t.UnaryOp("exp", a))))
        return [add(t.UnaryOp("neg", add(t.PadOp(y, low, high, interior, value))))]

    check([x], of_a_computed_value)
    check([x > 0], lambda add, a: [add(t.PadOp(a, low, high, interior, True))])


def test_pad_of_an_empty_tensor_is_all_padding() -> None:
    check([normal(0, 3)], lambda add, a: [add(t.PadOp(a, (2, 0), (1, 1), None, 4.0))])


def test_slice_of_a_pad_and_sum_of_a_pad() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        padded = add(t.PadOp(a, (2, 1), (1, 1)))
        piece = add(t.SliceOp(padded, (1, 0), (5, 6)))
        return [piece, add(t.ReduceOp("add", padded, (0,)))]

    check([normal(3, 4)], body)


def test_reduction_of_a_matmul_under_a_pad() -> None:
    def body(add: Add, a: SSAValue, b: SSAValue) -> list[SSAValue]:
        return [add(t.PadOp(add(t.MatmulOp(a, b)), (1, 0), (0, 2)))]

    check([normal(3, 4), normal(4, 5)], body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sizes", [(3, 4), (1, 1, 1), (2,), (0, 3, 0), (0,)])
def test_concat(axis: int, sizes: tuple[int, ...]) -> None:
    shapes = [(n, 3) if axis == 0 else (2, n) for n in sizes]
    inputs = [normal(*shape, seed=n) for n, shape in enumerate(shapes)]

    def body(add: Add, *xs: SSAValue) -> list[SSAValue]:
        exps = [add(t.UnaryOp("exp", x)) for x in xs]
        return [add(t.ConcatOp(exps, axis)), add(t.ConcatOp(list(xs), axis))]

    check(inputs, body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather(axis: int, dtype: Any) -> None:
    x = normal(5, 4)
    shape = (7, 4) if axis == 0 else (5, 3)
    index = integers(*shape, low=0, high=x.shape[axis], dtype=dtype)
    check([x, index], lambda add, a, i: [add(t.GatherOp(a, i, axis))])


def test_gather_of_a_reduction() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue) -> list[SSAValue]:
        return [add(t.GatherOp(add(t.ReduceOp("add", a, (1,))), i, 0))]

    check([normal(5, 4), integers(20, low=0, high=5)], body)


@pytest.mark.parametrize("wrong", [-1, 5, 2**31 - 1])
def test_an_index_out_of_range_is_reported(wrong: int) -> None:
    index = integers(6, low=0, high=5)
    index[3] = wrong
    module = lower(kernel_module([normal(5), index], lambda add, a, i: [add(t.GatherOp(a, i, 0))]))
    with pytest.raises(IndexOutOfRange):
        evaluate(module, [normal(5), index])


def test_any_index_into_nothing_is_out_of_range() -> None:
    inputs = [normal(0), np.array([0], np.int32)]
    module = lower(kernel_module(inputs, lambda add, a, i: [add(t.GatherOp(a, i, 0))]))
    with pytest.raises(IndexOutOfRange):
        evaluate(module, inputs)


def test_what_padding_reads_is_not_taken_for_an_index() -> None:
    """Below, the padded index tensor is lowered by one: the 0 read outside must not count as -1."""

    def body(add: Add, a: SSAValue, i: SSAValue) -> list[SSAValue]:
        one = add(t.ConstantOp(literal(np.ones(6, np.int32))))
        return [add(t.PadOp(add(t.GatherOp(a, add(t.BinaryOp("sub", i, one)), 0)), (2,), (2,)))]

    check([normal(5), integers(6, low=1, high=5)], body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["add", "set"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_scatter(kind: str, axis: int, dtype: Any) -> None:
    x = (normal(5, 4) * 9).astype(dtype)
    shape = (7, 4) if axis == 0 else (5, 6)
    index = integers(*shape, low=0, high=x.shape[axis], seed=3)
    updates = (normal(*shape, seed=4) * 9).astype(dtype)
    check([x, index, updates], lambda add, a, i, u: [add(t.ScatterOp(kind, a, i, u, axis))])


def test_scatter_amid_other_ops() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue, u: SSAValue) -> list[SSAValue]:
        updates = add(t.UnaryOp("exp", u))
        result = add(t.ScatterOp("add", add(t.UnaryOp("neg", a)), i, updates, 0), "sums")
        total = add(t.ReduceOp("add", result, (0,)))
        return [add(t.UnaryOp("tanh", result)), total, result]

    check([normal(5), integers(9, low=0, high=5), normal(9, seed=1)], body)


def test_scatter_then_reshape() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue, u: SSAValue) -> list[SSAValue]:
        return [add(t.ReshapeOp(add(t.ScatterOp("add", a, i, u, 0)), (3,)))]

    inputs = [normal(3, 1), integers(4, 1, low=0, high=3), normal(4, 1)]
    check(inputs, body)


def test_scatter_of_no_updates_copies() -> None:
    inputs = [normal(5), np.zeros(0, np.int32), normal(0)]
    check(inputs, lambda add, a, i, u: [add(t.ScatterOp("add", a, i, u, 0))])
