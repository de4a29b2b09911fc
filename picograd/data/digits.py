"""The UCI optical digits: 1,797 images of handwritten digits, 8×8 pixels of 0 to 16.

The file comes with the package; see `digits.LICENSE.md` beside it.
"""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The images, float32 [1797, 64] scaled to 0 … 1, and the digits, int64 [1797].

    The order of the file separates writers: shuffle before holding images out.
    """
    packed = files("picograd.data").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode("ascii").splitlines(), delimiter=",")
    return (table[:, :64] / 16).astype(np.float32), table[:, 64].astype(np.int64)
