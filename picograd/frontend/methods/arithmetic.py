"""Arithmetic of two operands, its operators, and its forms in place."""

from __future__ import annotations

from typing import Any, Self, cast

import numpy as np

from picograd.dialects.dtypes import DType
from picograd.dialects.tensor import BinaryKind
from picograd.errors import DTypeError, OperandError, OptionError
from picograd.frontend.autodiff.tape import Tape, Var, unstamped
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.powers import integer_power
from picograd.frontend.plans.planned import planned_in_place, planned_pair
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import (
    as_var,
    broadcast_shapes,
    broadcast_vars,
    common_device,
    float_type,
    require_fit,
    result_type,
)

_OF_BOOLS = {
    BinaryKind.ADD: BinaryKind.OR,
    BinaryKind.MUL: BinaryKind.AND,
    BinaryKind.MAXIMUM: BinaryKind.OR,
    BinaryKind.MINIMUM: BinaryKind.AND,
}
"""What PyTorch computes for these operations on bools."""


def is_operand(value: object) -> bool:
    """Whether arithmetic takes the value: a tensor, or a number of Python or NumPy."""
    return isinstance(value, TensorCore | bool | int | float | np.generic)


def plain(operand: object) -> Operand:
    """The operand, a NumPy scalar as Python number. Raises OperandError for alien types."""
    if isinstance(operand, np.generic):
        return cast(bool | float, cast(Any, operand).item())
    if not isinstance(operand, TensorCore | bool | int | float):
        raise located(
            OperandError(
                f"a {type(operand).__name__} is no operand of tensor arithmetic",
                code="PG207",
                expected="a tensor or a number",
                found=type(operand).__name__,
                hint="make a tensor of it: torch.tensor(…)",
            )
        )
    return operand


def binary(ops: Tape, kind: BinaryKind, a: Var, b: Var) -> Var:
    """A binary op on operands of one type, where bools add and multiply as truth values."""
    if ops.dtype_of(a).is_bool:
        kind = _OF_BOOLS.get(kind, kind)
    return ops.binary(kind, a, b)


