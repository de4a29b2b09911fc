"""Cutting off fractions, remainders of truncated division, and numbers that are none."""

from __future__ import annotations

from typing import Self

from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods import compositions
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.promotion import (
    broadcast_vars,
    common_device,
    require_float,
    result_type,
)
from picograd.semantics.bounded import largest_number


class Rounding(TensorCore):
    """What has to do with the fraction of a number, or with NaN and infinity."""

    def trunc(self) -> Self:
        """The whole part: rounded towards 0. Integers stay as they are."""
        return self.wrap(compositions.trunc(self.builder(), self.read()))

    def fix(self) -> Self:
        """As `trunc`."""
        return self.trunc()

    def frac(self) -> Self:
        """The fraction: x - trunc(x), of floats."""
        require_float(self, "frac")
        ops, x = self.builder(), self.read()
        return self.wrap(ops.sub(x, compositions.trunc(ops, x)))

    def fmod(self, other: Operand) -> Self:
        """The remainder of truncated division, with the sign of `self`; integers by 0 give 0."""
        pair = (self, plain(other))
        common_device(pair)
        ops = self.builder()
        return self.wrap(compositions.fmod(ops, *broadcast_vars(ops, pair, result_type(*pair))))

    def isinf(self) -> Self:
        """Where the elements are infinite."""
        return self._against_infinity("eq", False)

    def isfinite(self) -> Self:
        """Where the elements are neither infinite nor NaN."""
        return self._against_infinity("lt", True)

    def _against_infinity(self, kind: str, otherwise: bool) -> Self:
        ops, x = self.builder(), self.read()
        if not self.dtype.is_float:
            never = ops.compare("ne", x, x)
            return self.wrap(ops.unary("not", never) if otherwise else never)
        infinity = ops.full_like(x, float("inf"))
        return self.wrap(ops.compare(kind, ops.unary("abs", x), infinity))

    def nan_to_num(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Self:
        """Numbers in place of NaN and infinities; by default 0 and the extremes of the dtype."""
        ops, x = self.builder(), self.read()
        if not self.dtype.is_float:
            return self.wrap(x)
        largest = largest_number(self.dtype)
        high = largest if posinf is None else posinf
        low = -largest if neginf is None else neginf
        inf = float("inf")
        y = ops.select(ops.compare("ne", x, x), ops.full_like(x, nan), x)
        y = ops.select(ops.compare("eq", x, ops.full_like(x, inf)), ops.full_like(x, high), y)
        y = ops.select(ops.compare("eq", x, ops.full_like(x, -inf)), ops.full_like(x, low), y)
        return self.wrap(y)

    def clamp_min(self, min: Operand) -> Self:
        """Elements below `min` become `min`."""
        return self._limited("lt", min)

    def clamp_max(self, max: Operand) -> Self:
        """Elements above `max` become `max`."""
        return self._limited("gt", max)

    def _limited(self, outside: str, bound: Operand) -> Self:
        pair = (self, plain(bound))
        common_device(pair)
        ops = self.builder()
        x, limit = broadcast_vars(ops, pair, result_type(*pair))
        return self.wrap(ops.select(ops.compare(outside, x, limit), limit, x))
