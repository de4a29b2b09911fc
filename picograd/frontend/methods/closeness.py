"""Whether two tensors are equal, or nearly so."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import int32
from picograd.dialects.tensor import ReduceKind
from picograd.errors import DTypeError
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.methods.copying import Copying
from picograd.frontend.plans.planned import planned, planned_pair
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT, broadcast_vars, common_device, result_type


class Closeness(Copying):
    """`equal` and `allclose` read the data, so they are not for compiled functions."""

    def __contains__(self, item: object) -> bool:
        """Whether any element equals the item, a number or a tensor that broadcasts."""
        ops, pair = self.builder(), (self, plain(item))
        common_device(pair)
        found = ops.compare("eq", *broadcast_vars(ops, pair, result_type(*pair)))
        axes = range(len(ops.shape_of(found)))
        return bool(self.wrap(ops.reduce(ReduceKind.MAX, ops.cast(found, int32), tuple(axes))))

    @planned_operands(tensors=("other",))
    def isclose(
        self,
        other: TensorCore,
        rtol: float = 1e-5,
        atol: float = 1e-8,
        equal_nan: bool = False,
    ) -> Self:
        """Where |self - other| <= atol + rtol * |other|; equal infinities are close."""
        common_device((self, other))
        if self.dtype is not other.dtype:
            raise located(
                DTypeError(
                    "isclose compares tensors of one dtype",
                    code="PG202",
                    expected=self.dtype.name,
                    found=other.dtype.name,
                    hint="convert one of them with .to(dtype)",
                )
            )
        ops = self.builder()
        a, b = broadcast_vars(ops, (self, other), self.dtype)
        close = ops.compare("eq", a, b)
        if not self.dtype.is_bool and (rtol or atol):
            if not self.dtype.is_float:
                a, b = ops.cast(a, DEFAULT_FLOAT), ops.cast(b, DEFAULT_FLOAT)
            allowed = ops.add(ops.scale(ops.unary("abs", b), rtol), ops.full_like(b, atol))
            away = ops.unary("abs", ops.sub(a, b))
            finite = ops.compare("lt", away, ops.full_like(away, float("inf")))
            near = ops.binary("and", ops.compare("le", away, allowed), finite)
            close = ops.binary("or", close, near)
        if equal_nan and self.dtype.is_float:
            nan = ops.binary("and", ops.compare("ne", a, a), ops.compare("ne", b, b))
            close = ops.binary("or", close, nan)
        return self.wrap(close)

    def allclose(
        self,
        other: TensorCore,
        rtol: float = 1e-5,
        atol: float = 1e-8,
        equal_nan: bool = False,
    ) -> bool:
        """Whether all elements are close, as `isclose` has it."""
        return bool(self.isclose(other, rtol, atol, equal_nan)._all_true().item())

    def equal(self, other: TensorCore) -> bool:
        """Whether shape and all elements are the same; a NaN equals nothing."""
        if self.cell.device != other.cell.device:
            common_device((self, other))
        known = self.signature
        if (known is None or known is not other.signature) and self.shape != other.shape:
            return False
        return bool(self._is_equal(other).item())

    @planned_pair
    def _is_equal(self, other: TensorCore) -> Self:
        """A 0-d bool: whether all elements are the same."""
        ops = self.builder()
        a, b = broadcast_vars(ops, (self, other), result_type(self, other))
        return self.wrap(ops.compare("eq", a, b))._all_true()

    @planned
    def _all_true(self) -> Self:
        return self.wrap(self.builder().reduce("and", self.read(), range(self.ndim)))
