"""How tensors print, against PyTorch to the letter."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import picograd
from picograd.errors import OperandError

SHAPES = [(), (1,), (7,), (50,), (0,), (2, 0), (3, 4), (2, 3, 5), (2, 30), (40, 40), (5, 3, 200)]
SCALES = [1.0, 1e-3, 1e4, 1e8, 1e-8, 123.456789]


def _same(text: str) -> str:
    """The text, with PyTorch's names of dtypes, which are shorter, on the line before."""
    return re.sub(r",\s+dtype=\w+\.", ", dtype=torch.", text)


def _data(shape: tuple[int, ...], scale: float) -> Any:
    rng = np.random.default_rng([*shape, int(scale)])
    return (rng.integers(-40, 40, shape) / 8 * scale).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", SCALES)
def test_floats_and_their_suffixes(shape: tuple[int, ...], scale: float) -> None:
    torch = pytest.importorskip("torch")
    data = _data(shape, scale)
    for array in (data, np.round(data), np.where(data > 2 * scale, np.inf, data)):
        array = np.asarray(array, np.float32)
        assert repr(picograd.tensor(array)) == repr(torch.tensor(array))
        ours = picograd.tensor(array, requires_grad=True)
        theirs = torch.tensor(array, requires_grad=True)
        assert repr(ours) == repr(theirs)
        double = array.astype(np.float64)
        assert _same(repr(picograd.tensor(double))) == _same(repr(torch.tensor(double)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_and_bools(shape: tuple[int, ...], dtype: type[Any]) -> None:
    torch = pytest.importorskip("torch")
    data = np.random.default_rng(len(shape)).integers(0, 100, shape).astype(dtype)
    assert _same(repr(picograd.tensor(data))) == _same(repr(torch.tensor(data)))


def test_a_format_is_for_one_number() -> None:
    assert f"{picograd.tensor(1.25):.1f}" == "1.2"
    assert f"{picograd.tensor([1.25])}" == "tensor([1.2500])"
    with pytest.raises(OperandError, match="one number"):
        f"{picograd.tensor([1.25]):.1f}"
