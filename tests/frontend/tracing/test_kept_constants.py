"""What is kept of weights is never stale, whoever changes them; and nothing is kept for them."""

import copy
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.backends.runtime import Buffer
from picograd.compiler.executable import Constants, clear_cache
from picograd.compiler.pipelines import pipeline
from picograd.frontend.storage.shared import SharedCell
from picograd.frontend.tracing.kept_constants import SETTLED, KeptConstants
from picograd.passes.pack_constants import PackConstants

RNG = np.random.default_rng(17)

PASSES = pipeline("cpu").before("outline_kernels", PackConstants(columns=8))
"""Every weight is laid out, however little it pays."""

Linear = nn.Linear


def fresh(*shape: int) -> torch.Tensor:
    return torch.tensor(RNG.standard_normal(shape).astype(np.float32))


def _bias(linear: Linear) -> torch.Tensor:
    assert linear.bias is not None
    return linear.bias


class Runs:
    """How often constants were computed."""

    def __init__(self) -> None:
        self.count = 0

    def since(self) -> int:
        """How often since it was last asked."""
        count, self.count = self.count, 0
        return count


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    counted, of = Runs(), Constants.of

    def counting(self: Constants, inputs: Any) -> list[Buffer]:
        counted.count += 1
        return of(self, inputs)

    monkeypatch.setattr(Constants, "of", counting)
    return counted


@pytest.fixture(autouse=True)
def on_the_cpu_without_gradients() -> Iterator[None]:
    torch.set_default_device("cpu")
    with torch.no_grad():
        yield


def compiled(function: Callable[..., Any]) -> Any:
    return torch.compile(function, passes=PASSES)


def check(function: Any, linear: Linear, x: torch.Tensor) -> None:
    """Hold a compiled layer against what its weights say now."""
    weight, bias = linear.weight.tolist(), _bias(linear).tolist()
    expected = np.array(x.tolist()) @ np.array(weight).T + np.array(bias)
    np.testing.assert_allclose(function(x).tolist(), expected, rtol=1e-4, atol=1e-4)


def test_weights_that_stay_are_looked_at_once(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    for _ in range(4):
        check(function, linear, x)
    assert runs.since() == 1 and len(function.versions) == 1
    assert function.report.bytes_kept == 12 * 24 * 4
    assert "keeps 1,152 bytes" in str(torch.explain(function))


def _update(linear: Linear) -> None:
    with torch.enable_grad():
        optimizer = torch.optim.Adam(linear.parameters(), lr=0.1)
        linear(fresh(3, 12)).square().sum().backward()
        optimizer.step()


def _compiled_update(linear: Linear) -> None:
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)

    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        loss = linear(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    with torch.enable_grad():
        step(fresh(3, 12))


def _through_an_array(linear: Linear) -> None:
    linear.weight.detach().numpy()[3] = RNG.standard_normal(12)


def _through_an_array_that_stays(linear: Linear) -> None:
    held = linear.weight.detach().numpy()
    HELD.append(held)
    held *= 2


def _assign_item(linear: Linear) -> None:
    linear.weight[2, 3] = 40


def _set_data(linear: Linear) -> None:
    linear.weight.data = fresh(20, 12)


def _rebind(linear: Linear) -> None:
    linear.weight = nn.Parameter(fresh(20, 12))


def _borrow(linear: Linear) -> None:
    array = RNG.standard_normal((20, 12)).astype(np.float32)
    linear.weight = nn.Parameter(torch.from_numpy(array))
    HELD.append(array)


def _write_borrowed(linear: Linear) -> None:
    _borrow(linear)
    linear(fresh(2, 12))
    HELD[-1][:] += 1


def _restore(linear: Linear) -> None:
    linear.load_state_dict(Linear(12, 20).state_dict())


def _there_and_back(linear: Linear) -> None:
    linear.double()
    linear.weight.add_(1)
    linear.float()


def _through_a_compiled_function(linear: Linear) -> None:
    torch.compile(lambda: linear.weight.mul_(3))()


def _as_an_argument(linear: Linear) -> None:
    torch.compile(lambda weight: weight.mul_(3))(linear.weight.detach())


def _as_a_vector(linear: Linear) -> None:
    nn.utils.vector_to_parameters(fresh(12 * 20 + 20), linear.parameters())


def _failed_trace(linear: Linear) -> None:
    """A trace that fails puts versions back: the change after it has the number of one in it."""

    def fails() -> None:
        linear.weight.add_(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        torch.compile(fails)()
    linear.weight.add_(2)


HELD: list[Any] = []

CHANGES: dict[str, Callable[[Linear], object]] = {
    "in place": lambda linear: linear.weight.mul_(2),
    "an operator": lambda linear: linear.weight.__iadd__(1),
    "an item": _assign_item,
    "a view": lambda linear: linear.weight.T[1:3].zero_(),
    "a view of what is detached": lambda linear: linear.weight.detach().view(-1)[5:9].fill_(7),
    "data in place": lambda linear: linear.weight.data.sub_(1),
    "data set": _set_data,
    "copied": lambda linear: linear.weight.copy_(fresh(20, 12)),
    "filled": lambda linear: nn.init.xavier_uniform_(linear.weight),
    "random numbers": lambda linear: linear.weight.normal_(),
    "another parameter": _rebind,
    "state": _restore,
    "another type and back": _there_and_back,
    "an optimizer": _update,
    "a compiled optimizer": _compiled_update,
    "a compiled function": _through_a_compiled_function,
    "an argument of one": _as_an_argument,
    "a vector": _as_a_vector,
    "an array": _through_an_array,
    "an array that stays": _through_an_array_that_stays,
    "an array of the user's": _borrow,
    "an array of the user's, later": _write_borrowed,
    "a trace that fails": _failed_trace,
    "the bias": lambda linear: _bias(linear).add_(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_weight_is_seen(change: Callable[[Linear], object]) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda x: linear(x))
    for _ in range(3):
        check(function, linear, x)
        change(linear)
        check(function, linear, x)
        check(function, linear, x)
    HELD.clear()
    check(function, linear, x)


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


def test_weights_over_arrays_are_not_marked(runs: Runs) -> None:
    weight = torch.from_numpy(RNG.standard_normal((12, 20)).astype(np.float32))
    function = compiled(lambda x: x @ weight)
    function(fresh(4, 12))
    assert function.executable.constants is None and runs.since() == 0


def test_training_between_calls_copies_no_weight(runs: Runs) -> None:
    """What is kept must not hold the weights: a step writes over what one cell alone holds."""
    linear, x = Linear(12, 20), fresh(5, 12)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.01)
    predict = compiled(lambda x: linear(x))

    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        loss = linear(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

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
    bias = np.array(_bias(linear).tolist())
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


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without constants costs nothing: one lost run is too many."""
    init = KeptConstants.__init__

    def made(self: KeptConstants, constants: Constants, sources: Any, price: float) -> None:
        init(self, constants, sources, 1e-9)

    monkeypatch.setattr(KeptConstants, "__init__", made)


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


def test_numbers_among_the_inputs(runs: Runs) -> None:
    linear, x = Linear(12, 20), fresh(5, 12)
    function = compiled(lambda scale, x, shift: linear(x) * scale + shift)
    for scale in (1.5, 2, 3.25):
        found = np.array(function(scale, x, -1.0).tolist())
        expected = np.array(linear(x).tolist()) * scale - 1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert runs.since() == 2  # integers are another kind of argument


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
