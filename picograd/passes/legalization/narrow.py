"""Values of narrow dtypes, as a machine holds them, and as it computes with them.

A machine computes with float32 and int32 where a program says float16, bfloat16, int8, int16 or
uint8. A CPU holds such values in memory as they are (uint8 as the i8 of the same bits, since the
integers of the lower levels have no sign), so a cast widens them before an op, and another narrows
the result. A GPU holds them widened, so there narrowing means rounding, or wrapping, to what the
narrow dtype can hold.
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.dtypes import (
    DType,
    compute_dtype,
    dtype_of,
    int8,
    int32,
    type_of,
    uint8,
)
from picograd.dialects.limits import iinfo
from picograd.dialects.literals import splat
from picograd.dialects.tensor import (
    ROUNDED_TO,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CastOp,
    ConstantOp,
    ReduceKind,
    ReduceOp,
    TensorOp,
    UnaryKind,
    UnaryOp,
)
from picograd.targets import Target

_ROUND = {dtype: kind for kind, dtype in ROUNDED_TO.items()}

# What keeps the range, and of floats needs no rounding.
_FITTING_UNARY = {
    "float": (
        UnaryKind.NEG,
        UnaryKind.ABS,
        UnaryKind.SIGN,
        UnaryKind.FLOOR,
        UnaryKind.CEIL,
        UnaryKind.ROUND,
    ),
    "int": (UnaryKind.SIGN,),
}
_FITTING_BINARY = {
    "float": (BinaryKind.MAXIMUM, BinaryKind.MINIMUM),
    "int": (
        BinaryKind.MAXIMUM,
        BinaryKind.MINIMUM,
        BinaryKind.AND,
        BinaryKind.OR,
        BinaryKind.XOR,
        BinaryKind.REMAINDER,
    ),
}


def held_dtype(dtype: DType, target: Target) -> DType:
    """The dtype as which a machine holds values of a dtype."""
    if dtype.is_narrow and not target.narrow_types:
        return compute_dtype(dtype)
    if dtype is uint8:
        return int8
    return int32 if dtype.name == "int64" and not target.int64 else dtype


def result_fits(op: TensorOp, dtype: DType) -> bool:
    """Whether an op on widened values of a dtype gives a value of that dtype, without narrowing."""
    if isinstance(op, UnaryOp):
        return op.kind.data in _FITTING_UNARY[dtype.kind]
    if isinstance(op, BinaryOp):
        return op.kind.data in _FITTING_BINARY[dtype.kind]
    return isinstance(op, ReduceOp) and op.kind.data in (ReduceKind.MAX, ReduceKind.MIN)


class Narrow:
    """Widens and narrows values of one function; each value is widened once.

    New ops stand before `at`, the op that is being rewritten, and carry its user line.
    """

    def __init__(self, target: Target, at: TensorOp) -> None:
        self._target = target
        self._at = at
        self._widened: dict[SSAValue, SSAValue] = {}

    def move_to(self, at: TensorOp) -> None:
        """Put new ops before another op from now on."""
        self._at = at

    def add(self, op: TensorOp) -> SSAValue:
        """Insert an op, and return its result."""
        line = self._at.attributes.get("at")
        if isinstance(line, StringAttr):
            op.attributes["at"] = line
        Rewriter.insert_op(op, InsertPoint.before(self._at))
        return op.result

    def cast(self, value: SSAValue, dtype: DType) -> SSAValue:
        """A value in another dtype; the value itself when it has it."""
        return value if dtype_of(type_of(value)) is dtype else self.add(CastOp(value, dtype))

    def widen(self, value: SSAValue, dtype: DType) -> SSAValue:
        """What is held as a value of a narrow dtype, in the dtype that is computed with."""
        if not self._target.narrow_types:
            return value
        if value not in self._widened:
            wide = self.cast(value, compute_dtype(dtype))
            if dtype is uint8:
                wide = self._binary(BinaryKind.AND, wide, 255)
            self._widened[value] = wide
        return self._widened[value]

    def narrow(self, value: SSAValue, dtype: DType, *, fits: bool = False) -> SSAValue:
        """A computed value as one of a narrow dtype is held: rounded, or wrapped unless it fits."""
        if self._target.narrow_types:
            return self.cast(value, held_dtype(dtype, self._target))
        if fits:
            return value
        if dtype.is_float:
            return self.add(UnaryOp(_ROUND[dtype], value))
        limits = iinfo(dtype)
        value = self._binary(BinaryKind.AND, value, 2**limits.bits - 1)
        if not dtype.is_signed:
            return value
        # The sign bit, flipped and taken off again, fills the bits above it.
        flipped = self._binary(BinaryKind.XOR, value, 2 ** (limits.bits - 1))
        return self._binary(BinaryKind.SUB, flipped, 2 ** (limits.bits - 1))

    def clamp(self, value: SSAValue, dtype: DType) -> SSAValue:
        """An int32 within the range of a narrow integer dtype."""
        limits = iinfo(dtype)
        value = self._binary(BinaryKind.MAXIMUM, value, limits.min)
        return self._binary(BinaryKind.MINIMUM, value, limits.max)

    def low_bits(self, value: SSAValue, dtype: DType) -> SSAValue:
        """A widened integer without its copies of the sign bit."""
        return self._binary(BinaryKind.AND, value, 2 ** iinfo(dtype).bits - 1)

    def _binary(self, kind: BinaryKind, value: SSAValue, number: int) -> SSAValue:
        constant = self.add(ConstantOp(splat(number, (), int32)))
        shape = type_of(value).get_shape()
        if shape:
            constant = self.add(BroadcastOp(constant, shape))
        return self.add(BinaryOp(kind, value, constant))


def name_after(value: SSAValue, old: SSAValue) -> None:
    """Let a value that stands for another one have its name, unless it has one."""
    if value.name_hint is None and isinstance(value, OpResult):
        value.name_hint = old.name_hint
