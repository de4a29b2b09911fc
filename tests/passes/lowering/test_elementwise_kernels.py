"""Elementwise kernels, lowered to loops, compute what they computed at buffer level."""

from typing import Any

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.dialects import tensor as t
from picograd.dialects.literals import literal
from tests.passes.lowering.kernels import (
    SPECIAL,
    Add,
    check,
    every_pair,
    integers,
    normal,
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [kind for kind in t.UnaryKind if kind != "not"])
def test_unary_on_floats(kind: t.UnaryKind, dtype: Any) -> None:
    if kind in t.ROUNDED_TO:
        dtype = np.float32  # which they take alone
    with np.errstate(all="ignore"):
        x = np.concatenate([SPECIAL.astype(dtype), normal(30, dtype=dtype) * 3])
        if kind in ("sin", "cos", "exp"):
            x = x[np.abs(np.nan_to_num(x, posinf=1)) < 1e3]
        check([x], lambda add, a: [add(t.UnaryOp(kind, a))])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("kind", ["neg", "abs", "sign", "not"])
def test_unary_on_integers(kind: str, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    x = np.array([0, 1, -1, 5, -5, limits.max, limits.min], dtype)
    check([x], lambda add, a: [add(t.UnaryOp(kind, a))])


def test_not_on_bools() -> None:
    check([normal(9) > 0], lambda add, a: [add(t.UnaryOp("not", a))])


FLOAT_BINARY = ["add", "sub", "mul", "div", "floordiv", "remainder", "pow", "maximum", "minimum"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", FLOAT_BINARY)
def test_binary_on_floats(kind: str, dtype: Any) -> None:
    values = SPECIAL if kind not in ("floordiv", "remainder") else SPECIAL[np.abs(SPECIAL) != 1e10]
    a, b = every_pair(values.astype(dtype))
    with np.errstate(all="ignore"):
        check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])
        a, b = normal(50, seed=1, dtype=dtype) * 100, normal(50, seed=2, dtype=dtype)
        check([np.abs(a), b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


INTEGER_BINARY = [
    "add",
    "sub",
    "mul",
    "floordiv",
    "remainder",
    "maximum",
    "minimum",
    "and",
    "or",
    "xor",
    "shl",
    "shr",
]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("kind", INTEGER_BINARY)
def test_binary_on_integers(kind: str, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    values = np.array([0, 1, -1, 2, 3, -3, 7, -8, 31, 32, 63, 64, limits.max, limits.min], dtype)
    a, b = every_pair(values)
    with np.errstate(all="ignore"):
        check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


@pytest.mark.parametrize("divisor", [3, -3, 0, -1, 1])
@pytest.mark.parametrize("kind", ["floordiv", "remainder", "shl", "shr"])
def test_integer_division_and_shift_by_a_constant(kind: str, divisor: int) -> None:
    x = integers(20, low=-50, high=50)

    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        constant = add(t.ConstantOp(literal(np.full(20, divisor, np.int32))))
        return [add(t.BinaryOp(kind, a, constant))]

    check([x], body)


@pytest.mark.parametrize("kind", ["and", "or", "xor"])
def test_binary_on_bools(kind: str) -> None:
    a, b = every_pair(np.array([True, False]))
    check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


@pytest.mark.parametrize("kind", list(t.CompareKind))
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_compare(kind: str, dtype: Any) -> None:
    values = SPECIAL[:9] if dtype == np.int64 else SPECIAL
    a, b = every_pair(values.astype(dtype))
    check([a, b], lambda add, x, y: [add(t.CompareOp(kind, x, y))])


@pytest.mark.parametrize("kind", ["eq", "ne"])
def test_compare_bools_and_select_by_them(kind: str) -> None:
    def body(add: Add, x: SSAValue, y: SSAValue, u: SSAValue) -> list[SSAValue]:
        condition = add(t.CompareOp(kind, x, y))
        return [add(t.SelectOp(condition, u, add(t.UnaryOp("neg", u))))]

    check([normal(9) > 0, normal(9, seed=1) > 0, normal(9, seed=2)], body)


CASTS = [np.float32, np.float64, np.int32, np.int64, np.bool_]


@pytest.mark.parametrize("target", CASTS)
@pytest.mark.parametrize("source", CASTS)
def test_cast(source: Any, target: Any) -> None:
    with np.errstate(all="ignore"):
        if np.dtype(source).kind == "f":
            x = np.concatenate([SPECIAL, [2.0**31, -(2.0**31) - 1, 2.0**63, 2147483520.0]])
            x = x.astype(source)
        elif np.dtype(source).kind == "i":
            limits = np.iinfo(source)
            x = np.array([0, 1, -1, 300, limits.max, limits.min], source)
        else:
            x = np.array([True, False, True])
        dtype = literal(np.zeros(1, target)).type.element_type
        check([x], lambda add, a: [add(t.CastOp(a, dtype))])
