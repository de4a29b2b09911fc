"""Recurrent layers and cells beside PyTorch's, from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import OptionError, ShapeError

Make = Callable[[Any], Any]

LAYERS: dict[str, tuple[Make, tuple[int, ...], tuple[int, ...], int]] = {
    "rnn": (lambda n: n.RNN(3, 4), (5, 2, 3), (1, 2, 4), 1),
    "rnn, relu": (lambda n: n.RNN(3, 4, 2, "relu", bias=False), (1, 2, 3), (2, 2, 4), 1),
    "gru": (lambda n: n.GRU(3, 4, 2, bidirectional=True), (5, 2, 3), (4, 2, 4), 1),
    "gru, batch first": (lambda n: n.GRU(3, 4, batch_first=True), (2, 5, 3), (1, 2, 4), 1),
    "lstm": (lambda n: n.LSTM(3, 4), (5, 2, 3), (1, 2, 4), 2),
    "lstm, two ways": (
        lambda n: n.LSTM(3, 4, 2, batch_first=True, bidirectional=True), (2, 3, 3), (4, 2, 4), 2
    ),
    "lstm, no batch": (lambda n: n.LSTM(3, 4, batch_first=True), (5, 3), (1, 4), 2),
    "rnn cell": (lambda n: n.RNNCell(3, 4, nonlinearity="relu"), (2, 3), (2, 4), 1),
    "gru cell": (lambda n: n.GRUCell(3, 4), (3,), (4,), 1),
    "lstm cell": (lambda n: n.LSTMCell(3, 4, bias=False), (2, 3), (2, 4), 2),
}  # fmt: skip


def flat(result: Any) -> list[Any]:
    """The tensors of nested tuples."""
    return [part for inner in result for part in flat(inner)] if type(result) is tuple else [result]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients(rng: np.random.Generator, name: str, given: bool) -> None:
    theirs = pytest.importorskip("torch", reason="results are compared with PyTorch's")
    make, shape, state_shape, states = LAYERS[name]
    other, layer = make(theirs.nn).double(), make(nn).double()
    assert list(layer.state_dict()) == list(other.state_dict())
    layer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in other.state_dict().items()})
    x, parts = rng.standard_normal(shape), [rng.standard_normal(state_shape) for _ in range(states)]
    found: list[list[Any]] = []
    for library, module in ((torch, layer), (theirs, other)):
        state: Any = tuple(library.tensor(part) for part in parts)
        state = state if states > 1 else state[0]
        leaf = library.tensor(x, requires_grad=True)
        outputs = flat(module(leaf, state) if given else module(leaf))
        library.cat([(output * output).reshape(-1) for output in outputs]).sum().backward()
        gradients = [leaf.grad, *(parameter.grad for parameter in module.parameters())]
        found.append([part.detach().numpy() for part in (*outputs, *gradients)])
    for ours, expected in zip(*found, strict=True):
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def test_compiled_on_every_device(rng: np.random.Generator, device: str) -> None:
    layer = nn.LSTM(3, 4, dropout=0.5, num_layers=2).eval()
    x = torch.tensor(rng.standard_normal((4, 2, 3)).astype(np.float32))
    expected, (hidden, _) = layer(x)
    output, (last, _) = torch.compile(layer)(x)
    np.testing.assert_allclose(output.detach().numpy(), expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(last.detach().numpy(), hidden.detach().numpy(), atol=1e-5)
    assert torch.equal(expected[-1], hidden[-1])


def test_mistakes() -> None:
    layer = nn.LSTM(3, 4)
    with pytest.raises(ShapeError, match="does not fit the LSTM"):
        layer(torch.zeros(5, 2, 4))
    with pytest.raises(ShapeError, match="state does not fit the LSTM"):
        layer(torch.zeros(5, 2, 3), (torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)))
    with pytest.raises(ShapeError, match="takes a sequence"):
        layer(torch.zeros(0, 2, 3))
    with pytest.raises(OptionError, match="two nonlinearities"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(OptionError, match="dropout from 0 to 1"):
        nn.GRU(3, 4, num_layers=0)
