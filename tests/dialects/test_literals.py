"""Literals parse back bit for bit, and read well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from picograd.dialects import new_context
from picograd.dialects.dtypes import bool_, dtype_of, float32, int32, int64
from picograd.dialects.literals import (
    array_of,
    literal,
    literal_type,
    scalar_attr,
    scalar_value,
    splat,
    splat_value,
)
from picograd.dialects.tensor import ConstantOp, PadOp

RNG = np.random.default_rng(7)

ARRAYS: list[Any] = [
    np.array([0.0, -0.0], np.float32),
    np.float32(-0.0),
    np.full((2, 2), -0.0, np.float32),
    np.full((2, 2), np.nan, np.float32),
    np.array([1.0, np.inf, -np.inf, np.nan], np.float32),
    np.float32(1234567.0),
    np.array([[1234567.0, 1e30], [16777216.0, 1e-40]], np.float32),
    np.array([np.pi, 1e300, 5e-324], np.float64),
    np.array([np.nan, 1.0], np.float64),
    np.zeros((0, 3), np.int64),
    np.array([2**63 - 1, -(2**63)], np.int64),
    np.array([[1], [-1]], np.int32),
    np.array(True),
    np.array([[True, False]]),
    np.array([True, True]),
    RNG.random(100) < 0.5,
    RNG.normal(size=200).astype(np.float32),
    RNG.normal(size=(3, 5)),
    RNG.integers(-(2**40), 2**40, (2, 3, 1)),
]


def reparsed(*ops: Any) -> ModuleOp:
    return Parser(new_context(), str(ModuleOp(list(ops)))).parse_module()


@pytest.mark.parametrize("array", ARRAYS, ids=range(len(ARRAYS)))
def test_constants_round_trip_bit_for_bit(array: Any):
    array = np.asarray(array)
    op = ConstantOp(literal(array))
    (again,) = reparsed(op).body.ops
    assert isinstance(again, ConstantOp)
    assert again.value == op.value
    found = array_of(again.value)
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.float32(0.0), "dense<0.0> : tensor<f32>"),
        (np.full((2, 3), 0.1, np.float32), "dense<0.1> : tensor<2x3xf32>"),
        (
            np.array([[1, 2], [3, 4.5]], np.float32),
            "dense<[[1.0, 2.0], [3.0, 4.5]]> : tensor<2x2xf32>",
        ),
        (np.array([3], np.int64), "dense<3> : tensor<1xi64>"),
        (np.array([True, False]), "dense<[true, false]> : tensor<2xi1>"),
        (np.float32(1e-8), "dense<1.0e-08> : tensor<f32>"),
        (np.zeros((0,), np.float32), "dense<> : tensor<0xf32>"),
    ],
)
def test_constants_read_well(array: Any, text: str):
    assert text in str(ConstantOp(literal(np.asarray(array))))


def test_splats_are_found_bit_by_bit():
    assert splat_value(splat(2.5, (3, 4), float32)) == 2.5
    assert splat_value(splat(True, (3,), bool_)) is True
    assert splat_value(literal(np.array([0.0, -0.0], np.float32))) is None
    assert splat_value(literal(np.zeros((0,), np.float32))) is None
    nan = splat_value(splat(float("nan"), (4,), float32))
    assert nan is not None and np.isnan(nan)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, float("nan"), float("inf"), 1234567.0, 16777217.0, 0.1, 1e30, 1e-40]
)
def test_scalars_round_trip(value: float):
    x = ConstantOp(literal(np.array([1.0], np.float32)))
    module = reparsed(x, PadOp(x, (1,), (0,), value=value))
    pad = list(module.body.ops)[1]
    assert isinstance(pad, PadOp)
    found = np.array(scalar_value(pad.value), np.float32)
    assert found.tobytes() == np.array(value, np.float32).tobytes()


def test_scalars_of_other_dtypes():
    assert scalar_value(scalar_attr(True, bool_.ir)) is True
    assert scalar_value(scalar_attr(False, bool_.ir)) is False
    assert scalar_value(scalar_attr(-7, int32.ir)) == -7
    assert scalar_value(scalar_attr(2**40, int64.ir)) == 2**40


@pytest.mark.parametrize(
    ("array", "kept"),
    [
        (np.full((1000, 1000), 0.1, np.float32), 4),
        (np.broadcast_to(np.float64(-0.0), (3, 4)), 8),
        (np.full(7, np.nan, np.float16), 2),
        (np.ones((2, 2), bool), 1),
        (np.array([0.0, -0.0], np.float32), 8),
        (np.full((0, 3), 1, np.int64), 0),
        (np.array([5, 5, 6, 5, 5], np.int64), 40),
        (np.array([5, 6, 5], np.int64), 24),
    ],
)
def test_a_literal_of_one_number_keeps_one_element(array: Any, kept: int):
    value = literal(array)
    assert len(value.data.data) == kept
    assert array_of(value).tobytes() == array.tobytes() and array_of(value).shape == array.shape
    assert literal(array.copy()) == value
    (again,) = reparsed(ConstantOp(value)).body.ops
    assert isinstance(again, ConstantOp) and again.value == value
    if kept == array.itemsize:
        assert splat(array.flat[0].item(), array.shape, dtype_of(literal_type(value))) == value
