"""Logic of truth values, and of the bits of integers."""

from __future__ import annotations

from typing import Self

from picograd.dialects.dtypes import bool_
from picograd.dialects.tensor import BinaryKind
from picograd.errors import OperandError
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.plans.planned import planned, planned_pair
from picograd.frontend.problems import located
from picograd.frontend.promotion import broadcast_vars, common_device, result_type


class Bits(TensorCore):
    """`logical_and` asks which elements are other than 0; `bitwise_and` works on each bit."""

    def _logical(self, kind: BinaryKind, other: Operand) -> Self:
        pair = (self, plain(other))
        common_device(pair)
        ops = self.builder()
        a, b = broadcast_vars(ops, pair, result_type(*pair))
        return self.wrap(ops.binary(kind, ops.cast(a, bool_), ops.cast(b, bool_)))

    @planned_pair
    def logical_and(self, other: Operand) -> Self:
        """Where both elements are other than 0."""
        return self._logical(BinaryKind.AND, other)

    @planned_pair
    def logical_or(self, other: Operand) -> Self:
        """Where one element at least is other than 0."""
        return self._logical(BinaryKind.OR, other)

    @planned_pair
    def logical_xor(self, other: Operand) -> Self:
        """Where one element, and one only, is other than 0."""
        return self._logical(BinaryKind.XOR, other)

    def _bits_of(self, what: str, other: Operand, *, bools: bool = True) -> tuple[Var, Var]:
        pair = (self, plain(other))
        common_device(pair)
        dtype = result_type(*pair)
        if dtype.is_float or (dtype.is_bool and not bools):
            raise located(
                OperandError(
                    f"{what} works on bits",
                    code="PG201",
                    expected="bools or integers" if bools else "integers",
                    found=dtype.name,
                    hint="convert the tensors first: x.long()",
                )
            )
        a, b = broadcast_vars(self.builder(), pair, dtype)
        return a, b

    def _bitwise(self, what: str, kind: BinaryKind, other: Operand) -> Self:
        return self.wrap(self.builder().binary(kind, *self._bits_of(what, other)))

    @planned_pair
    def bitwise_and(self, other: Operand) -> Self:
        """The bits that both have; of bools, whether both are true."""
        return self._bitwise("bitwise_and", BinaryKind.AND, other)

    @planned_pair
    def bitwise_or(self, other: Operand) -> Self:
        """The bits that either has; of bools, whether either is true."""
        return self._bitwise("bitwise_or", BinaryKind.OR, other)

    @planned_pair
    def bitwise_xor(self, other: Operand) -> Self:
        """The bits that one of the two has; of bools, whether they differ."""
        return self._bitwise("bitwise_xor", BinaryKind.XOR, other)

    @planned
    def bitwise_not(self) -> Self:
        """All bits the other way round; of bools, `not`."""
        ops = self.builder()
        self._bits_of("bitwise_not", self)
        return self.wrap(ops.unary("not", self.read()))

    def bitwise_left_shift(self, other: Operand) -> Self:
        """self * 2**other in the integers' width; by the width or more, 0."""
        a, b = self._bits_of("<<", other, bools=False)
        return self.wrap(self.builder().binary(BinaryKind.SHL, a, b))

    def bitwise_right_shift(self, other: Operand) -> Self:
        """self // 2**other, so the sign is kept; by the width or more, 0 or -1."""
        a, b = self._bits_of(">>", other, bools=False)
        ops = self.builder()
        # The op fills with zeros: a negative number is shifted as its complement, and back.
        negative = ops.compare("lt", a, ops.full_like(a, 0))
        bits = ops.select(negative, ops.unary("not", a), a)
        shifted = ops.binary(BinaryKind.SHR, bits, b)
        return self.wrap(ops.select(negative, ops.unary("not", shifted), shifted))

    @planned_pair
    def __and__(self, other: Operand) -> Self:
        return self._bitwise("&", BinaryKind.AND, other)

    @planned_pair
    def __or__(self, other: Operand) -> Self:
        return self._bitwise("|", BinaryKind.OR, other)

    @planned_pair
    def __xor__(self, other: Operand) -> Self:
        return self._bitwise("^", BinaryKind.XOR, other)

    def __rand__(self, other: Operand) -> Self:
        return self & other

    def __ror__(self, other: Operand) -> Self:
        return self | other

    def __rxor__(self, other: Operand) -> Self:
        return self ^ other

    @planned
    def __invert__(self) -> Self:
        return self.bitwise_not()

    def __lshift__(self, other: Operand) -> Self:
        return self.bitwise_left_shift(other)

    def __rshift__(self, other: Operand) -> Self:
        return self.bitwise_right_shift(other)
