"""Layers beside PyTorch's: what they print, hold, and compute from the same state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import AxisError, OptionError, ShapeError
from picograd.nn import functional as F

Make = Callable[[Any], Any]

PRINTED: tuple[Make, ...] = (
    lambda n: n.ReLU(), lambda n: n.ReLU(True), lambda n: n.ReLU6(), lambda n: n.LeakyReLU(),
    lambda n: n.ELU(inplace=True), lambda n: n.CELU(), lambda n: n.SELU(), lambda n: n.SiLU(),
    lambda n: n.Mish(), lambda n: n.Hardtanh(), lambda n: n.Softplus(), lambda n: n.PReLU(),
    lambda n: n.Threshold(0.1, 20), lambda n: n.GLU(), lambda n: n.Softmin(1), lambda n: n.GELU(),
    lambda n: n.Hardshrink(), lambda n: n.Softshrink(), lambda n: n.Hardswish(),
    lambda n: n.Hardsigmoid(), lambda n: n.Dropout(), lambda n: n.Dropout1d(0.25),
    lambda n: n.AlphaDropout(), lambda n: n.LayerNorm(4), lambda n: n.LayerNorm((2, 4), bias=False),
    lambda n: n.RMSNorm(4), lambda n: n.BatchNorm1d(3), lambda n: n.GroupNorm(2, 4),
    lambda n: n.BatchNorm2d(3, affine=False, momentum=None), lambda n: n.InstanceNorm1d(3),
    lambda n: n.Embedding(3, 4, padding_idx=1), lambda n: n.Unflatten(1, (2, 3)),
    lambda n: n.CosineSimilarity(), lambda n: n.Linear(2, 3, bias=False),
    lambda n: n.ModuleDict({"a": n.ReLU(), "b": n.Sequential(n.ReLU())}),
    lambda n: n.LSTM(3, 4), lambda n: n.GRU(3, 4, 2, False, True, 0.1, True), lambda n: n.RNN(3, 4),
    lambda n: n.PixelShuffle(2), lambda n: n.PixelUnshuffle(2),
    lambda n: n.GRUCell(3, 4), lambda n: n.LSTMCell(3, 4, bias=False),
    lambda n: n.ModuleList([n.ReLU(), n.ReLU(), n.Tanh()]), lambda n: n.Sequential(),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_printed_as_in_pytorch(number: int) -> None:
    theirs = pytest.importorskip("torch", reason="what is printed is compared with PyTorch's")
    assert repr(PRINTED[number](nn)) == repr(PRINTED[number](theirs.nn))


LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "batch norm": (lambda n: n.BatchNorm1d(3), (5, 3)),
    "batch norm, images": (lambda n: n.BatchNorm2d(3, momentum=None), (2, 3, 4, 2)),
    "batch norm, plain": (lambda n: n.BatchNorm1d(3, 1e-3, 0.5, False, False), (5, 3, 2)),
    "instance norm": (lambda n: n.InstanceNorm1d(3, track_running_stats=True), (2, 3, 4)),
    "instance norm, alone": (lambda n: n.InstanceNorm1d(3, affine=True), (3, 4)),
    "group norm": (lambda n: n.GroupNorm(2, 4), (3, 4, 2)),
    "rms norm": (lambda n: n.RMSNorm(4), (3, 4)),
    "prelu": (lambda n: n.PReLU(3), (2, 3)),
    "encoder": (lambda n: n.TransformerEncoderLayer(4, 2, 6, 0.0), (3, 2, 4)),
    "encoders": (
        lambda n: n.TransformerEncoder(n.TransformerEncoderLayer(4, 2, 6, 0.0), 2, n.LayerNorm(4)),
        (3, 2, 4),
    ),
    "encoder, norm first": (
        lambda n: n.TransformerEncoderLayer(
            4, 2, 6, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
        ),
        (3, 2, 4),
    ),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_the_same_results_and_states(rng: np.random.Generator, name: str, compiled: bool) -> None:
    """After training steps and in evaluation, with gradients, from PyTorch's initial state."""
    theirs = pytest.importorskip("torch", reason="results are compared with PyTorch's")
    make, shape = LAYERS[name]
    their_layer, layer = make(theirs.nn).double(), make(nn).double()
    layer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in their_layer.state_dict().items()})
    assert list(layer.state_dict()) == list(their_layer.state_dict())
    weight = rng.standard_normal(shape)
    for training in (True, True, False):
        layer.train(training), their_layer.train(training)
        x = rng.standard_normal(shape)
        expected = their_layer(theirs.tensor(x))
        their_layer.zero_grad()

        def run(x: torch.Tensor) -> torch.Tensor:
            layer.zero_grad()
            result = layer(x)
            if any(p.requires_grad for p in layer.parameters()):
                (result * torch.tensor(weight)).sum().backward()
            return result.detach()

        ours = (torch.compile(run) if compiled else run)(torch.tensor(x))
        np.testing.assert_allclose(ours.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)
        if expected.requires_grad:
            (expected * theirs.tensor(weight)).sum().backward()
            for p, q in zip(layer.parameters(), their_layer.parameters(), strict=True):
                np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-10)
        for key, value in their_layer.state_dict().items():
            np.testing.assert_allclose(layer.state_dict()[key].numpy(), value.numpy(), rtol=1e-9)


