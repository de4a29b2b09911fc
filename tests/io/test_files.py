"""Safetensors files: every dtype goes round, also through PyTorch's side, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import picograd as torch
from picograd import io, nn
from picograd.dialects.dtypes import DTYPES, DType
from picograd.errors import DTypeError, OptionError, StateError


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 5)])
def test_every_dtype_goes_round(
    rng: np.random.Generator, tmp_path: Path, dtype: DType, shape: tuple[int, ...]
) -> None:
    values = torch.tensor(rng.integers(0, 2 if dtype.is_bool else 99, shape)).to(dtype)
    io.save_file({"x": values, "other": values.reshape(-1)}, tmp_path / "x.safetensors")
    loaded = io.load_file(tmp_path / "x.safetensors")
    assert list(loaded) == ["other", "x"]
    assert loaded["x"].dtype is dtype and loaded["x"].shape == shape
    np.testing.assert_array_equal(loaded["x"].numpy(), values.numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_special_values_and_views(rng: np.random.Generator) -> None:
    x = torch.tensor([[np.nan, -0.0, np.inf], [1.5, -np.inf, 5e-324]], dtype=torch.float64)
    loaded = io.load(io.save({"x": x.T}, {"made by": "a test"}))["x"]
    assert loaded.numpy().tobytes() == x.numpy().T.copy().tobytes()


def test_models_go_round(tmp_path: Path) -> None:
    a = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    b = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    a(torch.rand(5, 3))
    io.save_model(a, tmp_path / "a.safetensors")
    assert io.load_model(b, tmp_path / "a.safetensors") == ([], [])
    x = torch.rand(2, 3)
    np.testing.assert_array_equal(a.eval()(x).tolist(), b.eval()(x).tolist())
    with pytest.raises(StateError, match="does not fit Linear"):
        io.load_model(nn.Linear(3, 4), tmp_path / "a.safetensors")


def test_pytorch_reads_and_writes_the_same_files(tmp_path: Path) -> None:
    theirs = pytest.importorskip("torch", reason="files are exchanged with PyTorch")
    from safetensors.torch import load_file, save_file

    x = torch.tensor([[1.5, -2.0]])
    io.save_file({"x": x}, tmp_path / "ours.safetensors")
    assert load_file(tmp_path / "ours.safetensors")["x"].tolist() == x.tolist()
    save_file({"y": theirs.arange(3)}, tmp_path / "theirs.safetensors")
    assert io.load_file(tmp_path / "theirs.safetensors")["y"].tolist() == [0, 1, 2]
    odd = {"z": theirs.zeros(2, dtype=theirs.complex64)}
    save_file(odd, tmp_path / "odd.safetensors")
    with pytest.raises((DTypeError, StateError)):
        io.load_file(tmp_path / "odd.safetensors")


def test_damaged_files(tmp_path: Path) -> None:
    data = io.save({"x": torch.ones(4)})
    for wrong in (b"", b"PK\x03\x04 a pickle of torch.save", data[:-1], data + b"!", data[:9]):
        path = tmp_path / "wrong.safetensors"
        path.write_bytes(wrong)
        with pytest.raises(StateError, match="cannot be read as safetensors"):
            io.load_file(path)
    with pytest.raises(FileNotFoundError):
        io.load_file(tmp_path / "absent.safetensors")


def test_what_is_refused() -> None:
    with pytest.raises(OptionError, match="is no tensor"):
        io.save({"x": 1.0})  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="safetensors"):
        io.save_pickle({}, "model.pt")
    with pytest.raises(OptionError, match="safetensors"):
        io.load_pickle("model.pt")
