"""Functions of one tensor, choices between tensors, and the activations of neural networks."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import int64
from picograd.dialects.tensor import UnaryKind
from picograd.errors import OptionError
from picograd.frontend.autodiff.tape import unstamped
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.plans.planned import planned, planned_alone_in_place
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import (
    as_var,
    common_device,
    float_type,
    require_float,
    require_tensor,
    result_type,
)


class Elementwise(TensorCore):
    """Functions such as `x.exp()`. Those that only floats have turn integers into float32 first."""

    def _float_unary(self, kind: UnaryKind) -> Self:
        ops = self.builder()
        return self.wrap(ops.unary(kind, ops.cast(self.read(), float_type(self))))

    def _number_unary(self, kind: UnaryKind) -> Self:
        return self.wrap(self.builder().unary(kind, self.read()))

    def _rounding(self, kind: UnaryKind) -> Self:
        """Rounding leaves integers as they are."""
        return self._number_unary(kind) if self.dtype.is_float else self.clone()

    @planned
    def clone(self) -> Self:
        """A copy with storage of its own; gradients flow through it."""
        return self.wrap(self.read())

    @planned
    def exp(self) -> Self:
        return self._float_unary(UnaryKind.EXP)

    @planned
    def log(self) -> Self:
        return self._float_unary(UnaryKind.LOG)

    @planned
    def sqrt(self) -> Self:
        return self._float_unary(UnaryKind.SQRT)

    @planned
    def rsqrt(self) -> Self:
        """1 / sqrt(x)."""
        return self._float_unary(UnaryKind.RSQRT)

    @planned
    def sin(self) -> Self:
        return self._float_unary(UnaryKind.SIN)

    @planned
    def cos(self) -> Self:
        return self._float_unary(UnaryKind.COS)

    @planned
    def tanh(self) -> Self:
        return self._float_unary(UnaryKind.TANH)

    @planned
    def erf(self) -> Self:
        """The error function."""
        return self._float_unary(UnaryKind.ERF)

    @planned
    def neg(self) -> Self:
        return self._number_unary(UnaryKind.NEG)

    @planned
    def abs(self) -> Self:
        return self._number_unary(UnaryKind.ABS)

    def sign(self) -> Self:
        return self.clone() if self.dtype.is_bool else self._number_unary(UnaryKind.SIGN)

    @planned
    def floor(self) -> Self:
        return self._rounding(UnaryKind.FLOOR)

    @planned
    def ceil(self) -> Self:
        return self._rounding(UnaryKind.CEIL)

    @planned
    def round(self, *, decimals: int = 0) -> Self:
        """To the nearest integer, or to `decimals` digits behind the point; half to even."""
        if not decimals or not self.dtype.is_float:
            return self._rounding(UnaryKind.ROUND)
        ops, x = self.builder(), self.read()
        scale = ops.full_like(x, 10.0 ** abs(decimals))
        up, down = (ops.mul, ops.div) if decimals > 0 else (ops.div, ops.mul)
        return self.wrap(down(ops.unary(UnaryKind.ROUND, up(x, scale)), scale))

    @planned
    def square(self) -> Self:
        """x * x; bools are int64."""
        ops, x = self.builder(), self.read()
        x = ops.cast(x, int64) if self.dtype.is_bool else x
        return self.wrap(ops.mul(x, x))

    @planned
    def reciprocal(self) -> Self:
        """1 / x."""
        ops = self.builder()
        x = ops.cast(self.read(), float_type(self))
        return self.wrap(ops.div(ops.full_like(x, 1), x))

    @planned
    def __neg__(self) -> Self:
        return self.neg()

    def __pos__(self) -> Self:
        """The tensor itself."""
        return self

    @planned
    def __abs__(self) -> Self:
        return self.abs()

    # Choices

    @planned_operands("min", "max")
    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Self:
        """Elements below `min` become `min`, those above `max` become `max`; NaN stays.

        As in PyTorch the gradient passes where the element lies within the bounds or on them.
        """
        low, high = (None if bound is None else plain(bound) for bound in (min, max))
        bounds = [bound for bound in (low, high) if bound is not None]
        if not bounds:
            raise located(
                OptionError(
                    "clamp without bounds",
                    code="PG803",
                    expected="min, max or both",
                    found="neither",
                    hint="pass min=, max= or both",
                )
            )
        common_device((self, *bounds))
        dtype, ops = result_type(self, *bounds), self.builder()
        x = as_var(ops, self, dtype)
        for bound, outside in ((low, "lt"), (high, "gt")):
            if bound is not None:
                limit = as_var(ops, bound, dtype, self.shape)
                x = ops.select(ops.compare(outside, x, limit), limit, x)
        return self.wrap(x)

    @planned
    def relu(self) -> Self:
        """max(x, 0); the gradient at 0 is 0."""
        return self.wrap(compositions.relu(self.builder(), self.read()))

    @planned
    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x))."""
        ops = self.builder()
        return self.wrap(compositions.sigmoid(ops, ops.cast(self.read(), float_type(self))))

    @planned
    def gelu(self, approximate: str = "none") -> Self:
        """x times the normal distribution function, exactly or approximated by `tanh`."""
        require_float(self, "gelu")
        function = {"none": compositions.gelu, "tanh": compositions.gelu_tanh}.get(approximate)
        if function is None:
            raise located(
                OptionError(
                    "gelu knows two ways to compute",
                    code="PG801",
                    expected="approximate='none' or 'tanh'",
                    found=repr(approximate),
                    hint="pass one of these, or leave it out for the exact form",
                )
            )
        return self.wrap(function(self.builder(), self.read()))

    # In place

    @planned_alone_in_place
    def zero_(self) -> Self:
        """Fill with 0."""
        return self.fill_(0)

    @planned_operands("value", in_place=True)
    def fill_(self, value: Operand) -> Self:
        """Fill with one number (or 0-d tensor)."""
        ops = self.builder()
        return self.write_(as_var(ops, plain(value), self.dtype, self.shape))

    @planned_operands(tensors=("source",), in_place=True)
    def copy_(self, source: TensorCore) -> Self:
        """Overwrite with another tensor's elements, converted and broadcast."""
        source = require_tensor(source, "copy_", "fill_(number) takes a number")
        common_device((self, source))
        ops = self.builder()
        return self.write_(as_var(ops, source, self.dtype, self.shape))

    @planned_alone_in_place
    def relu_(self) -> Self:
        """Replace negative elements by 0, in place."""
        return self.write_(compositions.relu(self.builder(), unstamped(self.read())))