def test_masks_of_attention_are_those_of_pytorch(rng: np.random.Generator) -> None:
    theirs = pytest.importorskip("torch", reason="results are compared with PyTorch's")
    other = theirs.nn.MultiheadAttention(4, 2, batch_first=True).double()
    layer = nn.MultiheadAttention(4, 2, batch_first=True).double()
    layer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in other.state_dict().items()})
    q, k = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5, 4))
    padding = np.array([[False, True, False, False, True], [False] * 5])
    mask = rng.random((3, 5)) < 0.3
    mask[:, 0] = False
    for need, average in ((True, True), (True, False), (False, True)):
        found = []
        for lib, module in ((torch, layer), (theirs, other)):
            given = {
                "key_padding_mask": lib.tensor(padding),
                "attn_mask": lib.tensor(mask),
                "need_weights": need,
                "average_attn_weights": average,
            }
            parts = module(lib.tensor(q), lib.tensor(k), lib.tensor(k), **given)
            found.append([None if part is None else part.detach().numpy() for part in parts])
        for ours, expected in zip(*found, strict=True):
            if expected is None:
                assert ours is None
            else:
                np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_dropout_draws_alike_eagerly_and_compiled(device: str, p: float) -> None:
    x = torch.ones(40, 50)
    layer = nn.Dropout(p)
    torch.manual_seed(7)
    eager = [layer(x).numpy() for _ in range(2)]
    torch.manual_seed(7)
    compiled = torch.compile(layer)
    for expected in eager:
        np.testing.assert_array_equal(compiled(x).numpy(), expected)
    assert set(np.unique(eager[0])) <= {0, np.float32(1 / (1 - p)) if p < 1 else 0}
    assert abs((eager[0] == 0).mean() - p) < 0.05
    assert p in (0, 1) or not np.array_equal(*eager)
    assert layer.eval()(x) is x
    torch.set_default_device("reference")
    torch.manual_seed(7)
    np.testing.assert_array_equal(nn.Dropout(p)(torch.ones(40, 50)).numpy(), eager[0])


