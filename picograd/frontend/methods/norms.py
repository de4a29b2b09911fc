"""Lengths of vectors, of matrices by their entries, and distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from picograd.dialects.dtypes import DType
from picograd.errors import OptionError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.reductions import Axes, normalize_axes
from picograd.frontend.plans.planned import planned
from picograd.frontend.problems import located
from picograd.frontend.promotion import (
    as_var,
    broadcast_shapes,
    common_device,
    float_type,
    require_float,
)

INFINITY = float("inf")


class Norms(TensorCore):
    """`p` is the power: 2 for lengths, 1 for sums of magnitudes, inf and -inf, 0 to count."""

    @planned
    def norm(
        self,
        p: float | str | None = "fro",
        dim: Axes = None,
        keepdim: bool = False,
        dtype: DType | None = None,
    ) -> Self:
        """The p-norm of all elements, or of those along `dim`; "fro" is 2."""
        if isinstance(p, str) and p != "fro":
            raise _unknown_order("norm", p)
        order = 2.0 if p is None or isinstance(p, str) else float(p)
        return self.vector_norm(order, dim, keepdim, dtype=dtype)

    @planned
    def vector_norm(
        self,
        ord: float = 2,
        dim: Axes = None,
        keepdim: bool = False,
        *,
        dtype: DType | None = None,
    ) -> Self:
        """The norm of the elements along `dim` (of all by default), as `torch.linalg` has it."""
        if dtype is None:
            require_float(self, "a norm")
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        x = ops.cast(self.read(), dtype or self.dtype)
        result = vector_norm(ops, x, ord, axes)
        if keepdim:
            result = ops.reshape(result, [1 if a in axes else n for a, n in enumerate(self.shape)])
        return self.wrap(result)

    def matrix_norm(
        self,
        ord: float | str = "fro",
        dim: Sequence[int] = (-2, -1),
        keepdim: bool = False,
    ) -> Self:
        """The norm of matrices: "fro", or the largest (or smallest) sum of magnitudes of a column
        (1, -1) or row (inf, -inf).
        """
        require_float(self, "matrix_norm")
        if len(dim) != 2 or self.ndim < 2:
            raise located(
                ShapeError(
                    "matrix_norm takes matrices",
                    code="PG104",
                    expected="two axes",
                    found=f"{list(self.shape)}, dim {list(dim)}",
                    hint="use vector_norm, or name two axes",
                )
            )
        axes = normalize_axes(dim, self.ndim)
        if ord == "fro":
            return self.vector_norm(2, axes, keepdim)
        if isinstance(ord, str) or abs(ord) not in (1, INFINITY):
            raise _unknown_order("matrix_norm", ord)
        rows, columns = (axis % self.ndim for axis in dim)
        summed = rows if abs(ord) == 1 else columns
        ops = self.builder()
        sums = ops.reduce("add", ops.unary("abs", self.read()), (summed,))
        left = next(axis for axis in axes if axis != summed)
        kept = ops.reshape(sums, [1 if a == summed else n for a, n in enumerate(self.shape)])
        result = ops.reduce("max" if ord > 0 else "min", kept, (left,))
        wide = [1 if a in axes else n for a, n in enumerate(self.shape)]
        narrow = [n for a, n in enumerate(self.shape) if a not in axes]
        return self.wrap(ops.reshape(result, wide if keepdim else narrow))

    def dist(self, other: TensorCore, p: float = 2.0) -> Self:
        """The p-norm of self - other."""
        common_device((self, other))
        ops, dtype = self.builder(), float_type(self, other)
        shape = broadcast_shapes(self.shape, other.shape)
        a, b = as_var(ops, self, dtype, shape), as_var(ops, other, dtype, shape)
        return self.wrap(vector_norm(ops, ops.sub(a, b), p, range(len(shape))))

    def cdist(self, x2: TensorCore, p: float = 2.0) -> Self:
        """result[…, i, j] is the p-norm of self[…, i, :] - x2[…, j, :]."""
        common_device((self, x2))
        if self.ndim < 2 or x2.ndim < 2 or self.shape[-1] != x2.shape[-1]:
            raise located(
                ShapeError(
                    "cdist takes batches of points of one dimension",
                    code="PG103",
                    expected="[…, P, M] and […, R, M]",
                    found=f"{list(self.shape)} and {list(x2.shape)}",
                    hint="reshape the points to rows of equal length",
                )
            )
        ops, dtype = self.builder(), float_type(self, x2)
        one = (*self.shape[:-1], 1, self.shape[-1])
        other = (*x2.shape[:-2], 1, *x2.shape[-2:])
        shape = broadcast_shapes(one, other)
        a = ops.broadcast(ops.reshape(as_var(ops, self, dtype), one), shape)
        b = ops.broadcast(ops.reshape(as_var(ops, x2, dtype), other), shape)
        return self.wrap(vector_norm(ops, ops.sub(a, b), p, (len(shape) - 1,)))


def vector_norm(ops: Tape, x: Var, order: float, axes: Sequence[int]) -> Var:
    """The norm of the elements along the axes, which disappear. Of a zero vector the gradient is 0,
    as in PyTorch, although the norm has a kink there.
    """
    axes = tuple(axes)
    if order == 0:
        return ops.reduce("add", ops.cast(_nonzero(ops, x), ops.dtype_of(x)), axes)
    size = ops.unary("abs", x)
    if abs(order) == INFINITY:
        return ops.reduce("max" if order > 0 else "min", size, axes) if axes else size
    if order == 1:
        return ops.reduce("add", size, axes)
    if order == 2:
        total = ops.reduce("add", ops.mul(x, x), axes)
        return _root(ops, total, lambda y: ops.unary("sqrt", y))
    powers = ops.binary("pow", size, ops.full_like(size, order))
    if order > 0:
        # (The slope of |x|**p at 0 counts as 0, where it may be infinite.)
        some = _nonzero(ops, x)
        safe = ops.select(some, size, ops.full_like(size, 1))
        powers = ops.binary("pow", safe, ops.full_like(size, order))
        powers = ops.select(some, powers, ops.full_like(size, 0))
    total = ops.reduce("add", powers, axes)
    if order < 0:
        return ops.binary("pow", total, ops.full_like(total, 1 / order))
    return _root(ops, total, lambda y: ops.binary("pow", y, ops.full_like(y, 1 / order)))


def _nonzero(ops: Tape, x: Var) -> Var:
    return ops.compare("ne", x, ops.full_like(x, 0))


def _root(ops: Tape, total: Var, root: Callable[[Var], Var]) -> Var:
    """The root of what is 0 or more, with slope 0 at 0."""
    some = _nonzero(ops, total)
    safe = ops.select(some, total, ops.full_like(total, 1))
    return ops.select(some, root(safe), ops.full_like(total, 0))


def _unknown_order(what: str, order: object) -> OptionError:
    return located(
        OptionError(
            f"{what} of order {order!r} takes singular values",
            code="PG801",
            expected="'fro', inf, -inf, 1, -1, or for vectors any number",
            found=repr(order),
            hint="use one of these",
        )
    )
