"""Running totals along an axis, sorting, and what is picked by rank: topk, kthvalue, median."""

from __future__ import annotations

from math import prod
from typing import Self

from picograd.dialects.dtypes import DType, int32, int64
from picograd.dialects.tensor import ScanKind
from picograd.errors import IndexOutOfRange, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var, detached
from picograd.frontend.core import TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.reductions import ValuesAndIndices, normalize_axis
from picograd.frontend.plans.planned import planned
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import float_type
from picograd.semantics.gradients_order import extremum_positions


class ScansAndSorts(TensorCore):
    """A 0-d tensor counts as one element along axis 0, here as in PyTorch."""

    # Running totals

    @planned
    def cumsum(self, dim: int, *, dtype: DType | None = None) -> Self:
        """Sums of all elements up to each along `dim`; bools and integers are added in int64."""
        return self._total(ScanKind.ADD, dim, dtype)

    def cumprod(self, dim: int, *, dtype: DType | None = None) -> Self:
        """Products of all elements up to each along `dim`; of bools and integers in int64."""
        return self._total(ScanKind.MUL, dim, dtype)

    def cummax(self, dim: int) -> ValuesAndIndices[Self]:
        """The largest element so far along `dim`, and its index: the last of equal ones."""
        return self._running(ScanKind.MAX, dim)

    def cummin(self, dim: int) -> ValuesAndIndices[Self]:
        """The smallest element so far along `dim`, and its index: the last of equal ones."""
        return self._running(ScanKind.MIN, dim)

    def logcumsumexp(self, dim: int) -> Self:
        """log(cumsum(exp(x))) along `dim`, shifted by the row's maximum.

        An element smaller than the maximum by more than the range of exp is lost before it: there
        the result is -inf.
        """
        ops, axis = self.builder(), self._axis(dim)
        x = self._row(ops, ops.cast(self.read(), float_type(self)))
        if 0 in ops.shape_of(x):
            return self.wrap(ops.reshape(x, self.shape))
        shape = ops.shape_of(x)
        top = ops.reduce("max", detached(x), (axis,))
        zero, limit = ops.full_like(top, 0), ops.full_like(top, float("inf"))
        finite = ops.compare("lt", ops.unary("abs", top), limit)
        top = ops.broadcast_along(ops.select(finite, top, zero), shape, (axis,))
        sums = ops.scan("add", ops.unary("exp", ops.sub(x, top)), axis)
        return self.wrap(ops.reshape(ops.add(ops.unary("log", sums), top), self.shape))

    def _axis(self, dim: int) -> int:
        return normalize_axis(dim, self.ndim)

    def _row(self, ops: Tape, x: Var) -> Var:
        """The value, with the axis that a 0-d tensor lacks."""
        return x if self.ndim else ops.reshape(x, (1,))

    def _total(self, kind: ScanKind, dim: int, dtype: DType | None) -> Self:
        ops, axis = self.builder(), self._axis(dim)
        wide = dtype or (self.dtype if self.dtype.is_float else int64)
        totals = ops.scan(kind, self._row(ops, ops.cast(self.read(), wide)), axis)
        return self.wrap(ops.reshape(totals, self.shape))

    def _running(self, kind: ScanKind, dim: int) -> ValuesAndIndices[Self]:
        ops, axis = self.builder(), self._axis(dim)
        x = self._row(ops, _ordered(ops, self.read()))
        values = ops.scan(kind, x, axis)
        index = extremum_positions(ops, detached(x), detached(values), axis)
        return ValuesAndIndices(
            self.wrap(ops.cast(ops.reshape(values, self.shape), self.dtype)),
            self.wrap(ops.reshape(index, self.shape)),
        )

    # Sorting

    @planned
    def argsort(self, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Self:
        """The indices that sort the tensor along `dim`; the sort is always stable."""
        ops, axis = self.builder(), self._axis(dim)
        return self.wrap(ops.reshape(self._order(ops, axis, descending), self.shape))

    def sort(
        self, dim: int = -1, descending: bool = False, *, stable: bool = False
    ) -> ValuesAndIndices[Self]:
        """The elements in order along `dim`, and where they were; NaN is the greatest.

        The sort is always stable: equal elements keep their order.
        """
        order = self.argsort(dim, descending)
        return ValuesAndIndices(self._gathered(order, self._axis(dim)), order)

    @planned_operands(tensors=("order",))
    def _gathered(self, order: TensorCore, axis: int) -> Self:
        """The elements that indices name along an axis."""
        ops = self.builder()
        index = ops.reshape(order.read(), order.shape or (1,))
        values = ops.gather(self._row(ops, self.read()), index, axis)
        return self.wrap(ops.reshape(values, order.shape))

    def _order(self, ops: Tape, axis: int, descending: bool) -> Var:
        x = _ordered(ops, detached(self._row(ops, self.read())))
        return ops.argsort(x, axis, descending=descending)

    def topk(
        self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> ValuesAndIndices[Self]:
        """The `k` largest (or smallest) elements along `dim`, in order, and their indices.

        Of equal elements the first come first. NaN is the greatest.
        """
        axis = self._axis(dim)
        size = self.shape[axis] if self.ndim else 1
        if not 0 <= k <= size:
            raise located(
                ShapeError(
                    f"topk of an axis of {size} elements",
                    code="PG125",
                    expected=f"k from 0 to {size}",
                    found=f"k = {k}",
                    hint="ask for no more elements than there are",
                )
            )
        order = self._first(k, axis, largest)
        return ValuesAndIndices(self._gathered(order, axis), order)

    @planned
    def _first(self, k: int, axis: int, largest: bool) -> Self:
        """The indices of the first `k` elements in order."""
        ops = self.builder()
        order = self._order(ops, axis, largest)
        shape = ops.shape_of(order)
        limits = [k if a == axis else n for a, n in enumerate(shape)]
        order = ops.slice(order, [0] * len(shape), limits, [1] * len(shape))
        return self.wrap(ops.reshape(order, limits if self.ndim else ([] if k == 1 else [0])))

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices[Self]:
        """The `k`-th smallest element along `dim`, counted from 1, and its index."""
        axis = self._axis(dim)
        size = self.shape[axis] if self.ndim else 1
        if not 1 <= k <= size:
            raise located(
                ShapeError(
                    f"kthvalue of an axis of {size} elements",
                    code="PG125",
                    expected=f"k from 1 to {size}",
                    found=f"k = {k}",
                    hint="the smallest element is number 1",
                )
            )
        ops = self.builder()
        shape = ops.shape_of(self._row(ops, self.read()))
        rank = ops.full([n for a, n in enumerate(shape) if a != axis], k - 1, int64)
        return self._ranked(ops, axis, rank, keepdim)

    def median(
        self, dim: int | None = None, keepdim: bool = False
    ) -> Self | ValuesAndIndices[Self]:
        """The middle element in order, of an even number the lower of the two; NaN if there is one.

        Without `dim` of all elements; with it along an axis, and the indices too.
        """
        size = self.shape[self._axis(dim)] if dim is not None and self.ndim else 1
        if not size or (dim is None and 0 in self.shape):
            raise located(
                IndexOutOfRange(
                    "the median of no elements",
                    code="PG114",
                    expected="at least one element",
                    found=list(self.shape),
                    hint="handle the empty case before",
                )
            )
        ops = self.builder()
        if dim is None:
            flat = self.wrap(ops.reshape(self.read(), (prod(self.shape),)))
            found = flat.median(0)
            assert isinstance(found, ValuesAndIndices)
            return found.values
        axis = self._axis(dim)
        x = self._row(ops, self.read())
        shape = [n for a, n in enumerate(ops.shape_of(x)) if a != axis]
        rank = ops.full(shape, (size - 1) // 2, int64)
        if self.dtype.is_float:
            # NaN are sorted to the end: the first of them, if any, is what counts.
            numbers = ops.cast(ops.compare("eq", x, x), int64)
            count = ops.reduce("add", numbers, (axis,))
            some = ops.compare("lt", count, ops.full_like(count, size))
            rank = ops.select(some, count, rank)
        return self._ranked(ops, axis, rank, keepdim)

    def _ranked(self, ops: Tape, axis: int, rank: Var, keepdim: bool) -> ValuesAndIndices[Self]:
        """The element of each row that has this rank, and its index."""
        x = self._row(ops, self.read())
        index = compositions.picked(ops, self._order(ops, axis, False), rank, axis)
        values = compositions.picked(ops, x, index, axis)
        if keepdim and self.ndim:
            kept = [1 if a == axis else n for a, n in enumerate(self.shape)]
            values, index = ops.reshape(values, kept), ops.reshape(index, kept)
        return ValuesAndIndices(self.wrap(values), self.wrap(index))


def _ordered(ops: Tape, x: Var) -> Var:
    """The value in a dtype that has an order for the ops: bools as 0 and 1."""
    return ops.cast(x, int32) if ops.dtype_of(x).is_bool else x
