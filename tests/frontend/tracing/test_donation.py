"""Compiled code writes over what only its cell holds, and over nothing else."""

import threading
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import picograd as torch
from picograd.backends.llvm.device import CpuBuffer
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.storage.cells import Value

RNG = np.random.default_rng(5)


def fresh(*shape: int) -> torch.Tensor:
    return torch.tensor(RNG.standard_normal(shape).astype(np.float32))


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest) -> str:
    torch.set_default_device(request.param)
    return request.param


def test_captured_and_passed_storage_keeps_its_memory(place: str) -> None:
    w, x = fresh(5, 3), fresh(5, 3)

    @torch.compile
    def update(x: torch.Tensor) -> torch.Tensor:
        w.sub_(x)
        x.mul_(2)
        return w + 1

    expected_w, expected_x = w.numpy().copy(), x.numpy().copy()
    for _ in range(3):
        held = w.cell.value, x.cell.value
        numbers = [id(value) for value in held]
        del held
        more = update(x)
        expected_w = expected_w - expected_x
        expected_x = expected_x * 2
        np.testing.assert_allclose(w.numpy(), expected_w, rtol=1e-6)
        np.testing.assert_allclose(x.numpy(), expected_x, rtol=1e-6)
        np.testing.assert_allclose(more.numpy(), expected_w + 1, rtol=1e-6)
        assert [id(w.cell.value), id(x.cell.value)] == numbers
    assert len(update.executable.donated) == 2


def test_what_somebody_else_holds_is_copied(place: str) -> None:
    w, x = fresh(4), fresh(4)
    update = torch.compile(lambda x: w.add_(x))
    update(x)
    before = w.numpy().copy()
    other = torch.zeros(4)
    other.copy_(w)  # may share the buffer: it is the same contents
    kept = w.cell.value
    update(x)
    np.testing.assert_array_equal(other.numpy(), before)
    assert w.cell.value is not kept
    np.testing.assert_allclose(w.numpy(), before + x.numpy(), rtol=1e-6)


def test_a_saved_value_is_not_overwritten(place: str) -> None:
    w = fresh(4).requires_grad_()
    loss = (w * w).sum()

    @torch.compile
    def update() -> None:
        with torch.no_grad():
            w.mul_(3)

    update()
    with pytest.raises(torch.errors.GradientError, match="changed by an operation in place"):
        loss.backward()


def test_a_result_beside_the_change_shows_the_old_value(place: str) -> None:
    w = fresh(6)

    @torch.compile
    def swap(x: torch.Tensor) -> torch.Tensor:
        old = w.clone()
        w.copy_(x)
        return old

    first, second = fresh(6), fresh(6)
    start = w.numpy().copy()
    np.testing.assert_array_equal(swap(first).numpy(), start)
    np.testing.assert_array_equal(swap(second).numpy(), first.numpy())
    np.testing.assert_array_equal(w.numpy(), second.numpy())


def test_an_index_out_of_range_leaves_parameters_alone(place: str) -> None:
    net = torch.nn.Linear(3, 4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    images = fresh(2, 3)

    @torch.compile
    def step(labels: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    good = step(torch.tensor([0, 3])).item()
    before = [parameter.detach().numpy().copy() for parameter in net.parameters()]
    with pytest.raises(IndexError, match="index 9"):
        step(torch.tensor([0, 9])).item()
    for parameter, array in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), array)
    assert step(torch.tensor([0, 3])).item() < good


@pytest.mark.parametrize("order", ["old value returned", "update before the index"])
def test_an_index_out_of_range_leaves_alone_what_is_not_updated_in_place(
    place: str, order: str
) -> None:
    """A GPU tells of the index later, when the tensor must not have been given its new memory."""
    w, x = fresh(4), fresh(4)

    @torch.compile
    def update(index: torch.Tensor) -> torch.Tensor:
        if order == "old value returned":
            old = w.clone()
            w.add_(x[index])
            return old
        w.mul_(2)
        return x[index]

    update(torch.tensor([0, 1, 2, 3]))
    before = w.numpy().copy()
    with pytest.raises(IndexError, match="index 9"):
        update(torch.tensor([0, 9, 2, 3])).numpy()
    np.testing.assert_array_equal(w.numpy(), before)
    update(torch.tensor([3, 2, 1, 0]))
    assert (w.numpy() != before).all()


