"""The demo's training: the same curve on every device."""

from itertools import islice

import numpy as np
import pytest

import picograd
from picograd.study.demos.digits import Trainer, split_digits

STEPS = 20
# What the demo promises of its first hundred steps.
BUDGET = 1e-5


def losses(device: str) -> np.ndarray:
    trainer, digits = Trainer(device, seed=0), split_digits(0)
    step = picograd.compile(trainer.step, device=device)
    batches = islice(digits.batches(0, 0), STEPS)
    pairs = [[picograd.tensor(array, device=device) for array in batch] for batch in batches]
    return np.array([step(*pair).item() for pair in pairs])


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return losses("reference")


def test_training_lowers_the_loss(expected: np.ndarray) -> None:
    assert len(expected) == STEPS
    assert expected[-1] < 0.9 * expected[0]


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_the_curve_is_the_same_on_every_device(device: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(losses(device), expected, rtol=0, atol=BUDGET)
