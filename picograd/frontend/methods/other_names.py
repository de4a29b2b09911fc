"""Second names that PyTorch has for operations, and short forms of others."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import DType
from picograd.errors import OptionError
from picograd.frontend.methods.arithmetic import Arithmetic
from picograd.frontend.methods.comparison import Comparison
from picograd.frontend.methods.conversions import Conversions
from picograd.frontend.methods.elementwise import Elementwise
from picograd.frontend.methods.indexing import Indexing
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.methods.shape_ops import ShapeOps
from picograd.frontend.problems import located


class OtherNames(Elementwise, Comparison, Arithmetic, ShapeOps, Indexing, Conversions):
    """What a name stands for is said where the operation is."""

    absolute = Elementwise.abs
    clip = Elementwise.clamp
    divide = Arithmetic.div
    multiply = Arithmetic.mul
    negative = Elementwise.neg
    subtract = Arithmetic.sub

    def ndimension(self) -> int:
        """The number of axes."""
        return self.ndim

    def nelement(self) -> int:
        """The number of elements."""
        return self.numel()

    def type(self, dtype: DType) -> Self:
        """The tensor in another dtype."""
        return self.to(dtype)

    def select(self, dim: int, index: int) -> Self:
        """A view of the elements at one index of an axis, which is left out."""
        axis = normalize_axis(dim, self.ndim)
        return self[(*[slice(None)] * axis, index)]

    def diff(self, n: int = 1, dim: int = -1) -> Self:
        """Each element minus the one before it along an axis, n times; for bools, whether they
        differ.
        """
        if n < 0:
            raise located(
                OptionError(
                    "diff is taken a number of times",
                    code="PG107",
                    expected="n >= 0",
                    found=n,
                    hint="leave n out for the difference of neighbours",
                )
            )
        axis, result = normalize_axis(dim, self.ndim), self
        for _ in range(n):
            count = max(result.shape[axis] - 1, 0)
            begin = min(1, result.shape[axis])
            later, earlier = result.narrow(axis, begin, count), result.narrow(axis, 0, count)
            result = later.ne(earlier) if self.dtype.is_bool else later - earlier
        return result
