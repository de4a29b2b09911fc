"""Views under other shapes, and matrix products.

`permute`, `expand`, `squeeze` and the like are views: they share storage with their operand.
`reshape` is one where the elements lie so that no copy is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from operator import index
from typing import Self, cast

from picograd.errors import IndexOutOfRange, OperandError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.plans.planned import planned, planned_pair
from picograd.frontend.plans.planned_views import planned_view
from picograd.frontend.problems import located
from picograd.frontend.promotion import (
    as_var,
    broadcast_shapes,
    common_device,
    result_type,
)
from picograd.frontend.storage.views import ExpandView, PermuteView, ReshapeView, SliceView


def shape_argument(sizes: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """The sizes of `f(2, 3)`, `f((2, 3))` or `f([2, 3])`. Raises OperandError."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], Iterable) else sizes
    try:
        return tuple(index(size) for size in cast(Sequence[int], given))
    except TypeError as error:
        raise located(
            OperandError(
                "a size is no whole number",
                code="PG107",
                expected="whole numbers, such as (2, 3)",
                found=given,
                hint="convert them: int(size)",
            )
        ) from error


def checked_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape. Raises ShapeError for negative sizes."""
    if any(size < 0 for size in shape):
        raise located(
            ShapeError(
                "a size is negative",
                code="PG107",
                expected="sizes of 0 or more",
                found=list(shape),
                hint="-1 is understood by reshape, view and expand only",
            )
        )
    return shape


def complete_shape(shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """A shape in which -1, at most once, is replaced by what is left. Raises ShapeError."""
    known = prod(size for size in shape if size != -1)
    unknown = list(shape).count(-1)
    fits = elements == known if not unknown else known and elements % known == 0
    if unknown > 1 or any(size < -1 for size in shape) or not fits:
        raise located(
            ShapeError(
                f"{elements} elements do not fill the shape {list(shape)}",
                code="PG105",
                expected="sizes whose product is the number of elements; one may be -1",
                found=list(shape),
                hint="choose sizes with that product, or let one be -1",
            )
        )
    return tuple(elements // known if size == -1 else size for size in shape)


class ShapeOps(TensorCore):
    """Views and copies under other shapes, products of matrices."""

    def numel(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @planned_view
    def reshape(self, *shape: int | Sequence[int]) -> Self:
        """The same elements under another shape: a view where possible, else a copy."""
        target = complete_shape(shape_argument(shape), self.numel())
        view = self.reshaped(target)
        return self.contiguous().reshape(target) if view is None else view

    @planned_view
    def view(self, *shape: int | Sequence[int]) -> Self:
        """A view under another shape.

        Raises ShapeError when the elements would have to be copied.
        """
        target = complete_shape(shape_argument(shape), self.numel())
        view = self.reshaped(target)
        if view is None:
            raise located(
                ShapeError(
                    f"no view of shape {list(target)} shows this tensor without copying",
                    code="PG106",
                    expected="axes that lie next to each other in memory",
                    found=f"shape {list(self.shape)}, strides {list(self.stride())}",
                    hint="use .reshape(), which copies when it must",
                )
            )
        return view

    @planned
    def contiguous(self) -> Self:
        """The tensor itself if its elements lie in row-major order, else a copy that does."""
        return self if self.is_contiguous() else self.wrap(self.read())

    @planned_view
    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """Merge the axes from `start_dim` to `end_dim`."""
        first, last = normalize_axis(start_dim, self.ndim), normalize_axis(end_dim, self.ndim)
        if self.ndim == 0:
            return self.reshape(1)
        if first > last:
            raise located(
                ShapeError(
                    "flatten: start_dim comes after end_dim",
                    code="PG118",
                    expected="start_dim <= end_dim",
                    found=f"{start_dim} and {end_dim}",
                    hint="swap start_dim and end_dim",
                )
            )
        if first == last:
            return self
        merged = prod(self.shape[first : last + 1])
        return self.reshape((*self.shape[:first], merged, *self.shape[last + 1 :]))

    @planned_view
    def permute(self, *order: int | Sequence[int], dims: Sequence[int] | None = None) -> Self:
        """Axes in another order: axis i of the result is axis dims[i]."""
        named = shape_argument(order) if dims is None else tuple(dims)
        axes = [normalize_axis(axis, self.ndim) for axis in named]
        if sorted(axes) != list(range(self.ndim)):
            raise located(
                ShapeError(
                    "permute lists every axis once",
                    code="PG118",
                    expected=f"a permutation of {list(range(self.ndim))}",
                    found=list(named),
                    hint="name every axis of the tensor exactly once",
                )
            )
        return self.with_views(PermuteView(tuple(axes)))

    @planned_view
    def transpose(self, dim0: int, dim1: int) -> Self:
        """Swap two axes."""
        order = list(range(self.ndim))
        a, b = normalize_axis(dim0, self.ndim), normalize_axis(dim1, self.ndim)
        if self.ndim:
            order[a], order[b] = order[b], order[a]
        return self.permute(order)

    def t(self) -> Self:
        """The transpose of a matrix; vectors and scalars stay as they are."""
        if self.ndim > 2:
            raise located(
                ShapeError(
                    "t() transposes matrices",
                    code="PG104",
                    expected="at most two axes",
                    found=list(self.shape),
                    hint="use .transpose(dim0, dim1) or .mT",
                )
            )
        return self.T

    @property
    @planned_view
    def T(self) -> Self:
        """All axes in opposite order."""
        return self.permute(list(reversed(range(self.ndim))))

    @property
    @planned_view
    def mT(self) -> Self:
        """The last two axes swapped."""
        return self.transpose(-2, -1)

    @planned_view
    def expand(self, *sizes: int | Sequence[int]) -> Self:
        """A view in which axes of size 1 are repeated; -1 keeps a size."""
        wanted = shape_argument(sizes)
        added = len(wanted) - self.ndim
        kept = [*([0] * max(added, 0)), *self.shape]
        target = tuple(
            kept[axis] if size == -1 and axis >= added else size for axis, size in enumerate(wanted)
        )
        broadcasts = added >= 0 and all(
            old in (1, new) for old, new in zip(self.shape, target[added:], strict=True)
        )
        if not broadcasts or any(size < 0 for size in target):
            raise located(
                ShapeError(
                    f"a tensor of shape {list(self.shape)} does not expand to {list(wanted)}",
                    code="PG101",
                    expected="sizes, from the right, that are equal, or 1 before",
                    found=f"{list(self.shape)} -> {list(wanted)}",
                    hint="expand axes of size 1 only; to repeat values, join copies with cat()",
                )
            )
        return self.with_views(ExpandView(target))

    def broadcast_to(self, *shape: int | Sequence[int]) -> Self:
        """As `expand`."""
        return self.expand(*shape)

    def expand_as(self, other: TensorCore) -> Self:
        """Expanded to the shape of another tensor."""
        return self.expand(other.shape)

    @planned_view
    def squeeze(self, dim: int | Sequence[int] | None = None) -> Self:
        """Drop axes of size 1: all of them, or those of `dim`."""
        if dim is None:
            axes = set(range(self.ndim))
        else:
            listed = [dim] if isinstance(dim, int) else list(dim)
            axes = {normalize_axis(axis, self.ndim) for axis in listed}
        shape = [size for axis, size in enumerate(self.shape) if size != 1 or axis not in axes]
        return self.with_views(ReshapeView(tuple(shape)))

    @planned_view
    def unsqueeze(self, dim: int) -> Self:
        """A new axis of size 1 before axis `dim`."""
        axis = normalize_axis(dim, self.ndim + 1)
        return self.with_views(ReshapeView((*self.shape[:axis], 1, *self.shape[axis:])))

    @planned_view
    def narrow(self, dim: int, start: int, length: int) -> Self:
        """A view of `length` elements from `start` along an axis."""
        axis = self._cut_axis(dim)
        size = self.shape[axis]
        first = start + size if start < 0 else start
        if not 0 <= first <= first + length <= size:
            kind = ShapeError if 0 <= first <= size else IndexOutOfRange
            raise located(
                kind(
                    f"narrow leaves axis {axis}, which has {size} elements",
                    expected=f"0 <= start <= start + length <= {size}",
                    found=f"start {start}, length {length}",
                    hint="choose start and length within the axis",
                )
            )
        starts = [first if a == axis else 0 for a in range(self.ndim)]
        limits = [first + length if a == axis else n for a, n in enumerate(self.shape)]
        return self.with_views(SliceView(tuple(starts), tuple(limits), (1,) * self.ndim))

    def _cut_axis(self, dim: int) -> int:
        """The axis counted from 0, along which parts are taken. Raises ShapeError for rank 0."""
        if self.ndim == 0:
            raise located(
                ShapeError(
                    "a 0-d tensor has no parts",
                    code="PG104",
                    expected="at least one axis",
                    found="shape []",
                    hint="make an axis: x.unsqueeze(0)",
                )
            )
        return normalize_axis(dim, self.ndim)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Views of `split_size` elements along an axis, the last may be smaller; or of the sizes
        listed, which fill the axis.
        """
        axis = self._cut_axis(dim)
        size = self.shape[axis]
        if not isinstance(split_size, int):
            return self._split_with_sizes(tuple(split_size), axis)
        if split_size < 1 and (split_size or size):
            raise located(
                ShapeError(
                    "split sizes are positive",
                    code="PG107",
                    expected="1 or more",
                    found=split_size,
                    hint="pass a positive size for the parts",
                )
            )
        starts = range(0, max(size, 1), split_size or 1)
        return tuple(self.narrow(axis, a, min(split_size, size - a)) for a in starts)

    def _split_with_sizes(self, sizes: tuple[int, ...], axis: int) -> tuple[Self, ...]:
        if sum(sizes) != self.shape[axis] or any(size < 0 for size in sizes):
            raise located(
                ShapeError(
                    f"the sizes of the parts do not fill axis {axis}",
                    code="PG105",
                    expected=f"sizes of 0 or more whose sum is {self.shape[axis]}",
                    found=list(sizes),
                    hint="list a size for each part, or give one size for all",
                )
            )
        starts = [sum(sizes[:part]) for part in range(len(sizes))]
        return tuple(self.narrow(axis, a, n) for a, n in zip(starts, sizes, strict=True))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Self, ...]:
        """At most `chunks` views of equal size along an axis; the last may be smaller."""
        size = self.shape[self._cut_axis(dim)]
        if chunks < 1:
            raise located(
                ShapeError(
                    "a tensor is cut into one chunk or more",
                    code="PG107",
                    expected="1 or more",
                    found=chunks,
                    hint="pass a positive number of chunks",
                )
            )
        return self.split(-(-size // chunks) if size else [0] * chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Self, ...]:
        """A view for each index along an axis, without the axis."""
        axis = normalize_axis(dim, self.ndim)
        return tuple(self.narrow(axis, i, 1).squeeze(axis) for i in range(self.shape[axis]))

    # Products

    @planned_pair
    def matmul(self, other: TensorCore) -> Self:
        """The matrix product; batch axes broadcast, vectors act as a row on the left, a column on
        the right.

        Raises ShapeError for 0-d operands and for inner sizes that differ.
        """
        common_device((self, other))
        if self.ndim == 0 or other.ndim == 0:
            raise located(
                ShapeError(
                    "matmul needs operands with at least one axis",
                    code="PG104",
                    expected="vectors, matrices or batches of matrices",
                    found=f"{list(self.shape)} @ {list(other.shape)}",
                    hint="use * for scalars",
                )
            )
        ops, dtype = self.builder(), result_type(self, other)
        a, b = as_var(ops, self, dtype), as_var(ops, other, dtype)
        return self.wrap(_matmul(ops, a, b))

    def __matmul__(self, other: TensorCore | object) -> Self:
        if not isinstance(other, TensorCore):
            return NotImplemented  # Python refuses it, as for other operators
        return self.matmul(other)


def _matmul(ops: Tape, a: Var, b: Var) -> Var:
    left, right = ops.shape_of(a), ops.shape_of(b)
    if len(left) == 1:
        row = _matmul(ops, ops.reshape(a, (1, *left)), b)
        shape = ops.shape_of(row)
        return ops.reshape(row, (*shape[:-2], shape[-1]) if len(right) > 1 else ())
    if len(right) == 1:
        column = _matmul(ops, a, ops.reshape(b, (*right, 1)))
        return ops.reshape(column, ops.shape_of(column)[:-1])
    if len(right) == 2 and len(left) > 2:
        # One large product instead of a batch of products with the same right operand.
        rows = ops.matmul(ops.reshape(a, (prod(left[:-1]), left[-1])), b)
        return ops.reshape(rows, (*left[:-1], right[-1]))
    batch = broadcast_shapes(left[:-2], right[:-2])
    a = ops.broadcast(a, (*batch, *left[-2:]))
    b = ops.broadcast(b, (*batch, *right[-2:]))
    return ops.matmul(a, b)
