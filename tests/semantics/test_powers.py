"""A power is the same wherever it stands."""

import numpy as np
import pytest

from picograd.dialects.tensor import ReduceOp
from picograd.semantics.evaluate import entry_of
from picograd.semantics.powers import power
from picograd.semantics.samples import SAMPLES
from picograd.semantics.tensor import evaluate_op

BASES = [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0, -2.0, 1.3]
EXPONENTS = [0.5, -0.5, 2.0, -1.0, 0.0, 1.0, np.inf, np.nan, 3.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_power_does_not_depend_on_its_neighbours(dtype: type, exponent: float) -> None:
    bases = np.array(BASES, dtype)
    with np.errstate(all="ignore"):
        alone = [power(np.asarray(b), np.asarray(exponent, dtype)) for b in bases]
        broadcast = power(bases, np.broadcast_to(dtype(exponent), bases.shape))
        full = power(bases.reshape(2, 4), np.full((2, 4), exponent, dtype)).reshape(-1)
    for others in (np.array(alone), broadcast):
        assert others.dtype == dtype
        np.testing.assert_array_equal(others, full)
        np.testing.assert_array_equal(np.signbit(others), np.signbit(full))


def test_roots_of_what_has_no_root_are_powers() -> None:
    values = power(np.array([-0.0, -np.inf]), np.broadcast_to(0.5, 2))
    np.testing.assert_array_equal(values, [0.0, np.inf])
    assert not np.signbit(values).any()


def test_a_power_of_nothing_is_nothing() -> None:
    assert power(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32)).shape == (3, 0)


def test_a_reduction_over_no_axes_keeps_the_sign_of_a_zero() -> None:
    x = np.array([-0.0, 0.0, 1.0], np.float32)
    sample = next(s for s in SAMPLES[ReduceOp] if "add" in s.name and s.inputs[0].shape == (3, 5))
    op = ReduceOp("add", entry_of(sample.module()).args[0], ())
    assert np.signbit(evaluate_op(op, [x])).tolist() == [True, False, False]
