"""What is kept of weights, for which calls, and that it takes no memory but its own."""

import copy
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.compiler.executable import clear_cache
from tests.frontend.tracing.weights import (
    PASSES,
    RNG,
    Linear,
    Runs,
    bias_of,
    check,
    compiled,
    fresh,
    training_step,
)

pytestmark = pytest.mark.usefixtures("on_the_cpu_without_gradients")


def test_weights_that_stay_are_looked_at_once(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    for _ in range(4):
        check(function, linear, x)
    assert runs.since() == 1 and len(function.versions) == 1
    assert function.report.bytes_kept == 12 * 24 * 4
    assert "keeps 1,152 bytes" in str(torch.explain(function))


def test_weights_over_arrays_are_not_marked(runs: Runs) -> None:
    weight = torch.from_numpy(RNG.standard_normal((12, 20)).astype(np.float32))
    function = compiled(lambda x: x @ weight)
    function(fresh(4, 12))
    assert function.executable.constants is None and runs.since() == 0


def test_training_between_calls_copies_no_weight(runs: Runs) -> None:
    """What is kept must not hold the weights: a step writes over what one cell alone holds."""
    linear, x = Linear(12, 20), fresh(5, 12)
    predict, step = compiled(lambda x: linear(x)), training_step(linear)
    check(predict, linear, x)
    with torch.enable_grad():
        step(x)
    addresses: list[int] = []
    runs.since()
    for _ in range(4):
        with torch.enable_grad():
            step(x)
        check(predict, linear, x)
        predict(x)
        buffer: Any = linear.weight.cell.value
        addresses.append(buffer.address)
        del buffer
    assert len(set(addresses)) == 1 and runs.since() == 4
    assert step.executable.constants is None


def test_parameters_in_training_are_not_marked(runs: Runs) -> None:
    linear, frozen = Linear(12, 20), Linear(20, 24).requires_grad_(False)
    function = compiled(lambda x: frozen(linear(x)))
    with torch.enable_grad():
        function(fresh(3, 12))
        text = function.ir("tensor")
        assert function.executable.constants.reads == (_place(text, "frozen_weight"),)
    function(fresh(3, 12))
    assert len(function.executable.constants.reads) == 2


def _place(text: str, name: str) -> int:
    """The number of an argument in the text of a module."""
    head = text[text.index("@main(") : text.index("->")]
    return next(n for n, part in enumerate(head.split("%")[1:]) if part.startswith(name + ":"))


def test_arguments_of_the_call_are_not_marked(runs: Runs) -> None:
    function = compiled(lambda x, w: x @ w)
    function(fresh(4, 12), fresh(12, 20))
    assert function.executable.constants is None and "pico.kept" not in function.ir("tensor")


def test_what_a_function_changes_is_not_marked(runs: Runs) -> None:
    weight = fresh(12, 20)

    def step(x: torch.Tensor) -> torch.Tensor:
        result = x @ weight
        weight.mul_(0.5)
        return result

    function, x = compiled(step), fresh(4, 12)
    for _ in range(3):
        expected = np.array(x.tolist()) @ np.array(weight.tolist())
        np.testing.assert_allclose(function(x).tolist(), expected, rtol=1e-4, atol=1e-4)
    assert function.executable.constants is None


def test_two_functions_of_one_weight_keep_their_own(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    first = compiled(lambda x: linear(x))
    second = compiled(lambda x: linear(x))
    for function in (first, second, first, second):
        check(function, linear, x)
    assert first.executable is second.executable and runs.since() == 2
    other = Linear(12, 20)  # the same program, with other weights
    third = compiled(lambda x: other(x))
    for function, layer in ((third, other), (first, linear)):
        check(function, layer, x)
    assert runs.since() == 1


def test_kept_memory_goes(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    function(x)
    (version,) = function.versions
    assert version.constants is not None
    (first,) = version.constants.values
    assert first.nbytes == function.report.bytes_kept == 12 * 24 * 4
    kept = weakref.ref(first)
    del first
    linear.weight.add_(1)
    function(x)
    assert kept() is None and len(version.constants.values) == 1  # one set at a time
    clear_cache()
    assert not version.constants.values
    check(function, linear, x)
    (kept,) = map(weakref.ref, version.constants.values)
    del version, function
    gc.collect()
    assert kept() is None


def test_a_deep_copy_has_weights_of_its_own() -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    check(function, linear, x)
    other = copy.deepcopy(linear)
    again = compiled(lambda x: other(x))
    other.weight.mul_(2)
    check(again, other, x)
    check(function, linear, x)
    linear.weight.mul_(3)
    check(again, other, x)
    check(function, linear, x)


def test_threads_see_what_was_written_before_they_call() -> None:
    """Weights change under a lock, as whoever shares a tensor needs one; calls have none."""
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    function(x)
    step, start = np.array(x.tolist()), np.array(linear.weight.tolist())
    bias = np.array(bias_of(linear).tolist())
    written, stop = [0], threading.Event()
    wrong: list[str] = []

    def read() -> None:
        with torch.no_grad():
            while not stop.is_set():
                low = written[0]
                found = np.array(function(x).tolist())
                high = written[0] + 1
                known = [step @ (start + count).T + bias for count in range(low, high + 1)]
                if not any(np.allclose(found, one, rtol=1e-3, atol=1e-3) for one in known):
                    wrong.append(f"{low} {high}")

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        linear.weight.add_(1)
        written[0] += 1
        function(x)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    check(function, linear, x)


def test_a_trace_in_another_thread_hides_no_change() -> None:
    """A trace counts its own versions in the cells, and puts them back."""
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    check(function, linear, x)
    inside, seen = threading.Event(), threading.Event()

    def update() -> None:
        linear.weight.add_(1)
        inside.set()
        assert seen.wait(60)

    thread = threading.Thread(target=torch.no_grad()(torch.compile(update)))
    thread.start()
    assert inside.wait(60)
    function(x)  # keeps what it computed for a version that the update will have as well
    seen.set()
    thread.join()
    check(function, linear, x)


def test_numbers_among_the_inputs(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda scale, x, shift: linear(x) * scale + shift)
    for scale in (1.5, 2, 3.25):
        found = np.array(function(scale, x, -1.0).tolist())
        expected = np.array(linear(x).tolist()) * scale - 1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert runs.since() == 2  # integers are another kind of argument


def test_every_op_a_kernel_of_its_own(runs: Runs) -> None:
    """In the mode in which no kernels are joined, weights are laid out as well."""
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x).relu() + 1)
    with torch.set_mode("graph"):
        for _ in range(3):
            found = np.array(function(x).tolist())
            np.testing.assert_allclose(found, (linear(x).relu() + 1).tolist(), atol=1e-4)
        assert runs.since() == 1
        linear.weight.mul_(2)
        found = np.array(function(x).tolist())
        np.testing.assert_allclose(found, (linear(x).relu() + 1).tolist(), atol=1e-4)
    assert runs.since() == 1


def test_checked_calls(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = torch.compile(lambda x: linear(x), passes=PASSES, sanitize=True)
    for _ in range(2):
        check(function, linear, x)
        linear.weight.mul_(2)
    assert function.executable.constants is not None and runs.since() == 2


def test_a_profile_does_not_count_what_is_kept() -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    assert len(function.profile(x).launches) == 1
