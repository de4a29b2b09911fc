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
