"""Arithmetic, comparison, promotion and broadcasting against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DeviceError, DTypeError, OptionError, ShapeError

SHAPES = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((0, 3), (1, 3)), ((1,), (5,))]

BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "add": (lambda a, b: a + b, np.add),
    "sub": (lambda a, b: a - b, np.subtract),
    "mul": (lambda a, b: a * b, np.multiply),
    "div": (lambda a, b: a / b, np.divide),
    "floordiv": (lambda a, b: a // b, np.floor_divide),
    "remainder": (lambda a, b: a % b, np.remainder),
    "maximum": (torch.maximum, np.maximum),
    "minimum": (torch.minimum, np.minimum),
    "eq": (lambda a, b: a == b, np.equal),
    "ne": (lambda a, b: a != b, np.not_equal),
    "lt": (lambda a, b: a < b, np.less),
    "le": (lambda a, b: a <= b, np.less_equal),
    "gt": (lambda a, b: a > b, np.greater),
    "ge": (lambda a, b: a >= b, np.greater_equal),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", SHAPES)
def test_binary_broadcasts(rng: np.random.Generator, name: str, shapes: Any) -> None:
    ours, theirs = BINARY[name]
    a, b = (np.asarray(rng.standard_normal(s), np.float32) for s in shapes)
    result = ours(torch.tensor(a), torch.tensor(b))
    expected = np.asarray(theirs(a, b))
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("name", ["add", "mul", "div", "maximum", "lt"])
def test_binary_with_special_values(name: str) -> None:
    ours, theirs = BINARY[name]
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5], np.float32)
    a, b = np.repeat(special, 6), np.tile(special, 6)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ours(torch.tensor(a), torch.tensor(b)).numpy(), theirs(a, b))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "floordiv", "remainder", "eq", "maximum"])
def test_integers(rng: np.random.Generator, name: str) -> None:
    ours, theirs = BINARY[name]
    a, b = rng.integers(-9, 9, 40), rng.integers(1, 5, 40) * rng.choice([-1, 1], 40)
    result = ours(torch.tensor(a), torch.tensor(b))
    np.testing.assert_array_equal(result.numpy(), theirs(a, b))


PROMOTIONS: list[tuple[str, str]] = [
    ("i64 + 1", "int64"),
    ("i64 + 1.5", "float32"),
    ("i32 + i64", "int64"),
    ("i32 + s64", "int32"),
    ("f32 + f64", "float64"),
    ("f32 + sf64", "float32"),
    ("f64 + s32", "float64"),
    ("i64 + sf64", "float64"),
    ("i64 / i64", "float32"),
    ("f32 * True", "float32"),
    ("b + b", "bool"),
    ("b + 1", "int64"),
    ("b + 1.0", "float32"),
    ("b * i32", "int32"),
    ("i64 // 2", "int64"),
    ("i64 ** 2", "int64"),
    ("2 ** f32", "float32"),
    ("f32 < f64", "bool"),
    ("u8 + i32", "int32"),
]


@pytest.mark.parametrize(("expression", "expected"), PROMOTIONS)
def test_promotion(expression: str, expected: str) -> None:
    names = {
        "i64": torch.tensor([1, 2]),
        "i32": torch.tensor([1, 2], dtype=torch.int32),
        "u8": torch.tensor([1, 2], dtype=torch.uint8),
        "f32": torch.tensor([1.0, 2.0]),
        "f64": torch.tensor([1.0, 2.0], dtype=torch.float64),
        "b": torch.tensor([True, False]),
        "s64": torch.tensor(3),
        "s32": torch.tensor(3, dtype=torch.int32),
        "sf64": torch.tensor(3.0, dtype=torch.float64),
    }
    assert eval(expression, names).dtype.name == expected


def test_numpy_scalars_are_numbers() -> None:
    x = torch.tensor([1.0, 2.0])
    assert (x * np.float64(1.5)).dtype is torch.float32
    doubled = np.float32(2) * x  # pyright: ignore[reportOperatorIssue]
    np.testing.assert_array_equal(doubled.numpy(), [2, 4])


def test_bools_add_and_multiply_as_truth_values() -> None:
    a, b = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    assert (a + b).tolist() == [True, True, False]
    assert (a * b).tolist() == [True, False, False]
    assert (a & ~b).tolist() == [False, True, False]
    assert (a ^ b).tolist() == [False, True, False]


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, -0.5, -1, 2.5, -3])
def test_powers(rng: np.random.Generator, exponent: float) -> None:
    x = rng.uniform(0.2, 3, 9)
    np.testing.assert_allclose((torch.tensor(x) ** exponent).numpy(), x**exponent, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0, 1, 2, 5, 13])
def test_powers_of_integers(exponent: int) -> None:
    x = np.array([-3, -1, 0, 1, 2])
    np.testing.assert_array_equal((torch.tensor(x) ** exponent).numpy(), x**exponent)


def test_alpha_and_rounding_mode() -> None:
    a, b = torch.tensor([5.0, -5.0]), torch.tensor([2.0, 2.0])
    assert torch.add(a, b, alpha=3).tolist() == [11, 1]
    assert torch.sub(a, 1, alpha=2).tolist() == [3, -7]
    assert torch.div(a, b, rounding_mode="floor").tolist() == [2, -3]


IN_PLACE: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "add_": (lambda x: x.add_(2, alpha=3), lambda x: x + 6),
    "sub_": (lambda x: x.sub_(2), lambda x: x - 2),
    "mul_": (lambda x: x.mul_(x), lambda x: x * x),
    "div_": (lambda x: x.div_(4), lambda x: x / 4),
    "zero_": (lambda x: x.zero_(), lambda x: x * 0),
    "fill_": (lambda x: x.fill_(7), lambda x: x * 0 + 7),
    "relu_": (lambda x: x.relu_(), lambda x: np.maximum(x, 0)),
    "addcmul_": (lambda x: x.addcmul_(x, x, value=2), lambda x: x + 2 * x * x),
    "addcdiv_": (lambda x: x.addcdiv_(x, x + 9, value=2), lambda x: x + 2 * x / (x + 9)),
    "lerp_": (lambda x: x.lerp_(x * 3, 0.25), lambda x: x + 0.25 * (x * 3 - x)),
    "copy_": (lambda x: x.copy_(torch.tensor([1, 2, 3])), lambda x: x * 0 + [1, 2, 3]),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(rng: np.random.Generator, name: str) -> None:
    ours, expected = IN_PLACE[name]
    array = rng.standard_normal((2, 3)).astype(np.float32)
    x = torch.tensor(array)
    version = x._version
    assert ours(x) is x
    assert x._version == version + 1
    np.testing.assert_allclose(x.numpy(), expected(array), rtol=1e-6)


def test_augmented_assignment_changes_aliases() -> None:
    x = torch.tensor([1.0, 2.0])
    alias = x.detach()
    x += 1
    x *= 3
    x -= 2
    x /= 2
    assert alias.tolist() == [2.0, 3.5]


def test_errors() -> None:
    x, i = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"sizes 3 and 2 of axis -1 do not broadcast"):
        x + torch.ones(2)
    with pytest.raises(DTypeError, match="no operand"):
        x + "1"  # type: ignore[operator]
    with pytest.raises(DTypeError, match="can't be stored in place"):
        i.add_(1.5)
    with pytest.raises(ShapeError, match="does not fit into its tensor"):
        torch.ones(3).add_(x)
    with pytest.raises(DTypeError, match="negative integer powers"):
        i**-1
    with pytest.raises(DTypeError, match="bools have no powers"):
        torch.tensor(True) ** torch.tensor(True)
    for operand in (True, torch.tensor(True)):
        with pytest.raises(DTypeError, match="not subtracted"):
            x - operand
        with pytest.raises(DTypeError, match="not subtracted"):
            operand - x
    with pytest.raises(TypeError, match="unsupported operand"):
        x @ 2
    with pytest.raises(OptionError, match="rounds in two ways"):
        x.div(2, rounding_mode="up")
    with pytest.raises(DTypeError, match="does not fit"):
        torch.tensor([1], dtype=torch.int32) + 2**40
    with pytest.raises(DeviceError, match="different devices"):
        x + torch.ones(2, 3, device="cpu")


def test_an_error_names_the_users_line() -> None:
    with pytest.raises(ShapeError) as caught:
        torch.ones(2) + torch.ones(3)  # the guilty line
    assert "the guilty line" in caught.value.where
    assert "test_arithmetic.py" in caught.value.where
    with pytest.raises(ShapeError) as caught:
        torch.ones(2, 3) @ torch.ones(2, 3)  # raised by the op's inference
    assert "raised by the op's inference" in caught.value.where


def test_comparison_with_other_objects() -> None:
    x = torch.ones(1)
    assert (x == None) is False
    assert x != "x"
    assert len({x: 1, torch.ones(1): 2}) == 2
