"""Layers of convolutions and pools: what they print, hold and compute."""

from math import sqrt

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import OptionError, ShapeError

PRINTED = [
    (lambda nn: nn.Conv1d(3, 4, 3), "Conv1d(3, 4, kernel_size=(3,), stride=(1,))"),
    (
        lambda nn: nn.Conv2d(4, 8, (3, 2), stride=2, padding=1, dilation=2, groups=2, bias=False),
        (
            "Conv2d(4, 8, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), dilation=(2, 2), "
            "groups=2, bias=False)"
        ),
    ),
    (
        lambda nn: nn.Conv2d(4, 8, 3, padding="same", padding_mode="reflect"),
        "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=reflect)",
    ),
    (
        lambda nn: nn.ConvTranspose2d(4, 6, 3, output_padding=1, stride=2, padding=1),
        (
            "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), "
            "output_padding=(1, 1))"
        ),
    ),
    (
        lambda nn: nn.MaxPool2d(2),
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    ),
    (lambda nn: nn.AvgPool2d(2), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
    (lambda nn: nn.AvgPool1d(3, 2), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(0,))"),
    (lambda nn: nn.AdaptiveAvgPool2d((3, None)), "AdaptiveAvgPool2d(output_size=(3, None))"),
    (lambda nn: nn.AdaptiveMaxPool2d(1), "AdaptiveMaxPool2d(output_size=1)"),
    (lambda nn: nn.Unfold(3), "Unfold(kernel_size=3, dilation=1, padding=0, stride=1)"),
    (
        lambda nn: nn.Fold((4, 5), 2),
        "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)",
    ),
    (lambda nn: nn.ZeroPad2d(2), "ZeroPad2d((2, 2, 2, 2))"),
    (lambda nn: nn.Upsample(scale_factor=2), "Upsample(scale_factor=2.0, mode='nearest')"),
]


@pytest.mark.parametrize(("make", "text"), PRINTED, ids=[text for _, text in PRINTED])
def test_layers_print_as_pytorch_s_do(make, text: str) -> None:
    assert repr(make(nn)) == text


@pytest.mark.pytorch
@pytest.mark.parametrize(("make", "text"), PRINTED, ids=[text for _, text in PRINTED])
def test_pytorch_prints_the_same(make, text: str) -> None:
    real = pytest.importorskip("torch")
    assert repr(make(real.nn)) == text


def test_weights_have_pytorch_s_shapes_names_and_initial_range() -> None:
    layer = nn.Conv2d(6, 8, (3, 2), groups=2)
    state = layer.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "weight": (8, 3, 3, 2),
        "bias": (8,),
    }
    bound = 1 / sqrt(3 * 3 * 2)
    for value in state.values():
        array = value.numpy()
        assert np.abs(array).max() <= bound and np.abs(array).max() > bound / 2
    assert nn.ConvTranspose2d(6, 8, 3, groups=2).weight.shape == (6, 4, 3, 3)
    assert nn.Conv1d(1, 1, 1, bias=False).bias is None


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_other_padding_is_put_around_first(rng: np.random.Generator, mode: str) -> None:
    layer = nn.Conv2d(2, 3, (3, 1), padding=(1, 2), padding_mode=mode)
    x = torch.tensor(rng.standard_normal((1, 2, 4, 5)).astype(np.float32))
    padded = nn.functional.pad(x, (2, 2, 1, 1), mode=mode)
    expected = nn.functional.conv2d(padded, layer.weight, layer.bias)
    assert torch.allclose(layer(x), expected)


def test_layers_compute_what_their_functions_do(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal((2, 4, 6, 6)).astype(np.float32))
    pool = nn.MaxPool2d(3, 2, padding=1, return_indices=True)
    values, places = pool(x)
    flat = x.reshape(2, 4, 36).gather(2, places.reshape(2, 4, 9))
    assert torch.equal(flat.reshape(2, 4, 3, 3), values)
    assert torch.allclose(nn.AdaptiveAvgPool2d(1)(x), x.mean((2, 3), keepdim=True))
    assert nn.ConvTranspose2d(4, 2, 2, stride=2)(x).shape == (2, 2, 12, 12)
    assert torch.allclose(nn.Fold(6, 2, stride=2)(nn.Unfold(2, stride=2)(x)), x)
    assert nn.ZeroPad2d((1, 0, 0, 2))(x).shape == (2, 4, 8, 7)
    assert torch.equal(nn.Upsample(scale_factor=2)(x)[:, :, ::2, ::2], x)


def test_mistakes_are_found_when_a_layer_is_made() -> None:
    with pytest.raises(OptionError, match="multiples of groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(OptionError, match="keeps the size"):
        nn.Conv1d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(OptionError, match="padding_mode"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(OptionError, match="none to fill"):
        nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect")
    with pytest.raises(ShapeError, match="lies in the padding"):
        nn.MaxPool2d(2, padding=2)(torch.zeros(1, 1, 4, 4))
