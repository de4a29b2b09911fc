"""Comparisons."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import bool_, int32
from picograd.dialects.tensor import CompareKind
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.arithmetic import is_operand, plain
from picograd.frontend.plans.planned import planned, planned_pair
from picograd.frontend.promotion import (
    broadcast_vars,
    common_device,
    result_type,
)


class Comparison(TensorCore):
    """`a < b` and the like give bool tensors."""

    def _compare(self, kind: CompareKind, other: Operand) -> Self:
        pair = (self, plain(other))
        common_device(pair)
        ops, dtype = self.builder(), result_type(*pair)
        if dtype.is_bool and kind not in (CompareKind.EQ, CompareKind.NE):
            dtype = int32  # False is less than True
        a, b = broadcast_vars(ops, pair, dtype)
        return self.wrap(ops.compare(kind, a, b))

    @planned_pair
    def eq(self, other: Operand) -> Self:
        """self == other, elementwise."""
        return self._compare(CompareKind.EQ, other)

    @planned_pair
    def ne(self, other: Operand) -> Self:
        """self != other, elementwise; true for NaN."""
        return self._compare(CompareKind.NE, other)

    @planned_pair
    def lt(self, other: Operand) -> Self:
        """self < other, elementwise."""
        return self._compare(CompareKind.LT, other)

    @planned_pair
    def le(self, other: Operand) -> Self:
        """self <= other, elementwise."""
        return self._compare(CompareKind.LE, other)

    @planned_pair
    def gt(self, other: Operand) -> Self:
        """self > other, elementwise."""
        return self._compare(CompareKind.GT, other)

    @planned_pair
    def ge(self, other: Operand) -> Self:
        """self >= other, elementwise."""
        return self._compare(CompareKind.GE, other)

    @planned
    def isnan(self) -> Self:
        """Where the elements are NaN."""
        ops, x = self.builder(), self.read()
        return self.wrap(ops.compare(CompareKind.NE, x, x))

    @planned
    def logical_not(self) -> Self:
        """Where the elements are 0."""
        ops = self.builder()
        return self.wrap(ops.unary("not", ops.cast(self.read(), bool_)))

    def __eq__(self, other: Operand) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not is_operand(other):
            return NotImplemented  # so that `tensor == None` is False
        return self.eq(other)

    def __ne__(self, other: Operand) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not is_operand(other):
            return NotImplemented  # so that `tensor == None` is False
        return self.ne(other)

    __hash__ = TensorCore.__hash__
    """By identity: tensors are keys of optimizer state."""

    @planned_pair
    def __lt__(self, other: Operand) -> Self:
        return self.lt(other)

    @planned_pair
    def __le__(self, other: Operand) -> Self:
        return self.le(other)

    @planned_pair
    def __gt__(self, other: Operand) -> Self:
        return self.gt(other)

    @planned_pair
    def __ge__(self, other: Operand) -> Self:
        return self.ge(other)
