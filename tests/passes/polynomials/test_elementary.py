"""The formulas themselves, in NumPy's numbers: what the machine meets on the way to the result."""

from typing import Any

import numpy as np
import pytest

from picograd.passes.polynomials.elementary import exp

Array = np.ndarray[Any, Any]


class _Arithmetic:
    """The operations of the formulas on float32 and int32 arrays."""

    def __init__(self, *, scales: bool) -> None:
        self.scales = scales

    def __getattr__(self, name: str) -> Any:
        return {"mul": np.multiply, "add": np.add, "sub": np.subtract, "select": np.where,
                "int_add": np.add, "int_sub": np.subtract, "shift_left": np.left_shift,
                "shift_right_signed": np.right_shift, "scale": np.ldexp,
                "nearest_exactly": self.nearest}[name]  # fmt: skip

    def number(self, value: float) -> np.float32:
        return np.float32(value)

    def integer(self, value: int) -> np.int32:
        return np.int32(value)

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        wide = np.float64
        return np.asarray(wide(a) * wide(b) + wide(c)).astype(np.float32)

    def compare(self, predicate: str, a: Array, b: Array) -> Array:
        return {"lt": np.less, "gt": np.greater}[predicate](a, b)

    def from_bits(self, a: Array) -> Array:
        return np.asarray(a, np.int32).view(np.float32)

    def nearest(self, a: Array, factor: float, more: int = 0) -> tuple[Array, Array]:
        whole = np.rint(np.float64(a) * factor)
        return whole.astype(np.float32), whole.astype(np.int32) + np.int32(more)


ARITHMETICS: list[Any] = [_Arithmetic(scales=False), _Arithmetic(scales=True)]
BOTH = pytest.mark.parametrize("numbers", ARITHMETICS, ids=["halves", "scales"])


@BOTH
@pytest.mark.parametrize("x", [-np.inf, -3e38, -1e9, -150.0, -104.5])
def test_exp_of_what_is_masked_away_meets_no_underflow(x: float, numbers: Any) -> None:
    """Each would take as long as dozens of exponentials."""
    operand = np.full(4, x, np.float32)
    with np.errstate(under="raise", over="raise", invalid="raise"):
        found = exp(numbers, operand)
    assert (found == 0).all()
    assert not np.signbit(found).any()


@BOTH
def test_exp_is_what_it_was_beside_that(rng: np.random.Generator, numbers: Any) -> None:
    x = rng.uniform(-104, 89, 10000).astype(np.float32)
    with np.errstate(all="ignore"):
        found = exp(numbers, x)
        exact = np.exp(x.astype(np.float64)).astype(np.float32)
        unknown = exp(numbers, np.full(1, np.nan, np.float32))
    np.testing.assert_allclose(found, exact, rtol=2e-7, atol=1.5e-45)
    assert np.isnan(unknown).all()
