"""Reductions that pass NaN over, count, or give two results at once."""

from __future__ import annotations

from typing import Generic, NamedTuple, Self, TypeVar

from picograd.dialects.dtypes import DType, bool_, int64
from picograd.frontend.methods.reductions import Axes, Reductions, normalize_axes

T = TypeVar("T")


class Extremes(NamedTuple, Generic[T]):
    """What `aminmax` returns."""

    min: T
    max: T


class Statistics(Reductions):
    """As in `Reductions`, `dim` names the axes that disappear, and `keepdim` leaves them with 1."""

    def nansum(
        self, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Self:
        """The sum of all elements that are not NaN."""
        return self._known().sum(dim, keepdim, dtype=dtype)

    def nanmean(self, dim: Axes = None, keepdim: bool = False) -> Self:
        """The mean of the elements that are not NaN; NaN if all are."""
        total = self._known().sum(dim, keepdim)
        ops, x = self.builder(), self.read()
        numbers = self.wrap(ops.cast(ops.compare("eq", x, x), self.dtype))
        count = numbers.sum(dim, keepdim)
        return self.wrap(ops.div(total.read(), count.read()))

    def _known(self) -> Self:
        """0 in place of NaN."""
        ops, x = self.builder(), self.read()
        if not self.dtype.is_float:
            return self
        return self.wrap(ops.select(ops.compare("eq", x, x), x, ops.full_like(x, 0)))

    def count_nonzero(self, dim: Axes = None) -> Self:
        """How many elements are other than 0, in int64."""
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        some = ops.cast(ops.cast(self.read(), bool_), int64)
        return self.wrap(ops.reduce("add", some, axes))

    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Extremes[Self]:
        """The smallest and the largest element."""
        return Extremes(self.amin(dim, keepdim), self.amax(dim, keepdim))

    def var_mean(
        self,
        dim: Axes = None,
        *,
        correction: float = 1,
        unbiased: bool | None = None,
        keepdim: bool = False,
    ) -> tuple[Self, Self]:
        """The variance and the mean."""
        spread = self.var(dim, correction=correction, unbiased=unbiased, keepdim=keepdim)
        return spread, self.mean(dim, keepdim)

    def std_mean(
        self,
        dim: Axes = None,
        *,
        correction: float = 1,
        unbiased: bool | None = None,
        keepdim: bool = False,
    ) -> tuple[Self, Self]:
        """The standard deviation and the mean."""
        spread = self.std(dim, correction=correction, unbiased=unbiased, keepdim=keepdim)
        return spread, self.mean(dim, keepdim)
