"""Elements in other places: rolled, repeated, turned; and axes under other names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index as as_int
from typing import Self

from picograd.dialects.dtypes import int64
from picograd.errors import ShapeError
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.reductions import Axes, normalize_axes, normalize_axis
from picograd.frontend.methods.shape_ops import ShapeOps, complete_shape, shape_argument
from picograd.frontend.plans.planned import planned
from picograd.frontend.problems import located
from picograd.frontend.promotion import broadcast_shapes, common_device


class Rearranging(ShapeOps):
    """Copies with elements in other places, and more views."""

    # Copies

    @planned
    def roll(self, shifts: int | Sequence[int], dims: Axes = None) -> Self:
        """Elements moved on by `shifts` along `dims`; what leaves at the end comes in at the start.

        Without `dims` the tensor is rolled as if it were flat.
        """
        if dims is None or (isinstance(dims, Sequence) and not dims and isinstance(shifts, int)):
            return self.reshape(-1).roll(shifts, 0).reshape(self.shape)
        moves = [shifts] if isinstance(shifts, int) else list(shifts)
        axes = [dims] if isinstance(dims, int) else list(dims)
        if len(moves) != len(axes):
            raise located(
                ShapeError(
                    "roll takes one shift for each axis",
                    code="PG109",
                    expected=f"{len(axes)} shifts",
                    found=len(moves),
                    hint="list as many shifts as dims",
                )
            )
        ops, var = self.builder(), self.read()
        for move, dim in zip(moves, axes, strict=True):
            axis = normalize_axis(dim, self.ndim)
            size = self.shape[axis] if self.ndim else 0
            cut = -move % size if size else 0
            if cut:
                starts, zeros = [0] * self.ndim, [0] * self.ndim
                limits, steps = list(self.shape), [1] * self.ndim
                starts[axis] = limits[axis] = cut
                end = ops.slice(var, starts, self.shape, steps)
                var = ops.concat([end, ops.slice(var, zeros, limits, steps)], axis)
        return self.wrap(var)

    @planned
    def flip(self, *axes: int | Sequence[int], dims: Sequence[int] | None = None) -> Self:
        """A copy with the elements of some axes in opposite order."""
        named = shape_argument(axes) if dims is None else tuple(dims)
        chosen = normalize_axes(named, self.ndim) if named and self.ndim else ()
        return self.wrap(self.builder().reverse(self.read(), chosen))

    def flipud(self) -> Self:
        """The rows in opposite order."""
        self._needs_rank("flipud", 1)
        return self.flip(0)

    def fliplr(self) -> Self:
        """The columns in opposite order."""
        self._needs_rank("fliplr", 2)
        return self.flip(1)

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Self:
        """Turned `k` times by a right angle, from the first of two axes towards the second."""
        self._needs_rank("rot90", 2)
        axes = [normalize_axis(axis, self.ndim) for axis in dims]
        if len(set(axes)) != 2 or len(axes) != 2:
            raise located(
                ShapeError(
                    "rot90 turns in the plane of two axes",
                    code="PG118",
                    expected="two different axes",
                    found=list(dims),
                    hint="pass dims=(0, 1), or two other axes",
                )
            )
        first, second = axes
        turns = k % 4
        if turns == 1:
            return self.flip(second).transpose(first, second)
        if turns == 2:
            return self.flip(first, second)
        return self.transpose(first, second).flip(second) if turns == 3 else self.flip(())

    def _needs_rank(self, what: str, least: int) -> None:
        if self.ndim < least:
            raise located(
                ShapeError(
                    f"{what} needs a tensor of rank {least} or more",
                    code="PG104",
                    expected=f"at least {least} axes",
                    found=list(self.shape),
                    hint="add axes with unsqueeze()",
                )
            )

    @planned
    def repeat(self, *sizes: int | Sequence[int]) -> Self:
        """Copies beside one another: `sizes` of them along each axis, new axes in front."""
        times = shape_argument(sizes)
        if len(times) < self.ndim or any(count < 0 for count in times):
            raise located(
                ShapeError(
                    "repeat says for each axis how often",
                    code="PG109",
                    expected=f"at least {self.ndim} numbers of 0 or more",
                    found=list(times),
                    hint="write 1 for axes that are not repeated",
                )
            )
        old = (*[1] * (len(times) - self.ndim), *self.shape)
        apart = [size for pair in zip([1] * len(old), old, strict=True) for size in pair]
        wide = [size for pair in zip(times, old, strict=True) for size in pair]
        ops = self.builder()
        spread = ops.broadcast(ops.reshape(self.read(), apart), wide)
        return self.wrap(ops.reshape(spread, [n * m for n, m in zip(times, old, strict=True)]))

    def tile(self, *sizes: int | Sequence[int], dims: Sequence[int] = ()) -> Self:
        """As `repeat`, but with fewer numbers than axes the first axes are not repeated."""
        times = shape_argument(sizes or (dims,))
        return self.repeat((*[1] * (self.ndim - len(times)), *times))

    def repeat_interleave(
        self, repeats: int | TensorCore, dim: int | None = None, *, output_size: int | None = None
    ) -> Self:
        """Each element `repeats` times, one copy after the other, along `dim` (or flattened)."""
        if isinstance(repeats, TensorCore):
            raise located(
                ShapeError(
                    "how often a tensor's elements are repeated is known to the data only",
                    code="PG108",
                    expected="one Python integer for all elements",
                    found="a tensor of repeats",
                    hint="gather with an index that you compute: x[index]",
                )
            )
        if dim is None:
            return self.reshape(-1).repeat_interleave(repeats, 0)
        axis, count = normalize_axis(dim, self.ndim), as_int(repeats)
        if count < 0:
            raise located(
                ShapeError(
                    "repeat_interleave repeats elements a negative number of times",
                    code="PG107",
                    expected="0 or more",
                    found=count,
                    hint="pass a number of 0 or more",
                )
            )
        shape = self.shape or (1,)
        ops, before, after = self.builder(), shape[: axis + 1], shape[axis + 1 :]
        x = ops.reshape(self.read(), (*before, 1, *after))
        spread = ops.broadcast(x, (*before, count, *after))
        return self.wrap(ops.reshape(spread, (*shape[:axis], shape[axis] * count, *after)))

    def take_along_dim(self, indices: TensorCore, dim: int | None = None) -> Self:
        """As `gather`, where sizes of 1 broadcast; without `dim` of the flattened tensor."""
        if dim is None:
            return self.reshape(-1).take_along_dim(indices.wrap(_flat(indices)), 0)
        common_device((self, indices))
        axis, ops = normalize_axis(dim, self.ndim), self.builder()
        if indices.ndim != self.ndim:
            raise located(
                ShapeError(
                    "take_along_dim takes indices of the tensor's rank",
                    code="PG124",
                    expected=f"{self.ndim} axes",
                    found=list(indices.shape),
                    hint="add axes of size 1 to the indices",
                )
            )
        rest = (*self.shape[:axis], 1, *self.shape[axis + 1 :])
        others = (*indices.shape[:axis], 1, *indices.shape[axis + 1 :])
        common = list(broadcast_shapes(rest, others))
        x = ops.broadcast(self.read(), [*common[:axis], self.shape[axis], *common[axis + 1 :]])
        common[axis] = indices.shape[axis]
        index = ops.broadcast(ops.cast(indices.read(), int64), common)
        return self.wrap(ops.gather(x, index, axis))

    # Views

    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """Some axes moved to other places; the others keep their order."""
        froms = [source] if isinstance(source, int) else list(source)
        tos = [destination] if isinstance(destination, int) else list(destination)
        olds = [normalize_axis(axis, self.ndim) for axis in froms]
        news = [normalize_axis(axis, self.ndim) for axis in tos]
        if len(olds) != len(news) or len(set(olds)) != len(olds) or len(set(news)) != len(news):
            raise located(
                ShapeError(
                    "movedim moves each axis to one place",
                    code="PG118",
                    expected="as many sources as destinations, each once",
                    found=f"{froms} to {tos}",
                    hint="list every axis once",
                )
            )
        rest = iter(axis for axis in range(self.ndim) if axis not in olds)
        places = dict(zip(news, olds, strict=True))
        return self.permute([places[n] if n in places else next(rest) for n in range(self.ndim)])

    def moveaxis(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """As `movedim`."""
        return self.movedim(source, destination)

    def swapaxes(self, axis0: int, axis1: int) -> Self:
        """As `transpose`."""
        return self.transpose(axis0, axis1)

    def swapdims(self, dim0: int, dim1: int) -> Self:
        """As `transpose`."""
        return self.transpose(dim0, dim1)

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Self:
        """One axis taken apart into several; one of the sizes may be -1."""
        axis = normalize_axis(dim, self.ndim)
        parts = complete_shape(sizes, self.shape[axis])
        return self.reshape((*self.shape[:axis], *parts, *self.shape[axis + 1 :]))

    def view_as(self, other: TensorCore) -> Self:
        """A view under the shape of another tensor."""
        return self.view(other.shape)

    def reshape_as(self, other: TensorCore) -> Self:
        """Reshaped to the shape of another tensor."""
        return self.reshape(other.shape)

    def ravel(self) -> Self:
        """The elements in one axis."""
        return self.reshape(-1)


def _flat(indices: TensorCore) -> Var:
    ops = indices.builder()
    return ops.reshape(indices.read(), (prod(indices.shape),))
