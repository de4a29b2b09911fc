"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import int64
from picograd.dialects.tensor import CompareKind
from picograd.errors import AxisError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.plans.planned import planned
from picograd.frontend.problems import located
from picograd.frontend.storage.views import DiagonalView, PermuteView, above_main


class Triangles(TensorCore):
    """`diagonal` counts diagonals: 0 is the main one, those above it are positive."""

    @planned
    def tril(self, diagonal: int = 0) -> Self:
        """The lower triangle of the last two axes, zeros above it."""
        return self._triangle("tril", CompareKind.LE, diagonal)

    @planned
    def triu(self, diagonal: int = 0) -> Self:
        """The upper triangle of the last two axes, zeros below it."""
        return self._triangle("triu", CompareKind.GE, diagonal)

    def _triangle(self, what: str, kind: CompareKind, diagonal: int) -> Self:
        if self.ndim < 2:
            raise located(
                ShapeError(
                    f"{what} takes matrices",
                    code="PG104",
                    expected="at least two axes",
                    found=list(self.shape),
                    hint="add axes with unsqueeze()",
                )
            )
        ops, x = self.builder(), self.read()
        offset = above_main(ops, *self.shape[-2:])
        kept = ops.compare(kind, offset, ops.full_like(offset, diagonal))
        return self.wrap(ops.select(ops.broadcast(kept, self.shape), x, ops.full_like(x, 0)))

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """A view of the elements (i, i + offset) of two axes, which become the last axis."""
        first, second = normalize_axis(dim1, self.ndim), normalize_axis(dim2, self.ndim)
        if first == second:
            raise located(
                AxisError(
                    "a diagonal runs through two axes",
                    code="PG118",
                    expected="two different axes",
                    found=f"{dim1} and {dim2}",
                    hint="name another axis",
                )
            )
        rest = [axis for axis in range(self.ndim) if axis not in (first, second)]
        return self.with_views(PermuteView((*rest, first, second)), DiagonalView(offset))

    def diag(self, diagonal: int = 0) -> Self:
        """Of a matrix a diagonal, copied; of a vector the matrix with that diagonal."""
        if self.ndim == 2:
            taken = self.diagonal(diagonal)
            return taken.wrap(taken.read())
        if self.ndim != 1:
            raise located(
                ShapeError(
                    "diag takes a vector or a matrix",
                    code="PG104",
                    expected="one or two axes",
                    found=list(self.shape),
                    hint="use .diagonal() for the diagonals of a batch",
                )
            )
        return self.diag_embed(diagonal)

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Self:
        """Square matrices, in two new axes, whose diagonals are the rows of the last axis."""
        rank = self.ndim + 1
        first, second = normalize_axis(dim1, rank), normalize_axis(dim2, rank)
        if first == second or not self.ndim:
            raise located(
                AxisError(
                    "diag_embed makes two axes of the last one",
                    code="PG118",
                    expected="a tensor with axes, and two different new ones",
                    found=f"{list(self.shape)}, {dim1} and {dim2}",
                    hint="name two different axes",
                )
            )
        size = self.shape[-1] + abs(offset)
        ops = self.builder()
        zeros = ops.full((*self.shape[:-1], size, size), 0, self.dtype)
        matrices = DiagonalView(offset).write(ops, zeros, self.read())
        rest = iter(range(rank - 2))
        places = {first: rank - 2, second: rank - 1}
        order = [places[n] if n in places else next(rest) for n in range(rank)]
        return self.wrap(ops.permute(matrices, order))

    def trace(self) -> Self:
        """The sum of the main diagonal of a matrix; integers are added in int64."""
        if self.ndim != 2:
            raise located(
                ShapeError(
                    "trace takes a matrix",
                    code="PG104",
                    expected="two axes",
                    found=list(self.shape),
                    hint="use .diagonal(dim1=-2, dim2=-1).sum(-1) for a batch of matrices",
                )
            )
        ops = self.builder()
        line = self.diagonal().read()
        dtype = self.dtype if self.dtype.is_float else int64
        return self.wrap(ops.reduce("add", ops.cast(line, dtype), (0,)))