def test_an_accumulated_gradient_survives_an_index_out_of_range(place: str) -> None:
    w = fresh(4).requires_grad_()
    accumulate = torch.compile(lambda index: (w[index] * 3).sum().backward())
    for _ in range(2):
        accumulate(torch.tensor([0, 1, 1]))
    with pytest.raises(IndexError, match="index 7"):
        accumulate(torch.tensor([0, 7, 1]))
        torch.ones(1).numpy()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), [6, 12, 0, 0])


def test_tensors_that_change_places_in_one_kernel(place: str) -> None:
    a, b = fresh(5), fresh(5)

    @torch.compile
    def swap() -> None:
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)

    first, second = a.numpy().copy(), b.numpy().copy()
    for _ in range(3):
        swap()
        first, second = second, first
        np.testing.assert_array_equal(a.numpy(), first)
        np.testing.assert_array_equal(b.numpy(), second)


def test_one_value_in_several_tensors_is_several_afterwards(place: str) -> None:
    a, b = fresh(5), fresh(5)

    @torch.compile
    def spread(x: torch.Tensor) -> torch.Tensor:
        y = x.abs()
        a.copy_(y)
        b.copy_(a)
        return y

    double = torch.compile(lambda: a.mul_(2))
    for _ in range(2):
        x = fresh(5)
        y = spread(x)
        double()
        double()
        np.testing.assert_array_equal(a.numpy(), 4 * abs(x.numpy()))
        np.testing.assert_array_equal(b.numpy(), abs(x.numpy()))
        np.testing.assert_array_equal(y.numpy(), abs(x.numpy()))


def test_an_argument_passed_twice(place: str) -> None:
    update = torch.compile(lambda a, b: a.add_(b * b))
    x, other = fresh(4), torch.zeros(4)
    start = x.numpy().copy()
    update(x, x)
    np.testing.assert_allclose(x.numpy(), start + start * start, rtol=1e-5)
    other.copy_(x)  # another cell, which may hold the same buffer
    start = x.numpy().copy()
    update(x, other)
    np.testing.assert_allclose(x.numpy(), start + start * start, rtol=1e-5)
    np.testing.assert_array_equal(other.numpy(), start)


@pytest.mark.parametrize("overlapping", [True, False])
def test_arguments_that_are_views_of_one_storage(place: str, overlapping: bool) -> None:
    base = fresh(6)
    update = torch.compile(lambda a, b: a.add_(b))
    expected = base.numpy().copy()
    if overlapping:
        update(base[1:], base[:-1])
        expected[1:] = expected[1:] + expected[:-1]
    else:
        update(base[::2], base[1::2])
        expected[::2] += expected[1::2]
    np.testing.assert_allclose(base.numpy(), expected, rtol=1e-6)


def test_what_shares_storage_sees_the_change(place: str) -> None:
    w = fresh(4).requires_grad_()
    data, detached, array = w.data, w.detach(), w.detach().numpy()
    start = array.copy()
    double = torch.compile(lambda: w.data.mul_(2))
    for _ in range(2):
        double()
    for tensor in (w.detach(), data, detached):
        np.testing.assert_array_equal(tensor.numpy(), start * 4)
    np.testing.assert_array_equal(array, start * 4 if place == "cpu" else start)


def test_gradients_that_somebody_kept_stay(place: str) -> None:
    w = fresh(4).requires_grad_()

    @torch.compile
    def step(x: torch.Tensor) -> None:
        w.grad = None
        (w * x).sum().backward()
        with torch.no_grad():
            gradient = w.grad
            assert gradient is not None
            w.sub_(gradient)

    x = fresh(4)
    step(x)
    kept = w.grad
    step(fresh(4))
    assert kept is not None
    np.testing.assert_array_equal(kept.numpy(), x.numpy())


HOLDERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "the tensor": lambda grad: grad,
    "a view": lambda grad: grad[1:],
    "its storage": lambda grad: grad.detach(),
    "an array": lambda grad: grad.numpy(),
    "what was recorded": lambda grad: grad * torch.ones(4).requires_grad_(),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_gradient_is_made_anew_whoever_holds_the_last(place: str, holder: str) -> None:
    w = fresh(4).requires_grad_()

    @torch.compile
    def step(x: torch.Tensor) -> None:
        w.grad = None
        (w * x).sum().backward()

    for _ in range(3):
        x, y = fresh(4), fresh(4)
        step(x)
        assert w.grad is not None
        kept = HOLDERS[holder](w.grad)
        before = kept.tolist()
        step(y)
        assert kept.tolist() == before
        np.testing.assert_array_equal(w.grad.tolist(), y.tolist())
        assert w.grad._version == 0 and not w.grad.requires_grad
        if holder == "what was recorded":
            kept.sum().backward()  # nothing that it saved has changed
        w.grad.mul_(2)
        step(x)
        np.testing.assert_array_equal(w.grad.tolist(), x.tolist())


def test_a_gradient_that_was_changed_is_made_anew(place: str) -> None:
    w = fresh(4).requires_grad_()

    @torch.compile
    def step(x: torch.Tensor) -> None:
        w.grad = None
        (w * x).sum().backward()

    x = fresh(4)
    others: list[Callable[[], torch.Tensor]] = [
        lambda: torch.zeros(4).requires_grad_(),
        lambda: torch.zeros(1).expand(4),
        lambda: torch.zeros(4, 4)[1],
    ]
    for make in others:
        step(x)
        w.grad = make()
        step(x)
        made: Any = w.grad
        assert not made.requires_grad and made.is_contiguous()
        np.testing.assert_array_equal(made.tolist(), x.tolist())


def test_gradients_that_share_storage_are_told_apart(place: str) -> None:
    v, w = fresh(4).requires_grad_(), fresh(4).requires_grad_()

    @torch.compile
    def step(x: torch.Tensor) -> Any:
        v.grad = w.grad = None
        ((v + w) * x).sum().backward()
        return v.grad

    for _ in range(3):
        x = fresh(4)
        result = step(x)
        assert v.grad is not None and w.grad is not None
        v.grad.mul_(2)
        np.testing.assert_array_equal(result.tolist(), (2 * x).tolist())
        np.testing.assert_array_equal(w.grad.tolist(), x.tolist())


def test_what_a_program_saved_is_not_overwritten_through_another_tensor(place: str) -> None:
    w, x, other = fresh(4).requires_grad_(), fresh(4), torch.zeros(4)
    other.copy_(x)
    loss = (w * x).sum()
    torch.compile(lambda: other.mul_(5))()
    loss.backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), x.numpy())


def test_a_failed_program_leaves_the_next_one_its_updates(place: str) -> None:
    """A guarded update of another program is not skipped for an error that was not its own."""
    w, x = fresh(4), fresh(4)

    @torch.compile
    def update(index: torch.Tensor) -> None:
        w.add_(x[index])

    pick = torch.compile(lambda index: x[index])
    good = torch.tensor([0, 1, 2, 3])
    update(good)
    with pytest.raises(IndexError, match="index 9"):
        pick(torch.tensor([0, 9, 2, 3])).numpy()
    before = w.numpy().copy()
    update(good)
    np.testing.assert_allclose(w.numpy(), before + x.numpy(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(150, 130, 170), (7, 300, 5), (1, 1000, 1)])
