"""What is kept of weights is never stale, whoever changes them."""

import gc
from collections.abc import Callable

import numpy as np
import pytest

import picograd as torch
from picograd.frontend.storage.shared import SharedCell
from picograd.frontend.tracing.kept_constants import SETTLED
from tests.frontend.tracing.weights import (
    CHANGES,
    HELD,
    READINGS,
    RNG,
    Linear,
    Reading,
    Runs,
    check,
    compiled,
    fresh,
)

pytestmark = pytest.mark.usefixtures("on_the_cpu_without_gradients")


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_weight_is_seen(change: Callable[[Linear], object], reading: Reading) -> None:
    linear, x = reading.layer(), reading.input()
    function = compiled(lambda x: reading.compute(linear, x))
    for number in range(3):
        check(function, linear, x, reading)
        assert number or function.report.bytes_kept
        change(linear)
        check(function, linear, x, reading)
        check(function, linear, x, reading)
    HELD.clear()
    check(function, linear, x, reading)


@pytest.mark.parametrize("which", [0, 1])
def test_each_of_several_weights_is_looked_at(which: int, runs: Runs) -> None:
    layers, x = (Linear(12, 20), Linear(12, 20)), fresh(5, 12)
    function = compiled(lambda x: (layers[0](x), layers[1](x)))
    for _ in range(3):
        for layer, found in zip(layers, function(x), strict=True):
            check(lambda x, found=found: found, layer, x)
        layers[which].weight.mul_(-1)
    (version,) = function.versions
    assert len(version.constants.values) == 2 and runs.since() == 3


def test_any_changes_in_any_order() -> None:
    """What one change leaves behind must not hide the next."""
    changes = list(CHANGES.values())
    for seed in range(4):
        rng = np.random.default_rng(seed)
        linear, x = Linear(12, 20), fresh(5, 12)
        function = compiled(lambda x, linear=linear: linear(x))
        for number in rng.integers(len(changes), size=25):
            changes[number](linear)
            if rng.random() < 0.6:
                check(function, linear, x)
            if rng.random() < 0.2:
                HELD.clear()
        HELD.clear()
        check(function, linear, x)


def test_an_array_that_has_come_and_gone(runs: Runs) -> None:
    """The cell looks as before, with the same version and the same buffer."""
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    check(function, linear, x)
    array = linear.weight.detach().numpy()
    version, buffer = linear.weight.cell.version, linear.weight.cell.value
    array[:] = RNG.standard_normal((20, 12))
    del array
    gc.collect()
    assert type(linear.weight.cell) is not SharedCell
    assert linear.weight.cell.version == version and linear.weight.cell.value is buffer
    runs.since()
    check(function, linear, x)
    check(function, linear, x)
    assert runs.since() <= 2


def test_while_an_array_shares_the_memory_nothing_is_kept(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    function(x)
    array = linear.weight.detach().numpy()
    runs.since()
    for _ in range(3):
        array *= -1
        check(function, linear, x)
        function(x)
    assert runs.since() == 6


@pytest.mark.usefixtures("cheap")
def test_weights_that_change_before_every_call_are_no_constants(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    for _ in range(5):
        linear.weight.add_(1)
        check(function, linear, x)
    assert runs.since() == 1
    (version,) = function.versions
    assert not version.constants.values and not version.constants.pays
    assert "change before every call" in str(torch.explain(function))
    for _ in range(SETTLED + 4):
        check(function, linear, x)
    assert runs.since() == 1 and version.constants.values
    linear.weight.add_(1)
    check(function, linear, x)
    check(function, linear, x)
    assert runs.since() == 1
    for _ in range(3):
        check(function, linear, x)
        linear.weight.add_(1)
    check(function, linear, x)
    assert runs.since() == 1  # of the first of these changes, which came after two calls


@pytest.mark.usefixtures("cheap")
def test_without_another_program_constants_are_computed_in_every_call(runs: Runs) -> None:
    """As where one without constants would write over other inputs."""
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    check(function, linear, x)
    (version,) = function.versions
    version._compile_plain = lambda: version.executable
    for _ in range(3):
        linear.weight.add_(1)
        check(function, linear, x)
    assert runs.since() == 4
    check(function, linear, x)
    assert runs.since() == 0


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_weight_is_seen_without_constants(change: Callable[[Linear], object]) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    for number in range(SETTLED + 6):
        if number < 4 or number % 9 == 0:
            change(linear)
            HELD.clear()
        check(function, linear, x)


@pytest.mark.usefixtures("cheap")
def test_a_state_that_is_updated_in_place_beside_weights_that_change() -> None:
    linear, state, x = Linear(12, 20), fresh(5, 20), fresh(5, 12)

    def step(x: torch.Tensor) -> None:
        state.add_(linear(x))

    function = compiled(step)
    expected = np.array(state.tolist())
    for _ in range(6):
        held = state.detach().clone()
        linear.weight.mul_(-1)
        function(x)
        expected += np.array(linear(x).tolist())
        np.testing.assert_allclose(state.tolist(), expected, rtol=1e-3, atol=1e-3)
        assert not np.allclose(held.tolist(), state.tolist())
