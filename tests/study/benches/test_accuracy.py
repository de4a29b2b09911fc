"""What is promised of the elementary functions holds for float32 of every size and sign."""

import math

import numpy as np
import pytest

from picograd.study.benches import accuracy
from picograd.study.benches.accuracy import FUNCTIONS, distances, measure


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_keeps_its_promise(name: str) -> None:
    # A prime, so that all low bits occur; both signs, subnormals, infinities and NaN are among
    # the numbers, because the patterns are.
    found = measure(name, every=6007, start=3)
    assert found.numbers == pytest.approx(2**32 / 6007, rel=1e-3)
    assert found.holds, found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_corners_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    least, largest = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    corners = np.array([0, least, 2.0**-126, 1, largest, math.inf, math.nan], np.float32)
    both = np.concatenate([corners, -corners])

    def numbers(every: int, start: int) -> list[np.ndarray]:
        return [both]

    monkeypatch.setattr(accuracy, "_numbers", numbers)
    assert measure(name).holds


def test_a_function_that_is_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = FUNCTIONS["exp"].exact
    off = accuracy.Function(lambda x: x.exp() * (1 + 3e-7), exact, 1.1)
    negative = accuracy.Function(lambda x: -x.exp(), exact, 1.1)
    monkeypatch.setattr(accuracy, "FUNCTIONS", {"off": off, "negative": negative})
    assert not measure("off", every=600011).holds
    found = measure("negative", every=600011)
    assert found.wrong > 0 and not math.isnan(found.wrong_at) and not found.holds


def test_distances_are_units_of_the_last_place() -> None:
    exact = np.array([1.0, 1.0, 2.0**-149, 0.0, 2.0**128, np.inf, -3e38])
    found = np.array([1.0, 1 + 2.0**-23, 0.0, 2.0**-149, np.inf, np.inf, -np.inf], np.float32)
    # 2^128 - 3e38 are 19.9 million units of 2^104.
    distance = distances(found, exact, exact)
    np.testing.assert_array_equal(distance[:6], [0, 1, 1, 1, 0, 0])
    assert distance[6] == (2.0**128 - 3e38) / 2.0**104