class Arithmetic(TensorCore):
    """Operations such as `a + b`; operands promote and broadcast as in PyTorch."""

    def _binary(
        self,
        kind: BinaryKind,
        other: Operand,
        *,
        dtype: DType | None = None,
        swap: bool = False,
        alpha: Operand = 1,
    ) -> Self:
        other = plain(other)
        pair = (other, self) if swap else (self, other)
        common_device((self, other, alpha))
        ops = self.builder()
        dtype = dtype or result_type(*pair)
        a, b = broadcast_vars(ops, pair, dtype)
        return self.wrap(binary(ops, kind, a, _scaled(ops, b, alpha, dtype)))

    def _binary_(
        self,
        kind: BinaryKind,
        other: Operand,
        *,
        dtype: DType | None = None,
        alpha: Operand = 1,
    ) -> Self:
        other = plain(other)
        common_device((self, other, alpha))
        dtype = dtype or result_type(self, other)
        shape = other.shape if isinstance(other, TensorCore) else ()
        require_fit(broadcast_shapes(self.shape, shape), dtype, self)
        ops = self.builder()
        mine = unstamped(as_var(ops, self, dtype))
        operand = _scaled(ops, as_var(ops, other, dtype, self.shape), alpha, dtype)
        return self.write_(ops.cast(binary(ops, kind, mine, operand), self.dtype))

    # Named operations

    @planned_pair
    @planned_operands("other", "alpha")
    def add(self, other: Operand, *, alpha: Operand = 1) -> Self:
        """self + alpha * other."""
        return self._binary(BinaryKind.ADD, other, alpha=alpha)

    @planned_pair
    @planned_operands("other", "alpha")
    def sub(self, other: Operand, *, alpha: Operand = 1) -> Self:
        """self - alpha * other."""
        _require_no_bools(self, other)
        return self._binary(BinaryKind.SUB, other, alpha=alpha)

    @planned_pair
    def mul(self, other: Operand) -> Self:
        """self * other."""
        return self._binary(BinaryKind.MUL, other)

    @planned_pair
    def div(self, other: Operand, *, rounding_mode: str | None = None) -> Self:
        """self / other in floats; `rounding_mode` "floor" or "trunc" rounds and keeps integers."""
        if rounding_mode is None:
            return self._binary(BinaryKind.DIV, other, dtype=float_type(self, plain(other)))
        if rounding_mode == "floor":
            return self._binary(BinaryKind.FLOORDIV, other)
        if rounding_mode == "trunc":
            pair = (self, plain(other))
            common_device(pair)
            ops = self.builder()
            a, b = broadcast_vars(ops, pair, result_type(*pair))
            return self.wrap(compositions.truncated_quotient(ops, a, b))
        raise located(
            OptionError(
                "div rounds in two ways only",
                code="PG801",
                expected="rounding_mode None, 'floor' or 'trunc'",
                found=repr(rounding_mode),
                hint="leave rounding_mode out for true division, or pass 'floor' or 'trunc'",
            )
        )

    @planned_pair
    def true_divide(self, other: Operand) -> Self:
        """self / other, in floats."""
        return self.div(other)

    @planned_pair
    def floor_divide(self, other: Operand) -> Self:
        """self // other, rounded down; integers stay integers (and divided by 0 give 0)."""
        return self._binary(BinaryKind.FLOORDIV, other)

    @planned_pair
    def remainder(self, other: Operand) -> Self:
        """self % other, with the sign of `other`."""
        return self._binary(BinaryKind.REMAINDER, other)

    @planned_operands("tensor1", "tensor2", "value")
    def addcmul(self, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Self:
        """self + value * tensor1 * tensor2."""
        return self._combined(BinaryKind.MUL, tensor1, tensor2, value)

    @planned_operands("tensor1", "tensor2", "value")
    def addcdiv(self, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Self:
        """self + value * tensor1 / tensor2, of floats."""
        return self._combined(BinaryKind.DIV, tensor1, tensor2, value)

    @planned_operands("end", "weight")
    def lerp(self, end: Operand, weight: Operand) -> Self:
        """The way towards `end` by this weight: self + weight * (end - self)."""
        common_device((self, end, weight))
        ops = self.builder()
        start, to, by = broadcast_vars(ops, (self, end, weight), result_type(self, end))
        return self.wrap(ops.add(start, ops.mul(by, ops.sub(to, start))))

    def _combined(self, kind: BinaryKind, a: Operand, b: Operand, value: Operand) -> Self:
        common_device((self, a, b, value))
        dtype, ops = result_type(self, a, b), self.builder()
        mine, left, right = broadcast_vars(ops, (self, a, b), dtype)
        return self.wrap(ops.add(mine, ops.binary(kind, _scaled(ops, left, value, dtype), right)))

    @planned_pair
    def maximum(self, other: Operand) -> Self:
        """The larger of two elements; NaN if either is."""
        return self._binary(BinaryKind.MAXIMUM, other)

    @planned_pair
    def minimum(self, other: Operand) -> Self:
        """The smaller of two elements; NaN if either is."""
        return self._binary(BinaryKind.MINIMUM, other)

    @planned_operands(tensors=("exponent",))
    def pow(self, exponent: Operand) -> Self:
        """self ** exponent. An integer tensor takes no negative number as exponent."""
        exponent = plain(exponent)
        if not isinstance(exponent, TensorCore):
            special = self._special_power(exponent)
            if special is not None:
                return special
        return self._general_power(self, exponent)

    def _general_power(self, base: Operand, exponent: Operand) -> Self:
        common_device((base, exponent))
        ops, dtype = self.builder(), result_type(base, exponent)
        if dtype.is_bool:
            raise located(
                OperandError(
                    "bools have no powers",
                    code="PG209",
                    expected="integers or floats",
                    found="bool ** bool",
                    hint="convert one of them: x.int()",
                )
            )
        a, b = broadcast_vars(ops, (base, exponent), dtype)
        return self.wrap(ops.binary("pow", a, b) if dtype.is_float else integer_power(ops, a, b))

    def _special_power(self, exponent: float) -> Self | None:
        """Powers that multiplications and roots give faster and more exactly."""
        whole = int(exponent) if float(exponent).is_integer() else None
        if self.dtype.is_float:
            if exponent == 0.5:
                return self._unary("sqrt")
            if exponent == -0.5:
                return self._unary("rsqrt")
            if exponent == -1:
                return self._binary(BinaryKind.DIV, 1, swap=True)
            return self._power(whole) if whole in (1, 2, 3) else None
        if isinstance(exponent, float) or whole is None or self.dtype.is_bool:
            return None
        if whole < 0:
            raise located(
                DTypeError(
                    "integers to negative integer powers are not allowed",
                    code="PG209",
                    expected="an exponent of 0 or more, or a float tensor",
                    found=exponent,
                    hint="convert the tensor first: x.float()",
                )
            )
        return self._power(whole)

    def _power(self, exponent: int) -> Self:
        """A whole power of 0 or more by repeated squaring."""
        ops = self.builder()
        square, result = self.read(), ops.full(self.shape, 1, self.dtype)
        used = False
        while exponent:
            if exponent & 1:
                result = ops.mul(result, square) if used else square
                used = True
            exponent >>= 1
            if exponent:
                square = ops.mul(square, square)
        return self.wrap(result)

    def _unary(self, kind: str) -> Self:
        ops = self.builder()
        return self.wrap(ops.unary(kind, ops.cast(self.read(), float_type(self))))

    # In place

    @planned_in_place
    @planned_operands("other", "alpha", in_place=True)
    def add_(self, other: Operand, *, alpha: Operand = 1) -> Self:
        """Add alpha * other in place."""
        return self._binary_(BinaryKind.ADD, other, alpha=alpha)

    @planned_in_place
    @planned_operands("other", "alpha", in_place=True)
    def sub_(self, other: Operand, *, alpha: Operand = 1) -> Self:
        """Subtract alpha * other in place."""
        _require_no_bools(self, other)
        return self._binary_(BinaryKind.SUB, other, alpha=alpha)

    @planned_in_place
    def mul_(self, other: Operand) -> Self:
        """Multiply in place."""
        return self._binary_(BinaryKind.MUL, other)

    @planned_in_place
    def div_(self, other: Operand) -> Self:
        """Divide in place; the tensor holds floats."""
        return self._binary_(BinaryKind.DIV, other, dtype=float_type(self, plain(other)))

    # Operators

    @planned_pair
    def __add__(self, other: Operand) -> Self:
        return self.add(other)

    @planned_pair
    def __radd__(self, other: Operand) -> Self:
        return self._binary(BinaryKind.ADD, other, swap=True)

    @planned_pair
    def __sub__(self, other: Operand) -> Self:
        return self.sub(other)

    @planned_pair
    def __rsub__(self, other: Operand) -> Self:
        _require_no_bools(self, other)
        return self._binary(BinaryKind.SUB, other, swap=True)

    @planned_pair
    def __mul__(self, other: Operand) -> Self:
        return self.mul(other)

    @planned_pair
    def __rmul__(self, other: Operand) -> Self:
        return self._binary(BinaryKind.MUL, other, swap=True)

    @planned_pair
    def __truediv__(self, other: Operand) -> Self:
        return self.div(other)

    @planned_pair
    def __rtruediv__(self, other: Operand) -> Self:
        dtype = float_type(self, plain(other))
        return self._binary(BinaryKind.DIV, other, dtype=dtype, swap=True)

    @planned_pair
    def __floordiv__(self, other: Operand) -> Self:
        return self.floor_divide(other)

    def __rfloordiv__(self, other: Operand) -> Self:
        return self._binary(BinaryKind.FLOORDIV, other, swap=True)

    @planned_pair
    def __mod__(self, other: Operand) -> Self:
        return self.remainder(other)

    def __rmod__(self, other: Operand) -> Self:
        return self._binary(BinaryKind.REMAINDER, other, swap=True)

    @planned_operands(tensors=("exponent",))
    def __pow__(self, exponent: Operand) -> Self:
        return self.pow(exponent)

    def __rpow__(self, base: Operand) -> Self:
        return self._general_power(plain(base), self)

    @planned_in_place
    def __iadd__(self, other: Operand) -> Self:
        return self.add_(other)

    @planned_in_place
    def __isub__(self, other: Operand) -> Self:
        return self.sub_(other)

    @planned_in_place
    def __imul__(self, other: Operand) -> Self:
        return self.mul_(other)

    @planned_in_place
    def __itruediv__(self, other: Operand) -> Self:
        return self.div_(other)


def _require_no_bools(*operands: Operand) -> None:
    """Raise DTypeError for a difference of bools, which has no meaning that all agree on."""
    for operand in operands:
        if isinstance(operand, bool) or (isinstance(operand, TensorCore) and operand.dtype.is_bool):
            raise located(
                DTypeError(
                    "bools are not subtracted",
                    code="PG209",
                    expected="integers or floats",
                    found="bool",
                    hint="invert a mask with ~mask, or count with mask.int()",
                )
            )


def _scaled(ops: Tape, var: Var, alpha: Operand, dtype: DType) -> Var:
    """var * alpha, where alpha = 1 costs nothing."""
    if isinstance(alpha, int | float) and alpha == 1:
        return var
    return ops.mul(var, as_var(ops, alpha, dtype, ops.shape_of(var)))
