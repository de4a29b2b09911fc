"""Making tensors, converting them, and printing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import (
    DeviceError,
    DTypeError,
    GradientError,
    OperandError,
    OptionError,
    ShapeError,
)


def test_tensor_infers_dtypes() -> None:
    assert torch.tensor([1, 2]).dtype is torch.int64
    assert torch.tensor([1.0, 2]).dtype is torch.float32
    assert torch.tensor([True]).dtype is torch.bool
    assert torch.tensor([]).dtype is torch.float32
    assert torch.tensor(np.zeros(2)).dtype is torch.float64
    assert torch.tensor([1], dtype=torch.float64).dtype is torch.float64
    assert torch.tensor(torch.tensor([1.0]), dtype=torch.int32).dtype is torch.int32


def test_tensor_copies() -> None:
    array = np.zeros(2)
    x = torch.tensor(array)
    array[0] = 1
    assert x.tolist() == [0, 0]
    assert torch.as_tensor(x) is x


def test_filled() -> None:
    assert torch.zeros(2, 3).shape == torch.zeros((2, 3)).shape == (2, 3)
    assert torch.ones(2, dtype=torch.int32).tolist() == [1, 1]
    assert torch.full((2,), 3).dtype is torch.int64
    assert torch.full((2,), 2.5).tolist() == [2.5, 2.5]
    like = torch.ones(2, 1, dtype=torch.float64)
    assert torch.zeros_like(like).dtype is torch.float64
    assert torch.full_like(like, 7, dtype=torch.int64).tolist() == [[7], [7]]
    assert torch.zeros(0).shape == (0,)
    assert torch.zeros(()).shape == ()


@pytest.mark.parametrize(
    "arguments", [(5,), (1, 10, 2), (0.0, 1.0, 0.25), (5, 0, -2), (3, 3), (0, 1, 0.3), (-2, 2)]
)
def test_arange(arguments: tuple[float, ...]) -> None:
    np.testing.assert_allclose(torch.arange(*arguments).numpy(), np.arange(*arguments), rtol=1e-6)


def test_eye() -> None:
    np.testing.assert_array_equal(torch.eye(3).numpy(), np.eye(3))
    np.testing.assert_array_equal(torch.eye(2, 4).numpy(), np.eye(2, 4))


def test_conversions(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3)) * 3
    t = torch.tensor(x)
    np.testing.assert_array_equal(t.int().numpy(), x.astype(np.int32))
    np.testing.assert_array_equal(t.long().numpy(), x.astype(np.int64))
    np.testing.assert_array_equal(t.bool().numpy(), x != 0)
    assert t.float().dtype is torch.float32
    assert t.to(torch.float64) is t
    assert t.to("reference") is t
    assert t.to(torch.ones(1)).dtype is torch.float32
    assert t.type_as(torch.tensor([1])).dtype is torch.int64
    assert np.asarray(t).shape == (2, 3)


def test_numbers() -> None:
    assert torch.tensor([[2.5]]).item() == 2.5
    assert isinstance(torch.tensor(3).item(), int)
    assert int(torch.tensor(3.7)) == 3
    assert float(torch.tensor([1])) == 1.0
    assert bool(torch.tensor(0)) is False
    assert [10, 20, 30][torch.tensor(1)] == 20
    assert f"{torch.tensor(1.5):.3f}" == "1.500" and f"{torch.ones(1)}" == "tensor([1.])"
    assert torch.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


def test_names_of_pytorch() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    assert (x.size(), x.size(1), x.dim(), x.numel()) == ((2, 3), 3, 2, 6)
    assert x.element_size() == 8 and x.is_floating_point() and torch.is_tensor(x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: torch.tensor([1.5, -2.25]), "tensor([ 1.5000, -2.2500])"),
        (lambda: torch.tensor([[1, 20], [3, 4]]), "tensor([[ 1, 20],\n        [ 3,  4]])"),
        (lambda: torch.tensor(3), "tensor(3)"),
        (lambda: torch.tensor([True, False]), "tensor([ True, False])"),
        (lambda: torch.tensor([1e-9]), "tensor([1.0000e-09])"),
        (lambda: torch.tensor([float("nan"), 1.0]), "tensor([nan, 1.])"),
        (lambda: torch.ones(1, dtype=torch.float64), "tensor([1.], dtype=picograd.float64)"),
        (lambda: torch.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: torch.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
        (lambda: torch.zeros(0, 2), "tensor([], size=(0, 2))"),
        (lambda: torch.ones(1, device="cpu"), "tensor([1.], device='cpu')"),
    ],
)
def test_repr(make: object, text: str) -> None:
    assert repr(make()) == text  # type: ignore[operator]


def test_long_tensors_are_abridged() -> None:
    text = repr(torch.arange(5000).reshape(50, 100))
    assert "..." in text and len(text.splitlines()) < 10


def test_the_default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_default_device(None)
    monkeypatch.setenv("PICOGRAD_DEVICE", "reference")
    assert torch.default_device() == "reference"
    monkeypatch.delenv("PICOGRAD_DEVICE")
    assert torch.default_device() == "cpu"
    with pytest.raises(DeviceError, match="no device called 'tpu'"):
        torch.set_default_device("tpu")


def test_errors() -> None:
    with pytest.raises(OptionError, match="not rectangular"):
        torch.tensor([[1, 2], [3]])
    with pytest.raises(DTypeError, match="not numeric"):
        torch.tensor(["a"])
    with pytest.raises(DTypeError, match="no picograd dtype"):
        torch.tensor(np.zeros(1, np.uint16))
    with pytest.raises(OptionError, match="arange never reaches"):
        torch.arange(0, 5, -1)
    with pytest.raises(ShapeError, match="one element"):
        torch.ones(2).item()
    with pytest.raises(ShapeError, match=r"\.all\(\)"):
        bool(torch.ones(2))
    with pytest.raises(GradientError, match="requires a gradient"):
        torch.ones(2, requires_grad=True).numpy()
    with pytest.raises(DTypeError, match="only integer tensors"):
        [1, 2][torch.tensor(1.0)]
    with pytest.raises(DeviceError, match="no device called"):
        torch.ones(1, device="tpu")


@pytest.mark.parametrize("wrong", ["float32", np.float32, float])
def test_what_is_no_dtype(wrong: Any) -> None:
    for make in (lambda: torch.ones(2, dtype=wrong), lambda: torch.tensor([1.0], dtype=wrong)):
        with pytest.raises(OperandError, match=r"no dtype(?s:.*)torch.float32"):
            make()


@pytest.mark.parametrize("wrong", [2.5, "a", (2, None), [1e3]])
def test_sizes_that_are_no_whole_numbers(wrong: Any) -> None:
    for make in (torch.zeros, torch.rand, torch.ones(4).reshape):
        with pytest.raises(OperandError, match="no whole number"):
            make(wrong)
    assert torch.zeros(np.ones((2, 3)).shape).shape == (2, 3)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_what_happens_to_an_array_later_changes_no_copy_of_it(
    device: str, rng: np.random.Generator
) -> None:
    torch.set_default_device(device)
    try:
        for array in (
            rng.standard_normal((5, 7)).astype(np.float32),
            rng.standard_normal((5, 7)).astype(np.float32).T,
            rng.integers(0, 9, 11)[::2],
            # at odd addresses
            np.frombuffer(bytearray(b"\0" + rng.bytes(40)), np.uint8)[1:].view(np.float32),
        ):
            x = torch.tensor(array)
            kept = array.copy()
            array[...] = 0
            np.testing.assert_array_equal(x.numpy(), kept)
    finally:
        torch.set_default_device(None)
