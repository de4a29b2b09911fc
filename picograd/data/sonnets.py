"""Sonnets by Shakespeare, for training language models; see `sonnets.LICENSE.md`."""

from __future__ import annotations

import gzip
from importlib.resources import files


def load_sonnets() -> str:
    """The text: fourteen lines a sonnet, an empty line between two."""
    packed = files("picograd.data").joinpath("sonnets.txt.gz").read_bytes()
    return gzip.decompress(packed).decode("ascii")
