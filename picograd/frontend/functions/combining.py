"""Tensors beside one another, and grids of coordinates."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.dialects.dtypes import int64
from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.joining import cat, checked
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import broadcast_shapes
from picograd.frontend.tensor import Tensor


def hstack(tensors: Sequence[TensorCore]) -> Tensor:
    """Tensors side by side: along axis 1, vectors along axis 0."""
    parts = [_at_least(tensor, 1, "hstack") for tensor in tensors]
    return cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[TensorCore]) -> Tensor:
    """Tensors below one another, along axis 0; vectors are rows."""
    return cat([_at_least(tensor, 2, "vstack") for tensor in tensors], 0)


def atleast_1d(tensor: TensorCore) -> Tensor:
    """The tensor, a 0-d one as one of one element."""
    return _at_least(tensor, 1, "atleast_1d")


def atleast_2d(tensor: TensorCore) -> Tensor:
    """The tensor, one of fewer axes as a row."""
    return _at_least(tensor, 2, "atleast_2d")


def _at_least(tensor: TensorCore, rank: int, what: str) -> Tensor:
    known = checked(tensor, what)
    return known.reshape((*[1] * (rank - known.ndim), *known.shape)) if known.ndim < rank else known


def meshgrid(
    *tensors: TensorCore | Sequence[TensorCore], indexing: str = "ij"
) -> tuple[Tensor, ...]:
    """The coordinates of a grid: each vector repeated along the axes of the others.

    With indexing "xy" the first two axes change places.
    """
    vectors: list[Tensor] = []
    for given in tensors:
        listed = [given] if isinstance(given, TensorCore) else given
        vectors += [checked(tensor, "meshgrid") for tensor in listed]
    if indexing not in ("ij", "xy"):
        raise located(
            OptionError(
                "meshgrid orders axes in two ways",
                code="PG801",
                expected="'ij' or 'xy'",
                found=repr(indexing),
                hint="pass indexing='ij', or leave it out",
            )
        )
    if any(vector.ndim > 1 for vector in vectors):
        raise located(
            ShapeError(
                "meshgrid takes vectors",
                code="PG104",
                expected="tensors of one axis",
                found=[list(vector.shape) for vector in vectors],
                hint="flatten them first",
            )
        )
    swapped = indexing == "xy" and len(vectors) > 1
    if swapped:
        vectors[:2] = vectors[1::-1]
    shape = [vector.numel() for vector in vectors]
    grids = [
        vector.reshape([size if a == n else 1 for a, size in enumerate(shape)]).expand(shape)
        for n, vector in enumerate(vectors)
    ]
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def broadcast_tensors(*tensors: TensorCore) -> tuple[Tensor, ...]:
    """Views of all tensors under their common shape."""
    shape = broadcast_shapes(*(tensor.shape for tensor in tensors))
    return tuple(checked(tensor, "broadcast_tensors").expand(shape) for tensor in tensors)


def one_hot(tensor: TensorCore, num_classes: int = -1) -> Tensor:
    """A last axis of `num_classes` zeros with a 1 at the place that the int64 class names.

    Without `num_classes` the greatest class decides, which reads the data: not for compiled
    functions. A class out of range raises IndexOutOfRange.
    """
    classes = checked(tensor, "one_hot")
    if classes.dtype is not int64:
        raise located(
            DTypeError(
                "one_hot takes classes as int64",
                code="PG122",
                expected="int64",
                found=classes.dtype.name,
                hint="convert them: x.long()",
            )
        )
    if num_classes == -1:
        if not classes.numel():
            raise located(
                ShapeError(
                    "how many classes there are, nobody knows: the tensor is empty",
                    code="PG108",
                    expected="num_classes, or at least one element",
                    found=list(classes.shape),
                    hint="pass num_classes",
                )
            )
        num_classes = max(int(classes.max().item()), 0) + 1
    return _one_hot(classes, num_classes)


@planned_operands()
def _one_hot(classes: Tensor, num_classes: int) -> Tensor:
    ops = classes.builder()
    zeros = ops.full((*classes.shape, num_classes), 0, int64)
    at = ops.reshape(classes.read(), (*classes.shape, 1))
    return classes.wrap(ops.scatter("set", zeros, at, ops.full_like(at, 1), len(classes.shape)))
