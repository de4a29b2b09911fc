"""Products of matrices and vectors under the names that say what shapes they take."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Self

from picograd.errors import ShapeError
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.methods.shape_ops import ShapeOps
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import as_var, broadcast_shapes, common_device, result_type


class Products(ShapeOps):
    """Unlike `matmul`, these do not broadcast, and each takes operands of one rank."""

    def mm(self, mat2: TensorCore) -> Self:
        """The product of two matrices."""
        return self._ranked_product("mm", mat2, 2, 2)

    def bmm(self, mat2: TensorCore) -> Self:
        """The products of two batches of matrices."""
        self._same_batch("bmm", self, mat2)
        return self._ranked_product("bmm", mat2, 3, 3)

    def mv(self, vec: TensorCore) -> Self:
        """A matrix times a vector."""
        return self._ranked_product("mv", vec, 2, 1)

    def dot(self, tensor: TensorCore) -> Self:
        """The inner product of two vectors."""
        return self._ranked_product("dot", tensor, 1, 1)

    @planned_operands("beta", "alpha", tensors=("mat1", "mat2"))
    def addmm(
        self, mat1: TensorCore, mat2: TensorCore, *, beta: Operand = 1, alpha: Operand = 1
    ) -> Self:
        """beta * self + alpha * (mat1 @ mat2)."""
        return self._added("addmm", mat1, mat2, (2, 2), beta, alpha)

    def baddbmm(
        self, batch1: TensorCore, batch2: TensorCore, *, beta: Operand = 1, alpha: Operand = 1
    ) -> Self:
        """beta * self + alpha * (batch1 @ batch2), for batches of matrices."""
        self._same_batch("baddbmm", batch1, batch2)
        return self._added("baddbmm", batch1, batch2, (3, 3), beta, alpha)

    def addmv(
        self, mat: TensorCore, vec: TensorCore, *, beta: Operand = 1, alpha: Operand = 1
    ) -> Self:
        """beta * self + alpha * (mat @ vec)."""
        return self._added("addmv", mat, vec, (2, 1), beta, alpha)

    @planned_operands(tensors=("vec2",))
    def outer(self, vec2: TensorCore) -> Self:
        """result[i][j] = self[i] * vec2[j]."""
        common_device((self, vec2))
        _require_ranks("outer", (self, vec2), (1, 1))
        ops, dtype = self.builder(), result_type(self, vec2)
        shape = (self.shape[0], vec2.shape[0])
        left = ops.reshape(as_var(ops, self, dtype), (shape[0], 1))
        column, row = ops.broadcast(left, shape), as_var(ops, vec2, dtype, shape)
        kind = "and" if dtype.is_bool else "mul"
        return self.wrap(ops.binary(kind, column, row))

    def inner(self, other: TensorCore) -> Self:
        """Sums of products along the last axis of both."""
        if self.ndim == 0 or other.ndim == 0:
            common_device((self, other))
            ops, dtype = self.builder(), result_type(self, other)
            shape = broadcast_shapes(self.shape, other.shape)
            return self.wrap(
                ops.mul(as_var(ops, self, dtype, shape), as_var(ops, other, dtype, shape))
            )
        return self.tensordot(other, ([-1], [-1]))

    def tensordot(
        self, other: TensorCore, dims: int | Sequence[int] | Sequence[Sequence[int]] = 2
    ) -> Self:
        """Sums of products over axes: the last `dims` of self with the first of `other`, or lists.

        The result has the other axes of both, in order.
        """
        common_device((self, other))
        if isinstance(dims, int):
            mine = list(range(self.ndim - dims, self.ndim))
            theirs = list(range(dims))
        else:
            first, second = dims
            mine = [first] if isinstance(first, int) else list(first)
            theirs = [second] if isinstance(second, int) else list(second)
        mine = [normalize_axis(axis, self.ndim) for axis in mine]
        theirs = [normalize_axis(axis, other.ndim) for axis in theirs]
        sizes = [self.shape[axis] for axis in mine]
        if sizes != [other.shape[axis] for axis in theirs]:
            raise located(
                ShapeError(
                    "tensordot: the axes that are summed over differ",
                    code="PG103",
                    expected=sizes,
                    found=[other.shape[axis] for axis in theirs],
                    hint="list the axes of both tensors in the same order",
                )
            )
        ops, dtype = self.builder(), result_type(self, other)
        left = [axis for axis in range(self.ndim) if axis not in mine]
        right = [axis for axis in range(other.ndim) if axis not in theirs]
        rows = [self.shape[axis] for axis in left]
        columns = [other.shape[axis] for axis in right]
        a = ops.permute(as_var(ops, self, dtype), [*left, *mine])
        b = ops.permute(as_var(ops, other, dtype), [*theirs, *right])
        product = ops.matmul(
            ops.reshape(a, (prod(rows), prod(sizes))), ops.reshape(b, (prod(sizes), prod(columns)))
        )
        return self.wrap(ops.reshape(product, (*rows, *columns)))

    def kron(self, other: TensorCore) -> Self:
        """The Kronecker product: `other` times each element of self, in self's place."""
        common_device((self, other))
        rank = max(self.ndim, other.ndim)
        old = (*[1] * (rank - self.ndim), *self.shape)
        new = (*[1] * (rank - other.ndim), *other.shape)
        ops, dtype = self.builder(), result_type(self, other)
        shape = [size for pair in zip(old, new, strict=True) for size in pair]
        outer = [size for n in old for size in (n, 1)]
        inner = [size for n in new for size in (1, n)]
        a = ops.broadcast(ops.reshape(as_var(ops, self, dtype), outer), shape)
        b = ops.broadcast(ops.reshape(as_var(ops, other, dtype), inner), shape)
        product = ops.binary("and" if dtype.is_bool else "mul", a, b)
        return self.wrap(ops.reshape(product, [n * m for n, m in zip(old, new, strict=True)]))

    def _ranked_product(self, what: str, other: TensorCore, left: int, right: int) -> Self:
        _require_ranks(what, (self, other), (left, right))
        return self.matmul(other)

    def _same_batch(self, what: str, a: TensorCore, b: TensorCore) -> None:
        if a.shape[:1] != b.shape[:1]:
            raise located(
                ShapeError(
                    f"{what} takes batches of one size",
                    code="PG102",
                    expected=list(a.shape[:1]),
                    found=list(b.shape[:1]),
                    hint="expand one of them, or use matmul, which broadcasts",
                )
            )

    def _added(
        self,
        what: str,
        a: TensorCore,
        b: TensorCore,
        ranks: tuple[int, int],
        beta: Operand,
        alpha: Operand,
    ) -> Self:
        common_device((self, a, b))
        _require_ranks(what, (a, b), ranks)
        product = self.wrap(a.read()).matmul(b)
        if broadcast_shapes(self.shape, product.shape) != product.shape:
            raise located(
                ShapeError(
                    f"{what}: what is added does not fit the product",
                    code="PG101",
                    expected=f"a shape that broadcasts to {list(product.shape)}",
                    found=list(self.shape),
                    hint="reshape it, or add it to the product yourself",
                )
            )
        ops, dtype = self.builder(), result_type(self, product)
        value = as_var(ops, product, dtype)
        if not _is_one(alpha):
            value = ops.mul(value, as_var(ops, alpha, dtype, product.shape))
        if isinstance(beta, int | float) and beta == 0:
            return self.wrap(value)  # so that NaN and infinity in self do not count
        mine = as_var(ops, self, dtype)
        if not _is_one(beta):
            mine = ops.mul(mine, as_var(ops, beta, dtype, self.shape))
        return self.wrap(ops.add(ops.broadcast(mine, product.shape), value))


def _is_one(number: Operand) -> bool:
    return isinstance(number, int | float) and number == 1


def _require_ranks(what: str, tensors: Sequence[TensorCore], ranks: Sequence[int]) -> None:
    names = {1: "a vector", 2: "a matrix", 3: "a batch of matrices"}
    if [tensor.ndim for tensor in tensors] != list(ranks):
        raise located(
            ShapeError(
                f"{what} takes {' and '.join(names[rank] for rank in ranks)}",
                code="PG104",
                expected=" and ".join(f"rank {rank}" for rank in ranks),
                found=" and ".join(str(list(tensor.shape)) for tensor in tensors),
                hint="reshape the operands, or use matmul, which takes all ranks",
            )
        )