def test_updates_after_blocked_products(place: str, shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    w, momentum = fresh(rows, columns), fresh(rows, columns)

    @torch.compile
    def update(x: torch.Tensor, y: torch.Tensor) -> None:
        momentum.mul_(0.5).add_(x @ y)
        w.sub_(momentum)

    expected, speed = w.numpy().astype(np.float64), momentum.numpy().astype(np.float64)
    for _ in range(2):
        x, y = fresh(rows, inner), fresh(inner, columns)
        update(x, y)
        speed = speed * 0.5 + x.numpy().astype(np.float64) @ y.numpy()
        expected -= speed
        np.testing.assert_allclose(momentum.numpy(), speed, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(3, 1000), (300, 9), (1, 3000)])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_over_themselves(place: str, shape: tuple[int, int], axis: int) -> None:
    """Whatever part of the rows is reduced by a workgroup, each is updated once."""
    w, total = fresh(*shape), fresh(shape[1 - axis])

    @torch.compile
    def update() -> None:
        total.add_(w.sum(axis))
        w.copy_(w.softmax(axis) + w)

    expected, sums = w.numpy().astype(np.float64), total.numpy().astype(np.float64)
    for _ in range(2):
        update()
        sums += expected.sum(axis)
        powers = np.exp(expected - expected.max(axis, keepdims=True))
        expected += powers / powers.sum(axis, keepdims=True)
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(total.numpy(), sums, rtol=1e-3, atol=1e-3)


def test_threads_that_update_tensors_of_their_own(place: str) -> None:
    tensors = [fresh(64, 8) for _ in range(3)]
    one = torch.ones(64, 8)
    update = torch.compile(lambda w, x: w.add_(x))
    expected = [w.numpy().copy() + 20 for w in tensors]

    def work(w: torch.Tensor) -> None:
        for _ in range(20):
            update(w, one)

    threads = [threading.Thread(target=work, args=(w,)) for w in tensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for w, array in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(w.numpy(), array, rtol=1e-4, atol=1e-4)


def test_a_trace_that_fails_changes_nothing(place: str) -> None:
    w = torch.ones(3)

    @torch.compile
    def update() -> None:
        w.add_(1)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        update()
    np.testing.assert_array_equal(w.numpy(), 1)


def test_a_gradient_that_is_set_anew_takes_the_memory_of_the_last() -> None:
    x = torch.nn.Parameter(torch.rand(512, 1024, device="cpu"))

    @torch.compile
    def step() -> torch.Tensor:
        x.grad = None
        loss = (x * x).sum()
        loss.backward()
        return loss

    step()
    first = x.grad
    assert first is not None
    place = cast(CpuBuffer, first.cell.value).address
    kept = first.numpy().copy()
    step()  # the first gradient is held here, and stays as it was
    second = x.grad
    assert second is not None
    np.testing.assert_array_equal(first.numpy(), kept)
    assert cast(CpuBuffer, second.cell.value).address != place
    place = cast(CpuBuffer, second.cell.value).address
    with torch.no_grad():
        x.mul_(3)
    del second
    step()
    assert x.grad is not None
    assert cast(CpuBuffer, x.grad.cell.value).address == place
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy(), rtol=1e-6)


def test_memory_that_numpy_reaches_is_copied_without_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_default_device("cpu")
    w, x = fresh(7, 9), fresh(7, 9)
    start, change = np.array(w.tolist(), np.float32), np.array(x.tolist(), np.float32)

    @torch.compile
    def update(x: torch.Tensor) -> None:
        w.sub_(x)

    update(x)
    held = w.cell.value  # as the tape may hold it: the next call copies it before
    copied: list[object] = []
    copy = EagerMode.copy

    def watched(mode: EagerMode, value: Value) -> Value:
        copied.append(value)
        return copy(mode, value)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a copy was compiled")

    monkeypatch.setattr(EagerMode, "copy", watched)
    monkeypatch.setattr("picograd.frontend.modes.eager.compile_module", refused)
    update(x)
    assert len(copied) == 1
    assert w.cell.value is not held
    np.testing.assert_array_equal(w.tolist(), start - change - change)
