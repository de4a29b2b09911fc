"""Data sets as NumPy arrays: the digits that come with the package, and MNIST from files."""

from picograd.data.digits import load_digits
from picograd.data.mnist import load_mnist, read_idx
from picograd.data.split import hold_out

__all__ = ["hold_out", "load_digits", "load_mnist", "read_idx"]
