"""Reductions, and what is built from them: mean, variance, softmax, normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from operator import index as as_int
from typing import Generic, NamedTuple, Self, TypeAlias, TypeVar, overload

from picograd.dialects.dtypes import DType, bool_, int64, uint8
from picograd.dialects.tensor import ArgReduceKind, ReduceKind
from picograd.errors import AxisError, DTypeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.arithmetic import Arithmetic
from picograd.frontend.methods.numpy_names import takes_numpy_names
from picograd.frontend.plans.planned import planned
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import float_type, require_float

Axes: TypeAlias = int | Sequence[int] | None


T = TypeVar("T")

_OF_BOOLS = {ReduceKind.MAX: ReduceKind.OR, ReduceKind.MIN: ReduceKind.AND}
"""What the largest and the smallest of bools are."""


class ValuesAndIndices(NamedTuple, Generic[T]):
    """What `max(dim)` and `min(dim)` return; the indices are int64."""

    values: T
    indices: T


def normalize_axis(axis: int, rank: int) -> int:
    """The axis counted from 0. Raises AxisError; a 0-d tensor accepts 0 and -1, as in PyTorch."""
    size, axis = max(rank, 1), as_int(axis)
    if not -size <= axis < size:
        raise located(
            AxisError(
                f"axis {axis} does not exist in a tensor of rank {rank}",
                code="PG117",
                expected=f"an axis from {-size} to {size - 1}",
                found=axis,
                hint="name an axis of the tensor; negative ones count from the end",
            )
        )
    return axis % size


def normalize_axes(axes: Axes, rank: int) -> tuple[int, ...]:
    """Ascending axes counted from 0; None and () mean all. Raises AxisError for repeated axes."""
    if axes is None:
        return tuple(range(rank))
    listed = list(axes) if isinstance(axes, Sequence) else [as_int(axes)]
    normal = [normalize_axis(axis, rank) for axis in listed]
    if len(set(normal)) != len(normal):
        raise located(
            AxisError(
                "an axis is named twice",
                code="PG118",
                expected="each axis once",
                found=listed,
                hint="drop the repeated axis; a negative axis may be the same as another",
            )
        )
    return tuple(sorted(normal)) if normal and rank else tuple(range(rank))


class Reductions(Arithmetic):
    """`dim` names the axes that disappear (all by default); `keepdim` leaves them with size 1."""

    def _reduced(self, ops: Tape, var: Var, axes: Sequence[int], keepdim: bool) -> Self:
        if keepdim:
            var = ops.reshape(var, [1 if a in axes else n for a, n in enumerate(self.shape)])
        return self.wrap(var)

    def _reduce(self, kind: ReduceKind, dim: Axes, keepdim: bool, dtype: DType | None) -> Self:
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        x = self.read() if dtype is None else ops.cast(self.read(), dtype)
        if ops.dtype_of(x).is_bool:
            kind = _OF_BOOLS.get(kind, kind)
        return self._reduced(ops, ops.reduce(kind, x, axes), axes, keepdim)

    @planned
    @takes_numpy_names
    def sum(self, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Self:
        """The sum along `dim`; bools and integers are added in int64."""
        return self._reduce(ReduceKind.ADD, dim, keepdim, dtype or self._sum_dtype())

    @planned
    @takes_numpy_names
    def prod(
        self, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Self:
        """The product along `dim`; bools and integers are multiplied in int64."""
        return self._reduce(ReduceKind.MUL, dim, keepdim, dtype or self._sum_dtype())

    def _sum_dtype(self) -> DType:
        return self.dtype if self.dtype.is_float else int64

    @planned
    @takes_numpy_names
    def mean(self, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Self:
        """The arithmetic mean along `dim`, of floats, or of what `dtype` makes floats."""
        if dtype is not None and dtype.is_float:
            return self.wrap(self.builder().cast(self.read(), dtype)).mean(dim, keepdim)
        require_float(self, "mean")
        if dtype is not None:
            raise located(
                DTypeError(
                    "the mean is a float",
                    code="PG201",
                    expected="a float dtype",
                    found=dtype.name,
                    hint="convert the result: x.mean().to(dtype)",
                )
            )
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        return self._reduced(ops, compositions.mean(ops, self.read(), axes), axes, keepdim)

    @planned
    @takes_numpy_names
    def var(
        self,
        dim: Axes = None,
        *,
        correction: float = 1,
        unbiased: bool | None = None,
        keepdim: bool = False,
    ) -> Self:
        """The variance along `dim`: squared deviations, summed and divided by n - correction."""
        require_float(self, "var")
        if unbiased is not None:
            correction = int(unbiased)
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        total = compositions.variance(ops, self.read(), axes, correction)
        return self._reduced(ops, total, axes, keepdim)

    @planned
    @takes_numpy_names
    def std(
        self,
        dim: Axes = None,
        *,
        correction: float = 1,
        unbiased: bool | None = None,
        keepdim: bool = False,
    ) -> Self:
        """The square root of the variance; where that is 0, so is the gradient."""
        spread = self.var(dim, correction=correction, unbiased=unbiased, keepdim=keepdim)
        return spread.wrap(compositions.root(spread.builder(), spread.read()))

    @planned
    @takes_numpy_names
    def amax(self, dim: Axes = None, keepdim: bool = False) -> Self:
        """The largest element along `dim`; ties share the gradient evenly."""
        self._require_elements("amax", dim)
        return self._reduce(ReduceKind.MAX, dim, keepdim, None)

    @planned
    @takes_numpy_names
    def amin(self, dim: Axes = None, keepdim: bool = False) -> Self:
        """The smallest element along `dim`; ties share the gradient evenly."""
        self._require_elements("amin", dim)
        return self._reduce(ReduceKind.MIN, dim, keepdim, None)

    def _require_elements(self, what: str, dim: Axes) -> None:
        """Raise AxisError if there is nothing to choose from along `dim`."""
        empty = [axis for axis in normalize_axes(dim, self.ndim) if self.shape[axis] == 0]
        if empty:
            raise located(
                AxisError(
                    f"{what} chooses an element, and axis {empty[0]} has no element",
                    code="PG114",
                    expected="at least one element to choose from",
                    found=f"shape {list(self.shape)}",
                    hint="handle the empty tensor before, or reduce another axis",
                )
            )

    @planned
    @takes_numpy_names
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """The int64 index of the first largest element along `dim`, or of the flattened tensor."""
        return self._argreduce(ArgReduceKind.MAX, dim, keepdim)

    @planned
    @takes_numpy_names
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """The int64 index of the first smallest element along `dim`, or of the flattened tensor."""
        return self._argreduce(ArgReduceKind.MIN, dim, keepdim)

    def _argreduce(self, kind: ArgReduceKind, dim: int | None, keepdim: bool) -> Self:
        self._require_elements(f"arg{kind}", dim)
        ops, x = self.builder(), self.read()
        if dim is None or self.ndim == 0:
            normalize_axis(dim or 0, self.ndim)
            index = ops.argreduce(kind, ops.reshape(x, (prod(self.shape),)), 0)
            return self._reduced(ops, index, range(self.ndim), keepdim)
        axis = normalize_axis(dim, self.ndim)
        return self._reduced(ops, ops.argreduce(kind, x, axis), (axis,), keepdim)

    @overload
    def max(self, dim: None = None, keepdim: bool = False) -> Self: ...
    @overload
    def max(self, dim: int, keepdim: bool = False) -> ValuesAndIndices[Self]: ...
    @overload
    def max(self, dim: TensorCore) -> Self: ...
    @takes_numpy_names
    def max(
        self, dim: int | TensorCore | None = None, keepdim: bool = False
    ) -> Self | ValuesAndIndices[Self]:
        """The largest element; with `dim` also the indices, and gradients go to those elements.

        Given another tensor, the elementwise maximum. Without `dim`, ties share the gradient.
        """
        if isinstance(dim, TensorCore):
            return self.maximum(dim)
        return self.amax() if dim is None else self._extremum(ArgReduceKind.MAX, dim, keepdim)

    @overload
    def min(self, dim: None = None, keepdim: bool = False) -> Self: ...
    @overload
    def min(self, dim: int, keepdim: bool = False) -> ValuesAndIndices[Self]: ...
    @overload
    def min(self, dim: TensorCore) -> Self: ...
    @takes_numpy_names
    def min(
        self, dim: int | TensorCore | None = None, keepdim: bool = False
    ) -> Self | ValuesAndIndices[Self]:
        """The smallest element; with `dim` also the indices, and gradients go to those elements.

        Given another tensor, the elementwise minimum. Without `dim`, ties share the gradient.
        """
        if isinstance(dim, TensorCore):
            return self.minimum(dim)
        return self.amin() if dim is None else self._extremum(ArgReduceKind.MIN, dim, keepdim)

    def _extremum(self, kind: ArgReduceKind, dim: int, keepdim: bool) -> ValuesAndIndices[Self]:
        axis = normalize_axis(dim, self.ndim)
        if self.ndim == 0:
            return ValuesAndIndices(self.wrap(self.read()), self._argreduce(kind, None, False))
        self._require_elements(str(kind), dim)
        index = self._argreduced(str(kind), axis, keepdim)
        return ValuesAndIndices(self._at(index, axis, keepdim), index)

    @planned
    def _argreduced(self, kind: str, axis: int, keepdim: bool) -> Self:
        ops = self.builder()
        index = ops.argreduce(ArgReduceKind(kind), self.read(), axis)
        return self._reduced(ops, index, (axis,), keepdim)

    @planned_operands(tensors=("index",))
    def _at(self, index: TensorCore, axis: int, keepdim: bool) -> Self:
        """The elements along an axis that `index` names, which lacks it or has it with size 1."""
        ops = self.builder()
        shape = [size for place, size in enumerate(self.shape) if place != axis]
        values = compositions.picked(ops, self.read(), ops.reshape(index.read(), shape), axis)
        return self._reduced(ops, values, (axis,), keepdim)

    @planned
    @takes_numpy_names
    def all(self, dim: Axes = None, keepdim: bool = False) -> Self:
        """Whether all elements along `dim` are other than 0: a bool, of uint8 a uint8."""
        return self._like_truth(self._reduce(ReduceKind.AND, dim, keepdim, bool_))

    @planned
    @takes_numpy_names
    def any(self, dim: Axes = None, keepdim: bool = False) -> Self:
        """Whether any element along `dim` is other than 0: a bool, of uint8 a uint8."""
        return self._like_truth(self._reduce(ReduceKind.OR, dim, keepdim, bool_))

    def _like_truth(self, result: Self) -> Self:
        """The result of `all` or `any` as PyTorch has it, where uint8 once stood for bool."""
        if self.dtype is not uint8:
            return result
        return self.wrap(self.builder().cast(result.read(), uint8))

    @planned
    @takes_numpy_names
    def softmax(self, dim: int, dtype: DType | None = None) -> Self:
        """exp(x) / sum(exp(x)) along `dim`."""
        return self._along(compositions.softmax, "softmax", dim, dtype)

    @planned
    @takes_numpy_names
    def log_softmax(self, dim: int, dtype: DType | None = None) -> Self:
        """The logarithm of the softmax along `dim`."""
        return self._along(compositions.log_softmax, "log_softmax", dim, dtype)

    @planned
    @takes_numpy_names
    def logsumexp(self, dim: Axes, keepdim: bool = False) -> Self:
        """log(sum(exp(x))) along `dim`; of integers in float32."""
        ops, axes = self.builder(), normalize_axes(dim, self.ndim)
        x = ops.cast(self.read(), float_type(self))
        return self._reduced(ops, compositions.logsumexp(ops, x, axes), axes, keepdim)

    def _along(
        self,
        function: Callable[[Tape, Var, Sequence[int]], Var],
        what: str,
        dim: int,
        dtype: DType | None,
    ) -> Self:
        if dtype is None:
            require_float(self, what)
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        x = ops.cast(self.read(), dtype or self.dtype)
        return self.wrap(function(ops, x, (axis,) if self.ndim else ()))
