"""Loaders: the digits that come with the package, MNIST from files."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from picograd import data
from picograd.errors import OptionError, ShapeError


def test_digits() -> None:
    x, y = data.load_digits()
    assert x.shape == (1797, 64) and x.dtype == np.float32
    assert y.shape == (1797,) and y.dtype == np.int64
    assert x.min() == 0 and x.max() == 1
    np.testing.assert_array_equal(x * 16, np.round(x * 16))
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (x[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0] and y[0] == 0


def test_the_licence_stands_beside_the_digits() -> None:
    text = files("picograd.data").joinpath("digits.LICENSE.md").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "CC BY 4.0", "BSD 3-Clause", "Redistribution and use"):
        assert words in text


def test_hold_out() -> None:
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    split = data.hold_out(x, y, 3, seed=1)
    assert split.x.shape == (7, 2) and split.y_test.shape == (3,)
    np.testing.assert_array_equal(split.x[:, 0] // 2, split.y)
    assert sorted([*split.y, *split.y_test]) == list(range(10))
    assert list(split.y) != list(range(7))
    np.testing.assert_array_equal(split.y, data.hold_out(x, y, 3, seed=1).y)
    with pytest.raises(ShapeError, match="cannot be split"):
        data.hold_out(x, y, 11)


def idx(array: np.ndarray, kind: int) -> bytes:
    sizes = np.array(array.shape, ">i4").tobytes()
    return bytes([0, 0, kind, array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_from_idx(tmp_path: Path, rng: np.random.Generator, packed: bool) -> None:
    images = rng.integers(0, 256, (5, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 5).astype(np.uint8)
    paths = []
    for name, array in (("images", images), ("labels", labels)):
        path = tmp_path / (name + (".gz" if packed else ""))
        content = idx(array, 0x08)
        path.write_bytes(gzip.compress(content) if packed else content)
        paths.append(path)
    x, y = data.load_mnist(*paths)
    assert x.dtype == np.float32 and y.dtype == np.int64
    np.testing.assert_allclose(x, images.reshape(5, 784) / 255, rtol=1e-6)
    np.testing.assert_array_equal(y, labels)


def test_idx_of_other_types(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.standard_normal((2, 3)).astype(">f4")
    (tmp_path / "x").write_bytes(idx(array, 0x0D))
    result = data.read_idx(tmp_path / "x")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, array)


def test_mnist_from_csv(tmp_path: Path, rng: np.random.Generator) -> None:
    table = rng.integers(0, 256, (3, 785))
    table[:, -1] = [3, 1, 4]
    np.savetxt(tmp_path / "both.csv", table, fmt="%d", delimiter=",")
    x, y = data.load_mnist(tmp_path / "both.csv")
    np.testing.assert_allclose(x, table[:, :-1] / 255, rtol=1e-6)
    assert y.tolist() == [3, 1, 4]
    packed = gzip.compress((tmp_path / "both.csv").read_bytes())
    (tmp_path / "both.csv.gz").write_bytes(packed)
    np.testing.assert_array_equal(data.load_mnist(tmp_path / "both.csv.gz")[0], x)
    np.savetxt(tmp_path / "x.csv", table[:, :-1], fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "y.csv", table[:, -1], fmt="%d", delimiter=",")
    np.testing.assert_array_equal(data.load_mnist(tmp_path / "x.csv", tmp_path / "y.csv")[1], y)
    with pytest.raises(OptionError, match="without labels"):
        data.load_mnist(tmp_path / "x.csv")


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b"not an idx file", bytes([0, 0, 8])):
        path.write_bytes(content)
        with pytest.raises(ShapeError, match="is no IDX file"):
            data.read_idx(path)
    path.write_bytes(idx(np.zeros((2, 3), np.uint8), 8)[:-1])
    with pytest.raises(ShapeError, match="cut short"):
        data.read_idx(path)
    path.write_bytes(idx(np.zeros((2, 3), np.uint8), 8))
    (tmp_path / "y").write_bytes(idx(np.zeros(3, np.uint8), 8))
    with pytest.raises(ShapeError, match="not equally many"):
        data.load_mnist(path, tmp_path / "y")
