"""Methods of several operands, planned: the same values and gradients as op by op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import IndexOutOfRange
from tests.frontend.plans.conftest import Counted
from tests.frontend.plans.like_op_by_op import check_like_op_by_op

F: Any = torch.nn.functional
T = torch.Tensor


def written(x: T, index: Any, value: Any) -> T:
    copy = x * 1.0
    with torch.no_grad():
        copy = copy.detach()
        copy[index] = value
    return copy + x


def changed(x: T, y: T) -> T:
    copy = x.detach() * 1.0
    with torch.no_grad():
        copy.add_(y, alpha=0.25)
        copy.sub_(0.5, alpha=2)
        copy[1:].zero_()
        copy.relu_()
    return copy * y


def written_over(x: T, y: T) -> T:
    with torch.no_grad():
        copy = x.detach().clone()
        other = copy.clone().copy_(y)
        copy.exp_().clamp_(0.1, 2).addcmul_(y, other, value=0.25).lerp_(y, 0.5)
        copy.T.abs_()  # a view is no plan's
        copy.scatter_(1, torch.tensor([[0], [2], [1], [3]]), y)
        other.zero_().fill_(2.0).sub_(x, alpha=0.5)
    recorded = x * 1.0
    recorded.tanh_()  # nor is what is recorded
    return copy + other + recorded


OPERATIONS: dict[str, Callable[[T, T, T], T]] = {
    "add and sub, scaled": lambda x, y, i: x.add(y, alpha=0.5).sub(2.0, alpha=y),
    "in place, scaled": lambda x, y, i: changed(x, y),
    "clamp": lambda x, y, i: x.clamp(-0.5, 0.5) + y.clamp(max=x) + x.clamp(min=0.1),
    "powers": lambda x, y, i: x**2 + x.pow(3.0) + (y * y) ** x + (x * x + 1) ** -0.5,
    "addcmul, lerp": lambda x, y, i: x.addcmul(x, y, value=0.3) + x.lerp(y, 0.7).addcdiv(x, y),
    "where": lambda x, y, i: torch.where(x > 0, x, y) + torch.where(y > 0, 1.5, x),
    "masked_fill": lambda x, y, i: x.masked_fill(x > y, 0.25) * y,
    "tril, norm": lambda x, y, i: x.tril() + y.triu(1) * x.norm() + y.norm(1, dim=1),
    "outer, addmm": lambda x, y, i: torch.addmm(x, x, y, beta=0.5, alpha=2) + x[0].outer(y[1]),
    "picked": lambda x, y, i: x[i] * y,
    "written": lambda x, y, i: (
        written(x, 1, 2.5) + written(x, i[:1], y[0]) + written(x, x > 0, 1.0)
    ),
    "layer_norm": lambda x, y, i: F.layer_norm(x, (4,), y[0], y[1]) + F.rms_norm(y, (4,), x[0]),
    "cross_entropy": lambda x, y, i: F.cross_entropy(x, i, label_smoothing=0.1) * y,
    "losses": lambda x, y, i: F.mse_loss(x, y) + F.nll_loss(x, i, weight=y[0].detach()),
    "embedding": lambda x, y, i: F.embedding(i, x) * F.embedding(i, y, padding_idx=2),
    "joined": lambda x, y, i: (
        torch.cat([x, y], 1)[:, 2:6] * torch.stack((x, y, x[0:4].T), -1)[..., 2]
    ),
    "extrema": lambda x, y, i: (
        x.max(1).values * y.min(0, keepdim=True).values + x.max(-1).indices + x[0].max(0)[0]
    ),
    "sorted": lambda x, y, i: (
        x.sort(0).values * y.argsort(1) + y.topk(4, dim=0, largest=False).values
    ),
    "gathered": lambda x, y, i: (
        x.gather(1, i.reshape(4, 1)) * y.index_select(0, i) + x.scatter(0, i[None], y[:1] * 2.0)
    ),
    "added at": lambda x, y, i: (
        x.scatter_add(1, i[:, None], y) + y.index_add(0, i, x, alpha=0.5) * x.index_copy(1, i, y)
    ),
    "moved": lambda x, y, i: x.roll(1, 0) * y.flip(0, 1) + x.repeat(2, 1)[2:6] - y.clone(),
    "converted": lambda x, y, i: x.double().float() * y + y.to(torch.int64) * x,
    "activated": lambda x, y, i: (
        F.silu(x) * F.elu(y, 0.5) + F.softplus(x, beta=2.0) + F.mish(y) + F.hardswish(x)
    ),
    "einsum": lambda x, y, i: (
        torch.einsum("ij,jk->ik", x, y) + torch.einsum("ij,kj->ki", [x, y]) * torch.einsum("ii", x)
    ),
    "convolved": lambda x, y, i: (
        F.conv2d(x[None, None], y[None, None, :3, :3], y[0, :1], padding=1)[0, 0]
        + F.max_pool2d(x[None], 2)[0].sum() * F.pad(y, (1, 1, 0, 0))[:, 1:5]
    ),
    "written over": lambda x, y, i: written_over(x, y) * y,
    "bits": lambda x, y, i: ((x > 0) & (y > 0) | ~(x < y)) * x + (i & 1) * y,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_values_and_gradients_are_those_of_op_by_op(
    operation: str, rng: np.random.Generator
) -> None:
    arrays = [rng.standard_normal((4, 4)).astype(np.float32) for _ in range(2)]
    index = rng.integers(0, 4, 4)

    def run() -> list[Any]:
        x, y = (torch.tensor(array, requires_grad=True) for array in arrays)
        result = OPERATIONS[operation](x, y, torch.tensor(index))
        (result * torch.tensor(arrays[0])).sum().backward()
        grads: list[Any] = [x.grad, y.grad]
        return [result.detach().numpy(), *(None if g is None else g.numpy() for g in grads)]

    check_like_op_by_op(run, rtol=5e-5, atol=5e-6)


def test_numbers_and_indices_change_without_a_new_plan(
    counted: Counted, rng: np.random.Generator
) -> None:
    x = torch.tensor(rng.standard_normal((3, 7)).astype(np.float32))
    y = torch.tensor(rng.standard_normal((3, 7)).astype(np.float32))

    def step(number: float) -> None:
        kept, row = x.numpy().copy(), int(number) % 3
        clamped = x.clamp(-number, number).numpy()
        np.testing.assert_array_equal(clamped, kept.clip(-number, np.float32(number)))
        picked = x[torch.tensor([row, row])].numpy()
        np.testing.assert_array_equal(picked, kept[[row, row]])
        x.add_(y, alpha=number)
        np.testing.assert_allclose(x.numpy(), kept + np.float32(number) * y.numpy(), rtol=1e-5)

    step(0.25)
    before = counted.made
    assert before >= 3
    for number in (0.5, 1.5, 2.5):
        step(number)
    assert counted.made == before


def test_numbers_of_another_kind_are_converted_as_op_by_op() -> None:
    x = torch.tensor([1, 2, 3])
    for _ in range(2):
        assert x.masked_fill(x > 1, 7).tolist() == [1, 7, 7]
        assert x.masked_fill(x > 1, 2.75).tolist() == [1, 2, 2]  # an int takes the whole part
        assert x.clamp(True, 2).tolist() == [1, 2, 2]


def test_a_wrong_index_is_found_in_a_plan() -> None:
    table = torch.tensor([[1.0], [2.0]])
    assert F.embedding(torch.tensor([1, 0]), table).tolist() == [[2.0], [1.0]]
    with pytest.raises(IndexOutOfRange, match="5") as caught:
        F.embedding(torch.tensor([5, 0]), table)
    assert "test_planned_operands.py" in str(caught.value)


def test_small_constants_are_shared_and_nobody_writes_into_them() -> None:
    a, b = torch.zeros(3), torch.zeros(3)
    a.add_(1.0)

    @torch.compile
    def change() -> None:
        b.add_(2.0)

    change()
    change()
    assert (
        a.tolist() == [1, 1, 1] and b.tolist() == [4, 4, 4] and torch.zeros(3).tolist() == [0] * 3
    )
    assert str(torch.full((2,), -0.0).tolist()) == "[-0.0, -0.0]" and torch.zeros(2).tolist() == [
        0,
        0,
    ]
    assert torch.full((1,), 1).dtype is torch.int64 and torch.full((1,), True).dtype is torch.bool


@pytest.mark.parametrize("value", [2.5, -7, True])
@pytest.mark.parametrize("name", ["float32", "float64", "int64", "int32", "int16", "bool"])
def test_item(value: float, name: str) -> None:
    dtype = getattr(torch, name)
    x = torch.tensor([[value]], dtype=dtype)
    expected = np.asarray(value).astype(dtype.numpy).item()
    for found in (x.item(), x[0].item(), x[0, 0].item()):
        assert found == expected and type(found) is type(expected)
