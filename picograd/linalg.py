"""`torch.linalg`: norms of vectors, and of matrices by their entries."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.dialects.dtypes import DType
from picograd.frontend.functions.joining import checked
from picograd.frontend.methods.reductions import Axes
from picograd.frontend.tensor import Tensor

__all__ = ["matrix_norm", "norm", "vector_norm"]


def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The norm of all elements, or of those along `dim`: (sum |x|**ord) ** (1 / ord).

    inf and -inf take the largest and the smallest magnitude, 0 counts what is not 0.
    """
    return checked(x, "vector_norm").vector_norm(ord, dim, keepdim, dtype=dtype)


def matrix_norm(
    A: Tensor, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False
) -> Tensor:
    """The norm of matrices: "fro", inf, -inf, 1 or -1.

    Raises OptionError for those that take singular values.
    """
    return checked(A, "matrix_norm").matrix_norm(ord, dim, keepdim)


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """A vector's norm when `dim` is one axis, a matrix's when it is two and `ord` is given.

    Without `ord` the 2-norm of all elements along `dim`; with `ord` and without `dim` the tensor
    itself is a vector or a matrix.
    """
    x = checked(A, "norm")
    axes = None if dim is None else [dim] if isinstance(dim, int) else list(dim)
    of_matrix = ord is not None and (len(axes) == 2 if axes is not None else x.ndim == 2)
    if ord is None or (ord == "fro" and not of_matrix):
        return x.vector_norm(2, axes, keepdim, dtype=dtype)
    if of_matrix or isinstance(ord, str):
        return (x if dtype is None else x.to(dtype=dtype)).matrix_norm(
            ord, axes or (-2, -1), keepdim
        )
    return x.vector_norm(ord, axes, keepdim, dtype=dtype)
