"""Compiled code writes over what only its cell holds, and over nothing else."""

import numpy as np
import pytest

import picograd as torch

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

    expected_w, expected_x = w.numpy(), x.numpy()
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
    before = w.numpy()
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
    start = w.numpy()
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
    before = [parameter.detach().numpy() for parameter in net.parameters()]
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
    before = w.numpy()
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
