"""Plans compute what op by op is computed, values and gradients, and remember what they can."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.compiler.executable import clear_cache
from picograd.errors import DTypeError, GradientError, ShapeError
from picograd.frontend.methods.arithmetic import Arithmetic
from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.mode import SETTINGS, op_by_op, set_recording
from picograd.frontend.plans import planned as planning
from picograd.frontend.plans.planned import Plans, key_of
from picograd.frontend.plans.program import PlanProgram
from tests.frontend.plans.conftest import Counted
from tests.frontend.plans.like_op_by_op import check_like_op_by_op

Tensor = torch.Tensor


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.tensor(rng.standard_normal(shape).astype(np.float32))


def gradients(*given: Any, **options: Any) -> Any:
    return torch.autograd.grad(*given, **options)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: x[0],
    "a row that begins anywhere": lambda x: x[1],
    "transposed": lambda x: x[1].T,
    "every other row": lambda x: x[0, ::2],
    "expanded": lambda x: x[1, 1:2].expand(4, 4),
    "a column": lambda x: x[1][:, 2:3],
    "a diagonal": lambda x: x[0].diagonal(),
    "one element": lambda x: x[1, 2, 3],
    "nothing": lambda x: x[0, :0],
}
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 1),
    "maximum": lambda a, b: a.maximum(b),
    "a number": lambda a, b: (a * 3 - 0.5) / 2 + (1 - b),
    "matmul": lambda a, b: a.T @ b if a.ndim == 2 and a.shape == b.shape else a * b,
    "compared": lambda a, b: (a < b) * a + (b >= 0.1) * b,
    "functions": lambda a, b: a.exp() * b.tanh() + a.sigmoid() - (b * b).sqrt() + a.relu(),
    "reductions": lambda a, b: (a * b).sum(-1) * a.mean(-1, keepdim=True) if a.ndim else a * b,
    "softmax": lambda a, b: a.softmax(-1) * b.log_softmax(-1) if a.ndim and b.ndim else a + b,
    "the same twice": lambda a, b: a * b + a * 2.0 - b * b,
}


PAIRS = [(operation, "transposed") for operation in OPERATIONS]
PAIRS += [("the same twice", view) for view in VIEWS]


@pytest.mark.parametrize(("operation", "view"), dict.fromkeys(PAIRS))
def test_values_and_gradients_are_those_of_op_by_op(
    operation: str, view: str, rng: np.random.Generator
) -> None:
    """Twice, because the second call finds plans that the first one made."""
    array = rng.standard_normal((2, 4, 4)).astype(np.float32)
    other = rng.standard_normal(tuple(VIEWS[view](torch.tensor(array)).shape[-1:])).astype("f")
    weights: list[Any] = []

    def run() -> list[Any]:
        x = torch.tensor(array, requires_grad=True)
        y = torch.tensor(other, requires_grad=True)
        result = OPERATIONS[operation](VIEWS[view](x), y)
        weights.append(np.linspace(-1, 2, result.numel(), dtype=np.float32))
        (result * torch.tensor(weights[0]).reshape(result.shape)).sum().backward()
        grads = [leaf.grad for leaf in (x, y)]
        return [result.detach().numpy(), *(None if g is None else g.numpy() for g in grads)]

    check_like_op_by_op(run, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("number", [2, -3, 0.5, True, float("nan"), -0.0])
def test_numbers_promote_as_op_by_op(dtype: str, number: float, rng: np.random.Generator) -> None:
    x = torch.tensor(rng.integers(0, 5, (3, 2))).to(getattr(torch, dtype))
    operations: list[Callable[[], Tensor]] = [
        lambda: x + number, lambda: number * x, lambda: x / number, lambda: x < number
    ]  # fmt: skip
    for operation in operations:
        with op_by_op():
            expected = operation()
        for _ in range(2):
            result = operation()
            assert result.dtype is expected.dtype
            np.testing.assert_array_equal(result.numpy(), expected.numpy())


def test_a_number_that_does_not_fit_is_an_error_whether_planned_or_not() -> None:
    x = torch.tensor([1, 2])
    assert (x + 5).tolist() == [6, 7]
    with pytest.raises(DTypeError, match="does not fit"):
        x + 2**70
    assert (torch.tensor([1], dtype=torch.int8) + (2**70 + 3)).tolist() == [4]


def test_errors_are_those_of_the_method_and_point_at_the_line() -> None:
    x = torch.ones(2, 3)
    for _ in range(2):
        with pytest.raises(ShapeError, match="do not broadcast") as caught:
            x + torch.ones(2, 4)
        assert "test_plans.py" in str(caught.value)


# What is remembered


def test_a_second_call_only_looks_up(counted: Counted, rng: np.random.Generator) -> None:
    x = normal(rng, 29, 7).requires_grad_()

    y = normal(rng, 29, 7)

    def step(row: int, number: float) -> None:
        ((x[3] * number).exp() * y[row] + x).sum().backward()

    step(3, 1.5)
    step(4, 2.5)  # adds to the gradient
    first = (counted.traced, counted.made)
    # Other tests may have made some of them.
    assert first[0] <= 6
    for row in range(29):
        step(row, row / 7)
    assert (counted.traced, counted.made) == first


def python_calls(function: Callable[[], Any]) -> int:
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    function()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_how_many_python_functions_an_operation_calls(rng: np.random.Generator) -> None:
    """Each costs a twentieth of a microsecond or more, so this is what an eager call costs."""
    x, y = normal(rng, 8, 8), normal(rng, 8, 8)
    g = normal(rng, 8, 8).requires_grad_()
    row = x[0]
    assert python_calls(lambda: x + y) <= 12
    assert python_calls(lambda: x * 2.0) <= 12
    assert python_calls(lambda: x + row) <= 12
    assert python_calls(lambda: x @ y) <= 12
    assert python_calls(lambda: g + x) <= 24


def test_plans_of_a_method_are_bounded(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(planning, "MOST", 3)
    plans = Plans(Arithmetic.add.__wrapped__)  # pyright: ignore[reportFunctionMemberAccess]
    for size in range(1, 7):
        x = normal(rng, size)
        result = plans.run((x, x), (), {})
        np.testing.assert_array_equal(result.numpy(), 2 * x.numpy())
    assert len(plans.known) == 3


def test_constants_are_told_apart_by_type() -> None:
    assert key_of((1,)) != key_of((True,)) and key_of((1, [2, 3])) != key_of((1, (2, 3)))
    assert key_of((0.0,)) != key_of((-0.0,)) and key_of((object(),)) is None
    x = torch.ones(2, 2)
    assert x.sum(1).shape == (2,)
    assert x.sum(1, True).shape == (2, 1)


# Where plans are not for


@pytest.mark.parametrize("mode", ["reference", "immediate", "cached", "graph"])
def test_lower_modes_run_op_by_op(mode: str, counted: Counted) -> None:
    x = torch.tensor([[1.5, -2.0, 4.25]], requires_grad=True)
    y = x * 3.0  # planned, and its gradient asked for below
    before = counted.made
    with torch.set_mode(mode):
        ((y + x).T * 2.0).sum().backward()
    assert counted.made == before and x.grad is not None
    assert x.grad.tolist() == [[8.0, 8.0, 8.0]]
    assert SETTINGS.planned


def test_other_devices_run_op_by_op(counted: Counted) -> None:
    x = torch.tensor([1.0, 2.0], device="reference")
    assert ((x + x) * 2).tolist() == [4.0, 8.0] and counted.made == 0


def test_tracing_and_transformations_see_the_methods(rng: np.random.Generator) -> None:
    x = normal(rng, 3)
    compiled = torch.compile(lambda x: (x * 2.0 + x[1]).exp())
    expected = (x * 2.0 + x[1]).exp()
    np.testing.assert_allclose(compiled(x).numpy(), expected.numpy(), rtol=1e-6)
    slope = torch.func.grad(lambda x: (x * x).sum())(x)
    np.testing.assert_allclose(slope.numpy(), 2 * x.numpy(), rtol=1e-6)
    rows = torch.func.vmap(lambda x: x * x[0])(normal(rng, 2, 3))
    assert rows.shape == (2, 3)


def test_checked_execution_checks_plans(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setenv("PICOGRAD_SANITIZE", "1")
    x = normal(rng, 5, 11).requires_grad_()
    y = (x[1:3] * 2.0 + x[4]).relu()
    y.sum().backward()
    with op_by_op():
        np.testing.assert_array_equal(y.detach().numpy(), (x[1:3] * 2.0 + x[4]).relu().detach())
    assert x.grad is not None and x.grad.isnan().any().item() is False


# Gradients


def test_gradients_of_gradients_are_recorded(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 3).requires_grad_()

    def third() -> Any:
        y = (x[1] * x).exp().sum() + (x.T @ x).tanh().sum()
        (first,) = gradients(y, x, create_graph=True)
        (second,) = gradients((first * first).sum(), x, create_graph=True)
        return gradients(second.sum(), x)[0].numpy()

    with op_by_op():
        expected = third()
    np.testing.assert_allclose(third(), expected, rtol=1e-4, atol=1e-4)


def test_a_value_that_is_needed_must_not_have_changed(rng: np.random.Generator) -> None:
    x, y = normal(rng, 3).requires_grad_(), normal(rng, 3)
    product, total = x * y, x + y
    y.add_(1.0)
    total.sum().backward()  # needs no value
    with pytest.raises(GradientError, match="changed by an operation in place") as caught:
        product.sum().backward()
    assert "MulBackward" in str(caught.value) and "version 1" in str(caught.value)
    scaled = x * 2.0
    scaled.add_(1.0)  # nobody needs what it was
    scaled.sum().backward()
    power = x.exp()
    power.mul_(2.0)  # recorded: what was saved is the old value, whose storage has moved on
    with pytest.raises(GradientError, match="changed by an operation in place"):
        power.sum().backward()


def test_a_second_pass_needs_to_be_announced(rng: np.random.Generator) -> None:
    x = normal(rng, 3).requires_grad_()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.detach().numpy(), rtol=1e-6)
    with pytest.raises(GradientError, match="a second time"):
        y.backward()


def test_views_of_tracked_tensors_are_nodes_of_their_own(rng: np.random.Generator) -> None:
    x = normal(rng, 3, 4).requires_grad_()
    view, seen = x[1], []
    total = (view * view).sum()
    view.register_hook(seen.append)
    (of_view,) = gradients(total, view, retain_graph=True)
    np.testing.assert_allclose(of_view.numpy(), 2 * x.detach().numpy()[1], rtol=1e-6)
    total.backward()
    assert len(seen) == 2 and x.grad is not None
    assert x.grad.numpy()[0].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(view.detach().numpy(), x.detach().numpy()[1])


def test_nothing_is_recorded_without_need(rng: np.random.Generator) -> None:
    x = normal(rng, 3).requires_grad_()
    with torch.no_grad():
        assert not (x * 2.0).requires_grad
    assert not (x > 0).requires_grad and not (x.detach() + 1.0).requires_grad
    assert (x + 1.0).requires_grad and x[0].requires_grad


# In place


def test_storage_that_changes_its_type_is_met_anew(rng: np.random.Generator) -> None:
    """A module that moves to another dtype changes storages, which other tensors show as well."""
    layer = torch.nn.Linear(3, 2)
    x = normal(rng, 4, 3)
    shown = layer.weight.detach()
    first = shown[1]

    def outputs(x: Tensor) -> list[Any]:
        layer.zero_grad()
        layer(x).exp().sum().backward()
        assert layer.weight.grad is not None
        return [shown * 2.0, first + 1.0, shown[0], layer.weight.grad]

    for _ in range(2):
        before = [one.numpy().copy() for one in outputs(x)]
    layer.double()
    for _ in range(2):
        for ours, old in zip(outputs(x.double()), before, strict=True):
            assert ours.dtype is torch.float64
            np.testing.assert_allclose(ours.numpy(), old, rtol=1e-5)
    assert layer.weight.dtype is torch.float64


def test_in_place_keeps_storage_views_and_versions(rng: np.random.Generator) -> None:
    for _ in range(2):
        x = normal(rng, 2, 3)
        row, before = x[1], x.numpy().copy()
        assert x.add_(1.0) is x
        x *= x
        x -= torch.ones(3)
        expected = (before + 1) * (before + 1) - 1
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(row.numpy(), expected[1], rtol=1e-6)
        assert x._version == 3
        row += 1.0
        np.testing.assert_allclose(x.numpy()[1], expected[1] + 1, rtol=1e-6)


def test_in_place_is_recorded_where_it_must_be(rng: np.random.Generator) -> None:
    w = normal(rng, 3).requires_grad_()
    for _ in range(2):
        with pytest.raises(GradientError, match="changed in place"):
            w.add_(1.0)
        with torch.no_grad():
            w.add_(1.0)
        x = torch.zeros(3)
        x.add_(w)
        assert x.requires_grad


def test_what_a_compiled_function_overwrites_is_not_what_was_saved(
    rng: np.random.Generator,
) -> None:
    w, x = normal(rng, 4).requires_grad_(), normal(rng, 4)
    before = x.numpy().copy()

    @torch.compile
    def double() -> None:
        x.mul_(2.0)

    for _ in range(3):
        kept = x.numpy().copy()
        y = w + x
        y.sum().backward()
        product = (w * x).sum()
        double()
        np.testing.assert_array_equal(x.numpy(), 2 * kept)
        with pytest.raises(GradientError, match="changed by an operation in place"):
            product.backward()
    np.testing.assert_array_equal(x.numpy(), 8 * before)


def test_a_cleared_cache_drops_the_plans_of_eager_operations(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    made: list[weakref.ref[PlanProgram]] = []
    init = PlanProgram.__init__

    def counted(program: PlanProgram, traced: Any) -> None:
        made.append(weakref.ref(program))
        init(program, traced)

    monkeypatch.setattr(PlanProgram, "__init__", counted)
    clear_cache()
    x, w = normal(rng, 3, 7), normal(rng, 3, 7).requires_grad_()
    expected = (x.T + 1.5).tolist()

    def work() -> None:
        assert (x.T + 1.5).tolist() == expected
        x.clone().add_(x)
        torch.cat([x[1:], x])
        (w[1] * x).exp().sum().backward()
        with op_by_op():
            x.exp()

    work()
    before, known = len(made), len(eager("cpu")._executables)  # pyright: ignore[reportPrivateUsage]
    assert before >= 5 and known
    work()
    assert len(made) == before
    clear_cache()
    gc.collect()
    assert not [program for program in made if program() is not None]
    assert not eager("cpu")._executables  # pyright: ignore[reportPrivateUsage]
    work()
    assert len(made) == 2 * before


def test_threads_share_plans(rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal((5, 6)).astype(np.float32) for _ in range(2)]
    wrong: list[Any] = []

    def work(array: Any) -> None:
        x = torch.tensor(array, requires_grad=True)
        for number in range(60):
            x.grad = None
            y = x * float(number) + x[2]
            y.sum().backward()
            expected = array * np.float32(number) + array[2]
            grad = np.full((5, 6), number, np.float32)
            grad[2] += 5
            found: Any = y.detach().numpy()
            slope: Any = x.grad
            if not (np.allclose(found, expected, rtol=1e-5, atol=1e-5)):
                wrong.append(found - expected)
            elif not np.array_equal(slope.numpy(), grad):
                wrong.append(grad)

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_recording_is_left_as_it_was(rng: np.random.Generator) -> None:
    x = normal(rng, 13)
    with set_recording(False):
        x + x * 0.25
        assert not SETTINGS.recording
    assert SETTINGS.recording and SETTINGS.planned and SETTINGS.trace is None
