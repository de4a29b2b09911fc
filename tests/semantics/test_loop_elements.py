"""The arith and math operations of the loop level, element by element, against plain Python."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects import arith
from xdsl.dialects import math as math_dialect
from xdsl.dialects.builtin import f32, i1, i32, i64
from xdsl.ir import Attribute, Block, Operation
from xdsl.irdl import IRDLOperation

from picograd.dialects.loop import ScaleOp
from picograd.errors import VerificationError
from picograd.semantics.loop_elements import ELEMENT_RULES, evaluate_element_op

NUMPY = {f32: np.float32, i32: np.int32, i64: np.int64, i1: np.bool_}


def evaluate(cls: type[Operation], result: Attribute, source: Attribute, *arrays: np.ndarray):
    block = Block(arg_types=[source] * len(arrays))
    op = cls.create(operands=list(block.args), result_types=[result])
    with np.errstate(all="ignore"):
        return evaluate_element_op(op, list(arrays), widen=False)


def wrap(value: int, bits: int) -> int:
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("cls", "rule"),
    [
        (arith.AddiOp, lambda a, b: a + b),
        (arith.SubiOp, lambda a, b: a - b),
        (arith.MuliOp, lambda a, b: a * b),
        (arith.DivSIOp, lambda a, b: math.trunc(a / b) if b else 0),
        (arith.RemSIOp, lambda a, b: int(math.fmod(a, b)) if b else 0),
        (arith.FloorDivSIOp, lambda a, b: a // b if b else 0),
        (arith.MaxSIOp, max),
        (arith.MinSIOp, min),
        (arith.AndIOp, lambda a, b: a & b),
        (arith.OrIOp, lambda a, b: a | b),
        (arith.XOrIOp, lambda a, b: a ^ b),
        (arith.ShLIOp, lambda a, b: a << b if 0 <= b < 32 else 0),
        (arith.ShRUIOp, lambda a, b: (a % 2**32) >> b if 0 <= b < 32 else 0),
        (arith.ShRSIOp, lambda a, b: a >> (b if 0 <= b < 32 else 31)),
    ],
)
def test_integers(cls: type[Operation], rule: Callable[[int, int], int]) -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(-(2**31), 2**31, 60).astype(np.int32)
    b = np.concatenate([rng.integers(-5, 40, 50), [0, 1, -1, 31, 32, 2**31 - 1, -7, 3, 5, 9]])
    b = b.astype(np.int32)
    expected = [wrap(rule(int(x), int(y)), 32) for x, y in zip(a, b, strict=True)]
    assert evaluate(cls, i32, i32, a, b).tolist() == expected


def test_float_edges() -> None:
    values = np.array([np.nan, 1.0, -0.0, np.inf], np.float32)
    other = np.array([1.0, np.nan, 0.0, -np.inf], np.float32)
    assert np.isnan(evaluate(arith.MaximumfOp, f32, f32, values, other)[:2]).all()
    assert evaluate(arith.MaxnumfOp, f32, f32, values, other)[:2].tolist() == [1.0, 1.0]
    rounded = evaluate(math_dialect.RoundEvenOp, f32, f32, np.array([0.5, 1.5, -2.5], np.float32))
    assert rounded.tolist() == [0.0, 2.0, -2.0]


def test_fma_rounds_once() -> None:
    a = np.array([1 + 2**-12], np.float32)
    c = np.array([-1.0], np.float32)
    fused = evaluate(math_dialect.FmaOp, f32, f32, a, a, c)
    assert fused[0] == np.float32((1 + 2**-12) ** 2 - 1)


@pytest.mark.parametrize(
    ("cls", "source", "result", "values", "expected"),
    [
        (arith.FPToSIOp, f32, i32, [1.9, -1.9, np.nan, 3e9, -np.inf],
         [1, -1, 0, 2**31 - 1, -(2**31)]),
        (arith.FPToSIOp, f32, i64, [2.0**62, 2.0**63], [2**62, 2**63 - 1]),
        (arith.SIToFPOp, i32, f32, [-3, 7], [-3.0, 7.0]),
        (arith.UIToFPOp, i1, f32, [False, True], [0.0, 1.0]),
        (arith.SIToFPOp, i1, f32, [False, True], [0.0, -1.0]),
        (arith.ExtUIOp, i32, i64, [-1, 5], [2**32 - 1, 5]),
        (arith.ExtSIOp, i1, i32, [False, True], [0, -1]),
        (arith.TruncIOp, i64, i32, [2**32 + 3, -1], [3, -1]),
        (arith.BitcastOp, f32, i32, [1.0], [0x3F800000]),
    ],
)  # fmt: skip
def test_conversions(cls, source, result, values, expected) -> None:
    found = evaluate(cls, result, source, np.array(values, NUMPY[source]))
    assert found.dtype == NUMPY[result] and found.tolist() == expected


def test_scaling_by_powers_of_two() -> None:
    tiny = np.float32(1e-40)
    a = np.array([1.5, -0.75, 0.0, np.inf, np.nan, tiny, 1.0, 1.0], np.float32)
    n = np.array([-1, 3, 5000, -5000, 1, 1, -149, -(2**31)], np.int32)
    block = Block(arg_types=[f32, i32])
    found = evaluate_element_op(ScaleOp(*block.args), [a, n], widen=False)
    assert found.dtype == np.float32
    exact = np.array([0.75, -6.0, 0.0, np.inf, np.nan, 2 * tiny, 2.0**-149, 0.0], np.float32)
    np.testing.assert_array_equal(found, exact)


def test_float_comparisons_with_nan() -> None:
    a = np.array([1.0, np.nan, 2.0], np.float32)
    b = np.array([2.0, 1.0, 2.0], np.float32)
    block = Block(arg_types=[f32, f32])
    expected = {
        "oeq": [0, 0, 1], "ogt": [0, 0, 0], "olt": [1, 0, 0], "one": [1, 0, 0], "ord": [1, 0, 1],
        "ueq": [0, 1, 1], "ult": [1, 1, 0], "une": [1, 1, 0], "uno": [0, 1, 0], "true": [1, 1, 1],
    }  # fmt: skip
    for predicate, result in expected.items():
        op = arith.CmpfOp(block.args[0], block.args[1], predicate)
        assert evaluate_element_op(op, [a, b], widen=False).tolist() == [bool(r) for r in result]


@pytest.mark.parametrize("name", sorted(rule for rule in ELEMENT_RULES if rule.startswith("math.")))
def test_elementary_functions_keep_their_type(name: str) -> None:
    cls = next(op for op in math_dialect.Math.operations if op.name == name)
    assert issubclass(cls, IRDLOperation)
    count = len(cls.get_irdl_definition().operands)
    type, dtype = (i32, np.int32) if name == "math.absi" else (f32, np.float32)
    arrays = [np.array([0.25, 1.5], np.float32).astype(dtype)] * count
    found = evaluate(cls, type, type, *arrays)
    assert found.dtype == dtype and np.isfinite(found).all()


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(VerificationError, match=r"math\.cbrt has no meaning"):
        evaluate(math_dialect.CbrtOp, f32, f32, np.array([1.0], np.float32))
