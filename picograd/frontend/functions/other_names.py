"""Second names that PyTorch has for functions, and short forms of others."""

from __future__ import annotations

from picograd.frontend.functions.from_methods import abs as absolute
from picograd.frontend.functions.from_methods import clamp as clip
from picograd.frontend.functions.from_methods import div as divide
from picograd.frontend.functions.from_methods import mul as multiply
from picograd.frontend.functions.from_methods import neg as negative
from picograd.frontend.functions.from_methods import sub as subtract
from picograd.frontend.functions.joining import cat as concat
from picograd.frontend.functions.joining import cat as concatenate
from picograd.frontend.functions.joining import checked
from picograd.frontend.tensor import Tensor

__all__ = [
    "absolute",
    "clip",
    "concat",
    "concatenate",
    "diff",
    "divide",
    "multiply",
    "negative",
    "select",
    "subtract",
]


def diff(input: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Each element minus the one before it along an axis, n times."""
    return checked(input, "diff").diff(n, dim)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of the elements at one index of an axis, which is left out."""
    return checked(input, "select").select(dim, index)
