"""Every tensor op against an independent statement of its meaning, in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.test import TestOp as SourceOp

from picograd.dialects.dtypes import bool_ as boolean
from picograd.dialects.dtypes import float32 as f32
from picograd.dialects.dtypes import from_numpy, int32, int64, is_float_array, tensor_type
from picograd.dialects.literals import scalar_value
from picograd.dialects.tensor import (
    OPS,
    ArgReduceOp,
    BinaryOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConvolutionOp,
    GatherOp,
    MatmulOp,
    PadOp,
    ReduceOp,
    ReshapeOp,
    ScatterOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_value,
    ints,
)
from picograd.errors import IndexOutOfRange
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import SAMPLES, Sample, out_of_range_samples
from picograd.semantics.tensor import EVALUATE, convert, erf, evaluate_op

Array = Any
NAN, INF = float("nan"), float("inf")


def run(op: type[TensorOp], *arguments: Any) -> Array:
    """Build the op from arrays (a list for concat) and other arguments, and run it."""
    arrays: list[Array] = []

    def operand(argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            arrays.append(argument)
            type = tensor_type(argument.shape, from_numpy(argument.dtype))
            return SourceOp(result_types=[type]).results[0]
        if isinstance(argument, list) and argument and isinstance(argument[0], np.ndarray):
            return [operand(part) for part in argument]
        return argument

    instance = op(*[operand(argument) for argument in arguments])
    result = evaluate_op(instance, arrays)
    assert result.dtype == from_numpy(result.dtype).numpy
    assert tensor_type(result.shape, from_numpy(result.dtype)) == instance.result.type
    return result


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int32)


def same(found: Array, expected: Array) -> bool:
    return bool(np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"))


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_results_have_the_inferred_type_in_both_precisions(op: type[TensorOp]):
    for sample in SAMPLES[op]:
        module = sample.module()
        (function,) = module.body.ops
        (declared,) = function.function_type.outputs.data  # type: ignore[attr-defined]
        (native,) = evaluate(module, sample.inputs)
        (wide,) = evaluate(module, sample.inputs, precision="float64")
        assert tensor_type(native.shape, from_numpy(native.dtype)) == declared, sample
        assert wide.shape == native.shape
        assert wide.dtype == (np.float64 if is_float_array(native) else native.dtype), sample


def wide(samples: Sequence[Sample]) -> list[Sample]:
    """Those that NumPy adds up in the dtype they have; sums of narrow ones are tested alone."""
    return [s for s in samples if not any(dtype.is_narrow for dtype in s.dtypes)]


def test_a_rule_for_every_op():
    assert set(EVALUATE) == set(OPS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_the_error_function(dtype: Any):
    x = np.concatenate([np.linspace(-6, 6, 2001), [0.0, -0.0, 1e-30, 40.0, -40.0]]).astype(dtype)
    expected = np.array([math.erf(float(v)) for v in x])
    assert np.abs(erf(x).astype(np.float64) - expected).max() < (
        1e-7 if dtype == np.float32 else 1e-15
    )
    assert erf(x).dtype == dtype
    assert same(erf(floats(INF, -INF, NAN)), floats(1, -1, NAN))


PYTHON_UNARY = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "rsqrt": lambda v: 1 / math.sqrt(v),
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "erf": math.erf,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "neg": lambda v: -v,
    "abs": abs,
    "sign": lambda v: (v > 0) - (v < 0),
}


@pytest.mark.parametrize("kind", PYTHON_UNARY)
def test_unary_against_python(kind: str):
    x = np.random.default_rng(1).uniform(0.01, 20, 101)
    if kind not in ("log", "sqrt", "rsqrt"):
        x = np.concatenate([x, -x, [0.5, 1.5, 2.5, -0.5, -1.5, 0.0]])
    expected = np.array([PYTHON_UNARY[kind](float(v)) for v in x])
    np.testing.assert_allclose(run(UnaryOp, kind, x), expected, rtol=1e-13, atol=1e-15)
    single = run(UnaryOp, kind, x.astype(np.float32))
    expected = np.array([PYTHON_UNARY[kind](float(v)) for v in x.astype(np.float32)])
    np.testing.assert_allclose(single, expected, rtol=1e-6, atol=1e-6)


def test_round_is_half_to_even_and_not_flips():
    assert same(run(UnaryOp, "round", floats(0.5, 1.5, 2.5, -0.5)), floats(0, 2, 2, -0.0))
    assert same(run(UnaryOp, "not", integers(0, -1, 5)), integers(-1, 0, -6))
    assert same(run(UnaryOp, "not", np.array([True, False])), np.array([False, True]))


def test_integers_wrap():
    top, bottom = 2**31 - 1, -(2**31)
    assert same(run(BinaryOp, "add", integers(top), integers(1)), integers(bottom))
    assert same(run(BinaryOp, "mul", integers(65536), integers(65537)), integers(65536))
    assert same(run(UnaryOp, "neg", integers(bottom)), integers(bottom))
    assert same(run(UnaryOp, "abs", integers(bottom)), integers(bottom))
    assert same(run(ReduceOp, "add", integers(top, 1), (0,)), np.array(bottom, np.int32))
    big = np.full((1, 2), 2**16, np.int32)
    assert same(run(MatmulOp, big, big.T.copy()), np.array([[0]], np.int32))


SIGNED = [-7, -3, -2, -1, 1, 2, 3, 7, 0]


def test_integer_division_rounds_down_and_by_zero_gives_zero():
    a, b = (
        np.array(side, np.int64) for side in zip(*itertools.product(SIGNED, SIGNED), strict=True)
    )
    quotient = [x // y if y else 0 for x, y in itertools.product(SIGNED, SIGNED)]
    remainder = [x % y if y else 0 for x, y in itertools.product(SIGNED, SIGNED)]
    assert run(BinaryOp, "floordiv", a, b).tolist() == quotient
    assert run(BinaryOp, "remainder", a, b).tolist() == remainder
    lowest = integers(-(2**31))
    assert same(run(BinaryOp, "floordiv", lowest, integers(-1)), lowest)
    assert same(run(BinaryOp, "remainder", lowest, integers(-1)), integers(0))


def test_float_division_rounds_down():
    pairs = list(itertools.product([-7.5, -1.0, 0.75, 6.0], [-2.0, 0.5, 3.0, INF]))
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    assert run(BinaryOp, "floordiv", a, b).tolist() == [x // y for x, y in pairs]
    assert run(BinaryOp, "remainder", a, b).tolist() == [x % y for x, y in pairs]
    assert np.isnan(run(BinaryOp, "remainder", floats(1, INF), floats(0, 2))).all()
    assert same(
        run(BinaryOp, "floordiv", floats(1, -1, 0), floats(0, 0, 0)), floats(INF, -INF, NAN)
    )


def test_maximum_and_minimum_propagate_nan():
    a, b = floats(1, NAN, NAN, -INF), floats(NAN, 1, NAN, 2)
    assert same(run(BinaryOp, "maximum", a, b), floats(NAN, NAN, NAN, 2))
    assert same(run(BinaryOp, "minimum", a, b), floats(NAN, NAN, NAN, -INF))


def test_shifts_are_logical_and_total():
    counts = integers(0, 1, 31, 32, 33, -1)
    ones = np.full(6, -1, np.int32)
    assert run(BinaryOp, "shr", ones, counts).tolist() == [-1, 2**31 - 1, 1, 0, 0, 0]
    assert run(BinaryOp, "shl", ones, counts).tolist() == [-1, -2, -(2**31), 0, 0, 0]


def test_comparisons_with_nan_are_false_but_ne():
    a = floats(NAN, NAN, 1)
    b = floats(NAN, 1, 1)
    for kind, expected in [
        ("eq", [0, 0, 1]),
        ("ne", [1, 1, 0]),
        ("lt", [0, 0, 0]),
        ("ge", [0, 0, 1]),
    ]:
        assert run(CompareOp, kind, a, b).astype(int).tolist() == expected


def test_casts_saturate_and_truncate():
    x = np.array([1.9, -1.9, 0.5, NAN, INF, -INF, 1e10, -1e10, 2147483647.0, -2147483649.0])
    top, bottom = 2**31 - 1, -(2**31)
    expected = [1, -1, 0, 0, top, bottom, top, bottom, top, bottom]
    assert run(CastOp, x, int32).tolist() == expected
    limits = np.array([2.0**63, -(2.0**63), 2.0**62, 1e300, -1e300])
    assert run(CastOp, limits, int64).tolist() == [
        2**63 - 1, -(2**63), 2**62, 2**63 - 1, -(2**63)
    ]  # fmt: skip
    assert run(CastOp, floats(0, -0.0, NAN, 0.25, INF), boolean).tolist() == [0, 0, 1, 1, 1]
    assert run(CastOp, np.array([2**32 + 5, -1], np.int64), int32).tolist() == [5, -1]
    assert run(CastOp, np.array([True, False]), f32).tolist() == [1.0, 0.0]
    assert convert(floats(300, -1), np.dtype(np.uint8)).tolist() == [255, 0]


def test_reductions_of_nothing_and_of_nan():
    empty = np.zeros((2, 0), np.float32)
    assert run(ReduceOp, "add", empty, (1,)).tolist() == [0, 0]
    assert run(ReduceOp, "mul", empty, (1,)).tolist() == [1, 1]
    nothing = np.zeros((0,), np.bool_)
    assert bool(run(ReduceOp, "and", nothing, (0,))) is True
    assert bool(run(ReduceOp, "or", nothing, (0,))) is False
    assert int(run(ReduceOp, "and", np.zeros((0,), np.int32), (0,))) == -1
    rows = np.array([[1, NAN, 3], [1, 2, 3]], np.float32)
    assert same(run(ReduceOp, "max", rows, (1,)), floats(NAN, 3))
    assert same(run(ReduceOp, "min", rows, (1,)), floats(NAN, 1))


def test_argreduce_takes_the_first_tie_and_the_first_nan():
    rows = np.array([[1, 3, 3], [NAN, 5, NAN], [1, NAN, 9], [0.0, -0.0, 0.0]], np.float32)
    assert run(ArgReduceOp, "max", rows, 1).tolist() == [1, 0, 1, 0]
    assert run(ArgReduceOp, "min", rows, 1).tolist() == [0, 0, 1, 0]
    assert run(ArgReduceOp, "max", rows, 1).dtype == np.int64


@pytest.mark.parametrize("sample", wide(SAMPLES[ConvolutionOp]), ids=repr)
def test_a_convolution_is_the_sum_that_defines_it(sample: Any):
    x, w = (array.astype(np.float64) for array in sample.inputs)
    strides, low, high, dilations = (
        ints(sample.properties[name]) for name in ("strides", "low", "high", "dilations")
    )
    groups = int_value(sample.properties["groups"])
    padded = np.pad(x, [(0, 0), (0, 0), *zip(low, high, strict=True)])
    (found,) = evaluate(sample.module(), sample.inputs, precision="float64")
    channels, outputs = w.shape[1], w.shape[0] // groups
    expected = np.zeros(found.shape)
    with np.errstate(invalid="ignore"):
        for o, k in itertools.product(range(w.shape[0]), np.ndindex(w.shape[2:])):
            first = o // max(1, outputs) * channels
            picked = padded[:, first : first + channels]
            for axis, (offset, stride, dilation) in enumerate(
                zip(k, strides, dilations, strict=True)
            ):
                at = offset * dilation + np.arange(expected.shape[2 + axis]) * stride
                picked = np.take(picked, at, 2 + axis)
            expected[:, o] += np.einsum("nc...,c->n...", picked, w[(o, slice(None), *k)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", SAMPLES[WindowsOp], ids=repr)
def test_windows_hold_what_their_definition_says(sample: Any):
    (x,) = sample.inputs
    axis, size, stride, dilation = (
        int_value(sample.properties[name]) for name in ("axis", "size", "stride", "dilation")
    )
    (found,) = evaluate(sample.module(), [x])
    count = found.shape[axis]
    assert found.shape == (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    # One more window would reach beyond the axis.
    assert count * stride + (size - 1) * dilation >= x.shape[axis]
    for o, k in itertools.product(range(count), range(size)):
        element = np.take(np.take(found, o, axis), k, axis)
        assert same(element, np.take(x, o * stride + k * dilation, axis))


def test_matmul_stays_in_its_dtype():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 5))
    expected = np.einsum("bij,bjk->bik", a, b)
    np.testing.assert_allclose(run(MatmulOp, a, b), expected, rtol=1e-12)
    single = run(MatmulOp, a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    assert (
        run(MatmulOp, np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)).tolist()
        == [[0] * 3] * 2
    )


@pytest.mark.parametrize("sample", SAMPLES[PadOp], ids=repr)
def test_pad_against_loops(sample: Any):
    (x,) = sample.inputs
    low, interior = (ints(sample.properties[name]) for name in ("low", "interior"))
    (found,) = evaluate(sample.module(), sample.inputs)
    expected = np.full(found.shape, scalar_value(sample.properties["value"]), found.dtype)
    for place in np.ndindex(x.shape):
        target = tuple(a + p * (gap + 1) for a, p, gap in zip(low, place, interior, strict=True))
        expected[target] = x[place]
    assert same(found, expected)


@pytest.mark.parametrize("sample", SAMPLES[GatherOp], ids=repr)
def test_gather_against_loops(sample: Any):
    x, index = sample.inputs
    axis = int_value(sample.properties["axis"])
    (found,) = evaluate(sample.module(), sample.inputs)
    expected = np.zeros(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[axis] = int(index[place])
        expected[place] = x[tuple(source)]
    assert same(found, expected)


@pytest.mark.parametrize("sample", wide(SAMPLES[ScatterOp]), ids=repr)
def test_scatter_against_loops(sample: Any):
    x, index, updates = sample.inputs
    axis, kind = int_value(sample.properties["axis"]), sample.properties["kind"].data
    before = x.copy()
    (found,) = evaluate(sample.module(), sample.inputs)
    expected = x.copy()
    for place in np.ndindex(index.shape):
        target = list(place)
        target[axis] = int(index[place])
        old = expected[tuple(target)]
        expected[tuple(target)] = old + updates[place] if kind == "add" else updates[place]
    assert same(found, expected)
    assert same(x, before), "the operand is not written"


@pytest.mark.parametrize("sample", out_of_range_samples(), ids=repr)
def test_indices_out_of_range_are_errors(sample: Any):
    with pytest.raises(
        IndexOutOfRange, match=r"(?s)out of range.*0 <= index < 5.*position \[0, 1\]"
    ):
        evaluate(sample.module(), sample.inputs)


def test_concat_and_reshape_copy_in_row_major_order():
    parts = [np.arange(6).reshape(2, 3), np.arange(2).reshape(2, 1)]
    assert run(ConcatOp, parts, 1).tolist() == [[0, 1, 2, 0], [3, 4, 5, 1]]
    assert run(ReshapeOp, np.arange(6).reshape(2, 3).T, (6,)).tolist() == [0, 3, 1, 4, 2, 5]
