"""Elements and slices picked by index along an axis, and written there."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Self

import numpy as np

from picograd.dialects.dtypes import DType, int64
from picograd.dialects.tensor import ScatterKind
from picograd.errors import AxisError, DTypeError, IndexOutOfRange, OptionError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import as_var, broadcast_shapes, common_device
from picograd.frontend.storage.views import SliceView


class Picking(TensorCore):
    """gather, scatter and what goes by whole slices: index_select, index_add and their kin.

    An index out of range raises IndexOutOfRange; negative ones count as out of range here, as in
    PyTorch (`x[index]` takes them).
    """

    @planned_operands(tensors=("index",))
    def gather(self, dim: int, index: TensorCore) -> Self:
        """result[i][j] = self[index[i][j]][j] for dim 0, and so on.

        As in PyTorch, `index` may be smaller than the tensor on the other axes.
        """
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        at = self._index("gather", ops, index)
        shape, x = self._rows(ops)
        if len(ops.shape_of(at)) != len(shape):
            raise _rank_error("gather", self, index)
        cut = _cut(ops, x, [*ops.shape_of(at)], axis, "gather")
        return self.wrap(ops.reshape(ops.gather(cut, at, axis), index.shape))

    @planned_operands(tensors=("index",))
    def index_select(self, dim: int, index: TensorCore) -> Self:
        """Whole slices along an axis, for each element of the 1-d `index`."""
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        at = self._vector("index_select", ops, index)
        _, x = self._rows(ops)
        taken = compositions.taken(ops, x, at, axis)
        return self.wrap(taken if self.ndim else ops.reshape(taken, ()))

    @planned_operands(tensors=("index", "src"))
    def scatter(
        self, dim: int, index: TensorCore, src: Operand, *, reduce: str | None = None
    ) -> Self:
        """A copy with src[i][j] written at [index[i][j]][j] for dim 0, and so on.

        `src` may be a number. Where several meet, the last one is written.
        """
        if reduce is not None:
            raise located(
                OptionError(
                    "scatter writes; it does not combine",
                    code="PG801",
                    expected="no `reduce`",
                    found=repr(reduce),
                    hint="use scatter_add, or scatter_reduce(dim, index, src, 'sum')",
                )
            )
        return self._scattered("scatter", ScatterKind.SET, dim, index, src)

    @planned_operands(tensors=("index", "src"))
    def scatter_add(self, dim: int, index: TensorCore, src: TensorCore) -> Self:
        """A copy with src[i][j] added at [index[i][j]][j] for dim 0, and so on."""
        return self._scattered("scatter_add", ScatterKind.ADD, dim, index, src)

    def scatter_reduce(
        self,
        dim: int,
        index: TensorCore,
        src: TensorCore,
        reduce: str,
        *,
        include_self: bool = True,
    ) -> Self:
        """As `scatter_add`, with `reduce` "sum" or "mean"; "mean" divides by how many meet.

        Without `include_self` an element that something is written to starts from 0.
        """
        if reduce not in ("sum", "mean"):
            raise located(
                OptionError(
                    f"scatter_reduce does not combine by {reduce!r}",
                    code="PG801",
                    expected="'sum' or 'mean'",
                    found=repr(reduce),
                    hint="compute the others with a mask and amax(), amin() or prod()",
                )
            )
        start = self if include_self else self.scatter(dim, index, 0)
        total = start.scatter_add(dim, index, src)
        if reduce == "sum":
            return total
        ops, ones = self.builder(), self.wrap(self.builder().full(src.shape, 1, int64))
        known = ops.full(self.shape, 1, int64)
        count = self.wrap(known if include_self else ops.full_like(known, 0))
        count = count.scatter_add(dim, index, ones)
        by = ops.binary("maximum", count.read(), known)
        divisor = ops.cast(by, self.dtype)
        kind = "div" if self.dtype.is_float else "floordiv"
        return self.wrap(ops.binary(kind, total.read(), divisor))

    @planned_operands("alpha", tensors=("index", "source"))
    def index_add(
        self, dim: int, index: TensorCore, source: TensorCore, *, alpha: Operand = 1
    ) -> Self:
        """A copy with slices of alpha * source added to those that the 1-d `index` names."""
        return self._by_slices("index_add", ScatterKind.ADD, dim, index, source, alpha)

    @planned_operands(tensors=("index", "source"))
    def index_copy(self, dim: int, index: TensorCore, source: TensorCore) -> Self:
        """A copy with slices of `source` in place of those that the 1-d `index` names."""
        return self._by_slices("index_copy", ScatterKind.SET, dim, index, source, 1)

    def index_fill(self, dim: int, index: TensorCore, value: Operand) -> Self:
        """A copy with one value in all slices that the 1-d `index` names."""
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        shape = [*self.shape] or [1]
        shape[axis] = int(np.prod(index.shape))
        var = ops.broadcast(as_var(ops, plain(value), self.dtype), shape)
        return self._by_slices("index_fill", ScatterKind.SET, dim, index, self.wrap(var), 1)

    @planned_operands("value", tensors=("mask",))
    def masked_fill(self, mask: TensorCore, value: Operand) -> Self:
        """A copy with `value`, a number or 0-d tensor, where the bool `mask` is true."""
        value = plain(value)
        common_device((self, mask, value))
        if not mask.dtype.is_bool or (isinstance(value, TensorCore) and value.ndim):
            raise located(
                DTypeError(
                    "masked_fill writes one value where a bool mask is true",
                    code="PG206",
                    expected="a bool mask, and a number or 0-d tensor",
                    found=f"a mask of {mask.dtype.name}, and {_shown(value)}",
                    hint="make the mask by a comparison; use torch.where for a tensor of values",
                )
            )
        ops, shape = self.builder(), broadcast_shapes(self.shape, mask.shape)
        x = ops.broadcast(self.read(), shape)
        new = as_var(ops, value, self.dtype, shape)
        return self.wrap(ops.select(ops.broadcast(mask.read(), shape), new, x))

    # Refused: the data decides about the shape

    def nonzero(self, *, as_tuple: bool = False) -> Self:
        """Refused: how many elements are other than 0 is known to the data only."""
        raise _shape_of_data("nonzero", "use a mask: x != 0, with torch.where or a sum")

    def masked_select(self, mask: TensorCore) -> Self:
        """Refused: how many elements a mask selects is known to the data only."""
        raise _shape_of_data("masked_select", "use torch.where(mask, x, other)")

    # What they share

    def _rows(self, ops: Tape) -> tuple[tuple[int, ...], Var]:
        """The shape and value, where a 0-d tensor has one axis of size 1."""
        shape = self.shape or (1,)
        return shape, ops.reshape(self.read(), shape)

    def _index(self, what: str, ops: Tape, index: TensorCore) -> Var:
        """The value of an index tensor. Raises DTypeError unless it holds integers."""
        common_device((self, index))
        if index.dtype.name not in ("int32", "int64"):
            raise located(
                DTypeError(
                    f"{what}: an index tensor holds integers",
                    code="PG122",
                    expected="int32 or int64",
                    found=index.dtype.name,
                    hint="convert it: index.long()",
                )
            )
        return ops.reshape(index.read(), index.shape or (1,))

    def _vector(self, what: str, ops: Tape, index: TensorCore) -> Var:
        at = self._index(what, ops, index)
        if index.ndim > 1:
            raise located(
                AxisError(
                    f"{what} takes an index of one axis",
                    code="PG104",
                    expected="one axis",
                    found=list(index.shape),
                    hint="flatten the index, or write x[index]",
                )
            )
        return at

    def _scattered(
        self, what: str, kind: ScatterKind, dim: int, index: TensorCore, src: Operand
    ) -> Self:
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        src = plain(src)
        common_device((self, index, src))
        at = self._index(what, ops, index)
        shape, x = self._rows(ops)
        sizes = ops.shape_of(at)
        if len(sizes) != len(shape):
            raise _rank_error(what, self, index)
        if isinstance(src, TensorCore):
            if src.dtype is not self.dtype:
                raise _dtype_error(what, src.dtype, self.dtype)
            updates = ops.reshape(src.read(), src.shape or (1,))
            if len(ops.shape_of(updates)) != len(shape):
                raise _rank_error(what, self, src)
            updates = _cut(ops, updates, sizes, None, what)
        else:
            updates = as_var(ops, src, self.dtype, sizes)
        check_writable(what, shape[axis], sizes)
        inner = _cut(ops, x, sizes, axis, what)
        result = _add_or_set(ops, kind, inner, at, updates, axis)
        return self.wrap(ops.reshape(_put_back(ops, x, result), self.shape))

    def _by_slices(
        self,
        what: str,
        kind: ScatterKind,
        dim: int,
        index: TensorCore,
        source: TensorCore,
        alpha: Operand,
    ) -> Self:
        ops, axis = self.builder(), normalize_axis(dim, self.ndim)
        common_device((self, index, source))
        at = self._vector(what, ops, index)
        if source.dtype is not self.dtype:
            raise _dtype_error(what, source.dtype, self.dtype)
        shape, x = self._rows(ops)
        count = ops.shape_of(at)[0]
        wanted = (*shape[:axis], count, *shape[axis + 1 :])
        if (source.shape or (1,)) != wanted:
            raise located(
                ShapeError(
                    f"{what}: the source holds one slice for each index",
                    code="PG124",
                    expected=list(wanted),
                    found=list(source.shape),
                    hint="reshape or expand the source",
                )
            )
        updates = ops.reshape(source.read(), wanted)
        if not (isinstance(alpha, int | float) and alpha == 1):
            updates = ops.mul(updates, as_var(ops, alpha, self.dtype, wanted))
        along = [count if a == axis else 1 for a in range(len(shape))]
        spread = ops.broadcast(ops.reshape(at, along), wanted)
        result = _add_or_set(ops, kind, x, spread, updates, axis)
        return self.wrap(ops.reshape(result, self.shape))


def check_writable(what: str, size: int, sizes: Sequence[int]) -> None:
    """Raise IndexOutOfRange where indices of some sizes write along an axis that has no elements.

    Whatever they are, they are out of range; and no device would look at them.
    """
    if size == 0 and prod(sizes):
        raise located(
            IndexOutOfRange(
                f"{what}: an axis without elements is written to",
                code="PG121",
                expected="no index, or an axis of one element or more",
                found=f"{prod(sizes)} indices, and an axis of size 0",
                hint="leave the call out where the tensor is empty",
            )
        )


def _add_or_set(ops: Tape, kind: ScatterKind, x: Var, at: Var, updates: Var, axis: int) -> Var:
    """A scatter; of bools adding is `or`, so only what is true is added, as a count."""
    if kind is ScatterKind.SET or not ops.dtype_of(x).is_bool:
        return ops.scatter(kind, x, at, updates, axis)
    counts = ops.scatter(kind, ops.cast(x, int64), at, ops.cast(updates, int64), axis)
    return ops.compare("ne", counts, ops.full_like(counts, 0))


def _cut(ops: Tape, x: Var, sizes: tuple[int, ...] | list[int], axis: int | None, what: str) -> Var:
    """The first elements of x: as many as `sizes` says on each axis, all along `axis`."""
    shape = ops.shape_of(x)
    limits = [n if a == axis else m for a, (n, m) in enumerate(zip(shape, sizes, strict=True))]
    if any(limit > size for limit, size in zip(limits, shape, strict=True)):
        raise located(
            ShapeError(
                f"{what}: the index is larger than a tensor that it belongs to",
                code="PG124",
                expected=f"at most {list(shape)}"
                + ("" if axis is None else f" but on axis {axis}"),
                found=list(sizes),
                hint="slice the index",
            )
        )
    return ops.slice(x, [0] * len(shape), limits, [1] * len(shape))


def _put_back(ops: Tape, x: Var, part: Var) -> Var:
    """x with its first elements replaced by `part`."""
    shape, sizes = ops.shape_of(x), ops.shape_of(part)
    if shape == sizes:
        return part
    view = SliceView((0,) * len(shape), sizes, (1,) * len(shape))
    return view.write(ops, x, part)


def _rank_error(what: str, tensor: TensorCore, other: TensorCore) -> ShapeError:
    return located(
        ShapeError(
            f"{what}: index and source have the tensor's rank",
            code="PG124",
            expected=f"{tensor.ndim} axes, as {list(tensor.shape)}",
            found=list(other.shape),
            hint="reshape or expand them first",
        )
    )


def _dtype_error(what: str, found: DType, wanted: DType) -> DTypeError:
    return located(
        DTypeError(
            f"{what}: what is written has the tensor's dtype",
            code="PG205",
            expected=wanted.name,
            found=found.name,
            hint=f"convert it: src.to(torch.{wanted.name})",
        )
    )


def _shape_of_data(what: str, hint: str) -> ShapeError:
    return located(
        ShapeError(
            f"the shape of the result of {what} depends on the data",
            code="PG108",
            expected="shapes known before the program runs",
            found=what,
            hint=hint,
        )
    )


def _shown(value: Operand) -> str:
    return f"a tensor of shape {list(value.shape)}" if isinstance(value, TensorCore) else "a number"