def test_other_dropouts() -> None:
    torch.manual_seed(1)
    channels = F.dropout2d(torch.ones(6, 5, 2, 3), 0.5).numpy()
    assert (channels == channels[:, :, :1, :1]).all() and 0 < (channels == 0).mean() < 1
    alpha = F.alpha_dropout(torch.randn(200, 100), 0.3, True).numpy()
    assert abs(alpha.mean()) < 0.05 and abs(alpha.std() - 1) < 0.05
    x = torch.ones(3)
    assert F.dropout(x, 0.5, True, True) is x
    leaf = torch.ones(50, requires_grad=True)
    F.dropout(leaf, 0.5).sum().backward()
    assert leaf.grad is not None and set(leaf.grad.tolist()) == {0.0, 2.0}
    with pytest.raises(ShapeError, match="whole channels"):
        F.dropout2d(torch.ones(2))
    with pytest.raises(OptionError, match="with a probability"):
        nn.Dropout(1.5)


def test_activations_in_place() -> None:
    for function in (F.relu, F.relu6, F.silu, F.elu, F.selu, F.hardswish, F.mish):
        x = torch.tensor([-2.0, -0.5, 1.0, 7.0], requires_grad=True)
        y = x * 1
        expected = function(x)
        assert function(y, inplace=True) is y and y.tolist() == expected.tolist()
        y.sum().backward()
        ours, x.grad = x.grad, None
        expected.sum().backward()
        plain = x.grad
        assert ours is not None and plain is not None and ours.tolist() == plain.tolist()


def test_padding_gets_no_gradient() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.weight[3].tolist() == [0, 0]
    layer(torch.tensor([3, 1, 3])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


def test_containers() -> None:
    named = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert list(named[1:].state_dict()) == [] and isinstance(named[:1], nn.Sequential)
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers.insert(0, nn.Linear(1, 1))
    layers[2] = nn.Sigmoid()
    del layers[1]
    assert [type(m).__name__ for m in layers] == ["Linear", "Sigmoid"]
    assert list(layers.state_dict()) == ["0.weight", "0.bias"]
    values = nn.ParameterList([nn.Parameter(torch.ones(2))]).append(nn.Parameter(torch.ones(3)))
    assert [name for name, _ in values.named_parameters()] == ["0", "1"] and len(values) == 2
    parts = nn.ModuleDict({"a": nn.Linear(1, 2)})
    parts["b"] = nn.ReLU()
    assert list(parts) == ["a", "b"] and "b" in parts and parts.pop("b") is not None
    assert [key for key, _ in parts.items()] == ["a"] and len(list(parts.values())) == 1
    for wrong in (lambda: layers[5], lambda: named[7]):
        with pytest.raises(AxisError):
            wrong()
    for refused in (
        lambda: parts["c"], lambda: nn.ModuleDict({"keys": nn.ReLU()}),
        lambda: nn.Sequential(F.relu), lambda: layers.append(F.relu),  # type: ignore[arg-type]
        lambda: nn.MultiheadAttention(5, 2), lambda: named.get_submodule("third"),
        lambda: nn.TransformerEncoderLayer(4, 2, activation="x"),
    ):  # fmt: skip
        with pytest.raises(OptionError):
            refused()
    assert named.get_submodule("first") is named[0]


def test_buffers_that_are_not_saved() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.ones(1))
            self.register_buffer("scratch", torch.ones(1), persistent=False)
            self.register_buffer("absent", None)

    net = Net()
    assert list(net.state_dict()) == ["kept"] and len(list(net.buffers())) == 2
    assert net.to("cpu").get_submodule("") is net
    assert {buffer.device for buffer in net.buffers()} == {"cpu"}
    with pytest.raises(OptionError, match="cannot name a part"):
        net.register_buffer("a.b", None)


def test_gumbel_softmax_draws_categories() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log().repeat(3000, 1).requires_grad_()
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(hard.detach().sum(1).round().tolist()) == {1.0}
    np.testing.assert_allclose(hard.detach().numpy().mean(0), [0.1, 0.6, 0.3], atol=0.03)
    (hard * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad is not None and float(logits.grad.abs().sum()) > 0
    soft = F.gumbel_softmax(logits[:5], dim=0)
    np.testing.assert_allclose(soft.sum(0).detach().numpy(), np.ones(3), rtol=1e-5)
