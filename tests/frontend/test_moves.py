"""Tensors are made on every device with the same numbers, and move between devices."""

from __future__ import annotations

import numpy as np

import picograd as torch


def test_creation(device: str) -> None:
    torch.manual_seed(3)
    base = torch.zeros(3, 5)
    drawn = [torch.rand(3, 5), torch.randn(3, 5), torch.rand_like(base), torch.randn_like(base)]
    filled = [torch.ones_like(base), torch.full_like(base, 7.0), torch.zeros_like(base)]
    assert {t.device for t in (base, *drawn, *filled)} == {device}
    assert [t.numpy().mean() for t in filled] == [1, 7, 0]
    torch.set_default_device("reference")
    torch.manual_seed(3)
    again = [torch.rand(3, 5), torch.randn(3, 5)]
    for ours, theirs in zip(drawn, again, strict=False):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    assert len({t.numpy().tobytes() for t in drawn}) == 4


def test_moves(rng: np.random.Generator, device: str) -> None:
    array = rng.uniform(-9, 9, (2, 3)).astype(np.float32)
    x = torch.tensor(array, device="reference").to(device)
    assert x.device == device and x[1, 2].item() == array[1, 2]
    np.testing.assert_array_equal(x.int().numpy(), array.astype(np.int32))
    np.testing.assert_array_equal(x.bool().float().numpy(), np.ones((2, 3)))
    np.testing.assert_array_equal(x.to("reference").numpy(), array)
