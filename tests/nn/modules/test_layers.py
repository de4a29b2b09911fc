"""Layers and losses against NumPy in float64."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import DTypeError, IndexOutOfRange, OptionError, ShapeError
from picograd.nn import functional as F


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(rng: np.random.Generator, shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(2)
    layer = nn.Linear(3, 4, bias=bias, dtype=torch.float64)
    x = rng.standard_normal(shape)
    expected = x @ layer.weight.detach().numpy().T
    if layer.bias is not None:
        expected = expected + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(torch.tensor(x)).detach().numpy(), expected, rtol=1e-12)


def test_initial_values_of_linear() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(100, 200)
    weight = layer.weight.detach().numpy()
    assert np.abs(weight).max() <= 0.1 and np.abs(weight).max() > 0.099
    assert abs(weight.mean()) < 1e-3 and abs(weight.std() - 0.1 / sqrt(3)) < 1e-3
    assert layer.bias is not None and np.abs(layer.bias.detach().numpy()).max() <= 0.1


def test_other_initial_values() -> None:
    torch.manual_seed(0)
    weight = torch.zeros(50, 40)
    assert abs(nn.init.normal_(weight, 1.0, 0.5).numpy().mean() - 1) < 0.05
    assert np.abs(nn.init.xavier_uniform_(weight).numpy()).max() <= sqrt(6 / 90)
    assert np.abs(nn.init.kaiming_uniform_(weight).numpy()).max() <= sqrt(6 / 40)
    assert nn.init.ones_(weight).numpy().min() == 1 and nn.init.zeros_(weight).numpy().max() == 0
    with pytest.raises(ShapeError, match="counted for weights"):
        nn.init.kaiming_uniform_(torch.zeros(3))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (3, 2, 4)])
def test_layer_norm(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = rng.standard_normal(shape) * 5 + 3
    layer = nn.LayerNorm(4, dtype=torch.float64)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach().numpy(), expected, rtol=1e-10)
    weight, bias = rng.standard_normal(4), rng.standard_normal(4)
    result = F.layer_norm(torch.tensor(x), (4,), torch.tensor(weight), torch.tensor(bias))
    np.testing.assert_allclose(result.numpy(), expected * weight + bias, rtol=1e-10)
    assert nn.LayerNorm((2, 4), elementwise_affine=False).weight is None


def test_activations_and_flatten(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4))
    t = torch.tensor(x)
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + erf(v / sqrt(2))))
    expected = {
        nn.ReLU(): np.maximum(x, 0),
        nn.GELU(): gelu(x),
        nn.Sigmoid(): 1 / (1 + np.exp(-x)),
        nn.Tanh(): np.tanh(x),
        nn.Softmax(1): np.exp(log_softmax(x, 1)),
        nn.LogSoftmax(-1): log_softmax(x),
        nn.Flatten(): x.reshape(2, 12),
        nn.Identity(): x,
    }
    for module, values in expected.items():
        np.testing.assert_allclose(module(t).numpy(), values, rtol=1e-10, atol=1e-12)


def test_embedding(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    layer, index = nn.Embedding(5, 3), rng.integers(0, 5, (2, 4))
    result = layer(torch.tensor(index))
    np.testing.assert_array_equal(result.detach().numpy(), layer.weight.detach().numpy()[index])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(rng: np.random.Generator, reduction: str) -> None:
    x, y = rng.standard_normal((6, 4)) * 20, rng.integers(0, 4, 6)
    each = -log_softmax(x)[np.arange(6), y]
    expected = {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]
    result = nn.CrossEntropyLoss(reduction=reduction)(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    again = nn.NLLLoss(reduction=reduction)(torch.tensor(log_softmax(x)), torch.tensor(y))
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-12)


def test_cross_entropy_of_other_shapes(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 3, 5)), rng.integers(0, 3, (2, 5))
    expected = -np.take_along_axis(log_softmax(x, 1), y[:, None], 1).mean()
    result = F.cross_entropy(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    one = F.cross_entropy(torch.tensor(x[0, :, 0]), torch.tensor(2))
    np.testing.assert_allclose(one.numpy(), -log_softmax(x[0, :, 0])[2], rtol=1e-12)
    soft = rng.random((2, 3))
    result = F.cross_entropy(torch.tensor(x[:, :, 0]), torch.tensor(soft))
    expected = -(log_softmax(x[:, :, 0]) * soft).sum(1).mean()
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)


def test_mse(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    result = nn.MSELoss()(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(result.numpy(), ((x - y) ** 2).mean(), rtol=1e-12)


def test_a_small_network_on_every_device(rng: np.random.Generator, device: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    result = torch.compile(net)(x).detach().numpy()
    net.to("reference")
    torch.set_default_device("reference")
    expected = net(x.to("reference")).detach().numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_errors() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(ShapeError, match="linear: the input's last axis"):
        nn.Linear(4, 2)(x)
    with pytest.raises(ShapeError, match="normalizes the last axes"):
        nn.LayerNorm(4)(x)
    with pytest.raises(ShapeError, match="class indices do not fit"):
        F.cross_entropy(x, torch.tensor([0]))
    with pytest.raises(DTypeError, match="class indices are integers"):
        F.nll_loss(x, torch.tensor([True, False]))
    with pytest.raises(ShapeError, match="probabilities have the shape"):
        F.cross_entropy(x, torch.ones(2))
    with pytest.raises(ShapeError, match="tensors of one shape"):
        F.mse_loss(x, torch.ones(2))
    with pytest.raises(OptionError, match="one of three ways"):
        F.mse_loss(x, x, reduction="max")
    with pytest.raises(IndexOutOfRange):
        F.cross_entropy(x, torch.tensor([0, 3])).item()
