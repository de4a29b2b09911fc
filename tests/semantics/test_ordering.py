"""Scans and sorts: what they mean, and what their bounds leave open."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.dialects.tensor import ArgSortOp, ScanKind, ScanOp
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.modes.eager import eager
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import ACCURACY, BOUNDS
from picograd.semantics.gradients_order import extremum_positions
from picograd.semantics.ordering import argsort, scan
from picograd.semantics.samples import SAMPLES, Sample

NAN = np.nan
MODE = eager("reference")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scan_reduces_all_elements_up_to_each(rng: np.random.Generator, axis: int) -> None:
    x = rng.integers(-9, 10, (3, 4, 2))
    for kind, reduce in {"add": np.sum, "mul": np.prod, "max": np.max, "min": np.min}.items():
        found = np.moveaxis(scan(ScanKind(kind), x, axis, exclusive=False), axis, 0)
        along = np.moveaxis(x, axis, 0)
        for place in range(along.shape[0]):
            np.testing.assert_array_equal(found[place], reduce(along[: place + 1], axis=0))


def test_an_exclusive_scan_leaves_the_element_out() -> None:
    x = np.array([[2, 3, 4], [5, 6, 7]])
    assert scan(ScanKind.ADD, x, 1, exclusive=True).tolist() == [[0, 2, 5], [0, 5, 11]]
    assert scan(ScanKind.MUL, x, 0, exclusive=True).tolist() == [[1, 1, 1], [2, 3, 4]]
    assert scan(ScanKind.ADD, x[:, :0], 1, exclusive=True).shape == (2, 0)


def test_extrema_are_nan_from_the_first_nan_on() -> None:
    x = np.array([1.0, NAN, 2.0, 0.0])
    np.testing.assert_array_equal(scan(ScanKind.MAX, x, 0, exclusive=False), [1, NAN, NAN, NAN])
    np.testing.assert_array_equal(scan(ScanKind.MIN, x, 0, exclusive=False), [1, NAN, NAN, NAN])


@pytest.mark.parametrize("descending", [False, True])
def test_argsort_is_stable_and_nan_is_the_greatest(
    rng: np.random.Generator, descending: bool
) -> None:
    x = rng.integers(0, 4, (5, 9)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = NAN
    x[rng.random(x.shape) < 0.1] = -0.0
    for row, order in zip(x, argsort(x, 1, descending=descending), strict=True):
        key = np.where(np.isnan(row), 9.0, row) * (-1 if descending else 1)
        assert order.tolist() == sorted(range(9), key=lambda place, key=key: (key[place], place))


def test_running_extrema_know_where_they_stand() -> None:
    x = np.array([1.0, 3.0, 3.0, 2.0, NAN, 5.0, NAN])
    ops = Tape(MODE)
    var = Var(MODE.constant(x))
    positions = extremum_positions(ops, var, ops.scan("max", var, 0), 0)
    assert MODE.download(positions.value).tolist() == [0, 1, 2, 2, 4, 4, 6]


def order_of(values: list[float], errors: list[float], *, descending: bool = False) -> list[bool]:
    """Which places of the sorted order are undetermined."""
    x = np.array(values)
    sample = Sample("", ArgSortOp, ArgSortOp.properties_of(0, descending=descending), (x,))
    op = next(op for op in sample.module().walk() if isinstance(op, ArgSortOp))
    bound = Bounded(x, np.array(errors), np.zeros(len(x), bool))
    return BOUNDS[ArgSortOp](op, [bound], ACCURACY["cpu"]).doubtful.tolist()


def test_neighbours_whose_ranges_meet_may_change_places() -> None:
    assert order_of([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]) == [False, False, False]
    assert order_of([1.0, 1.1, 3.0], [0.1, 0.1, 0.1]) == [True, True, False]
    assert order_of([3.0, 1.1, 1.0], [0.1, 0.1, 0.1], descending=True) == [False, True, True]
    assert order_of([1.0, 2.0, 3.0, 9.0], [5.0, 0.0, 0.0, 0.0]) == [True, True, True, False]
    assert order_of([1.0, 1.0, 3.0], [0.0, 0.0, 0.1]) == [False, False, False]
    assert order_of([NAN, 1.0, 3.0], [0.0, 0.1, 0.1]) == [False, False, False]


def test_samples_sort_ties_both_ways() -> None:
    ties = [s for s in SAMPLES[ArgSortOp] if s.inputs[0].size > len(np.unique(s.inputs[0]))]
    assert {"descending" in sample.properties for sample in ties} == {False, True}
    assert {"exclusive" in sample.properties for sample in SAMPLES[ScanOp]} == {False, True}
