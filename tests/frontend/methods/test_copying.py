"""copy.deepcopy and pickle of tensors and modules."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import GradientError


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS = [copy.deepcopy, _pickled]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool", "float64"])
def test_a_copy_has_storage_of_its_own(way: Callable[[Any], Any], dtype: str) -> None:
    data = np.random.default_rng(3).integers(0, 2, (3, 4))
    x = torch.tensor(data).to(getattr(torch, dtype)).t()[1:]
    other = way(x)
    assert (other.dtype, other.shape, other.device) == (x.dtype, x.shape, x.device)
    assert other.tolist() == x.tolist()
    other.zero_()
    assert x.tolist() == torch.tensor(data.T[1:]).to(x.dtype).tolist()


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_module_learns_alone(way: Callable[[Any], Any]) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model.eval()
    other = way(model)
    x = torch.randn(5, 2)
    np.testing.assert_array_equal(model(x).detach().numpy(), other(x).detach().numpy())
    assert [type(p) for p in other.parameters()] == [nn.Parameter] * 4
    assert not other.training
    other(x).sum().backward()
    assert all(p.grad is None for p in model.parameters())
    torch.optim.SGD(other.parameters(), lr=1.0).step()
    before, after = (net.state_dict()["0.bias"].tolist() for net in (model, other))
    assert before != after


def test_deepcopy_keeps_the_gradient_and_shared_storage() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    other = copy.deepcopy(x)
    assert other.requires_grad
    assert other.grad is not None and x.grad is not None
    assert other.grad.tolist() == [2.0, 4.0]
    other.grad.zero_()
    assert x.grad.tolist() == [2.0, 4.0]
    base = torch.zeros(3)
    whole, part = copy.deepcopy([base, base[1:]])
    part.fill_(1.0)
    assert whole.tolist() == [0.0, 1.0, 1.0]
    assert base.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("way", WAYS)
def test_results_of_operations_are_refused(way: Callable[[Any], Any]) -> None:
    with pytest.raises(GradientError, match="recorded operations"):
        way(torch.ones(2, requires_grad=True) * 2)
