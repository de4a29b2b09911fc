"""One element of the elementwise tensor ops, spelled in `arith`, `math` and loop ops.

The tensor level fixes what happens at the edges (integer division by zero, shifts beyond the
width, conversions out of range); machine instructions leave it open, hence the selects here.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.dtypes import from_ir
from picograd.dialects.limits import finfo
from picograd.dialects.tensor import ROUNDED_TO, BinaryKind, UnaryKind


class Place(Protocol):
    """Where ops are added: the end of some block."""

    def add(self, op: Operation) -> SSAValue:
        """Add an op with one result, and return the result."""
        ...

    def constant(self, value: bool | float, type: Attribute) -> SSAValue:
        """A number of an element type."""
        ...


def is_float(type: Attribute) -> bool:
    """Whether an element type is a floating-point type."""
    return isinstance(type, AnyFloat)


def width_of(type: Attribute) -> int:
    """The bits of an integer element type (1 for bool)."""
    return cast(IntegerType, type).width.data


def number(value: bool | float, type: Attribute) -> arith.ConstantOp:
    """The op that makes a number of an element type."""
    if isinstance(type, AnyFloat):
        return arith.ConstantOp(FloatAttr(float(value), type))
    return arith.ConstantOp(IntegerAttr(int(value), cast(IntegerType, type)))


def known(value: SSAValue) -> int | None:
    """The integer that a value is known to be while compiling."""
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return owner.value.value.data
    return None


def compare(at: Place, kind: str, a: SSAValue, b: SSAValue) -> SSAValue:
    """Whether two elements compare as `kind` (eq ne lt le gt ge) says."""
    return at.add(loop.CompareOp(kind, a, b))


def select(at: Place, condition: SSAValue, on_true: SSAValue, on_false: SSAValue) -> SSAValue:
    """One of two elements."""
    return at.add(loop.SelectOp(condition, on_true, on_false))


# Unary

_FLOAT_UNARY: dict[UnaryKind, Callable[[SSAValue], Operation]] = {
    UnaryKind.NEG: arith.NegfOp,
    UnaryKind.ABS: math.AbsFOp,
    UnaryKind.EXP: math.ExpOp,
    UnaryKind.LOG: math.LogOp,
    UnaryKind.SQRT: math.SqrtOp,
    UnaryKind.RSQRT: math.RsqrtOp,
    UnaryKind.SIN: math.SinOp,
    UnaryKind.COS: math.CosOp,
    UnaryKind.TANH: math.TanhOp,
    UnaryKind.ERF: math.ErfOp,
    UnaryKind.FLOOR: math.FloorOp,
    UnaryKind.CEIL: math.CeilOp,
    UnaryKind.ROUND: math.RoundEvenOp,
}


def unary(at: Place, kind: UnaryKind, x: SSAValue) -> SSAValue:
    """One element of `pico.unary`."""
    if kind is UnaryKind.SIGN:
        return _sign(at, x)
    if kind in ROUNDED_TO:
        narrow = at.add(arith.TruncFOp(x, ROUNDED_TO[kind].ir))
        return at.add(arith.ExtFOp(narrow, cast(Any, x.type)))
    if is_float(x.type):
        return at.add(_FLOAT_UNARY[kind](x))
    if kind is UnaryKind.NOT:
        return at.add(arith.XOrIOp(x, at.constant(-1 if width_of(x.type) > 1 else 1, x.type)))
    negated = at.add(arith.SubiOp(at.constant(0, x.type), x))
    return negated if kind is UnaryKind.NEG else at.add(arith.MaxSIOp(x, negated))


def _sign(at: Place, x: SSAValue) -> SSAValue:
    """-1, 0 or 1; a zero or a NaN is its own sign."""
    zero = at.constant(0, x.type)
    low = select(at, compare(at, "lt", x, zero), at.constant(-1, x.type), x)
    return select(at, compare(at, "gt", x, zero), at.constant(1, x.type), low)


# Binary

_FLOAT_BINARY: dict[BinaryKind, Callable[[SSAValue, SSAValue], Operation]] = {
    BinaryKind.ADD: arith.AddfOp,
    BinaryKind.SUB: arith.SubfOp,
    BinaryKind.MUL: arith.MulfOp,
    BinaryKind.DIV: arith.DivfOp,
    BinaryKind.POW: math.PowFOp,
    BinaryKind.MAXIMUM: arith.MaximumfOp,
    BinaryKind.MINIMUM: arith.MinimumfOp,
}
_INTEGER_BINARY: dict[BinaryKind, Callable[[SSAValue, SSAValue], Operation]] = {
    BinaryKind.ADD: arith.AddiOp,
    BinaryKind.SUB: arith.SubiOp,
    BinaryKind.MUL: arith.MuliOp,
    BinaryKind.AND: arith.AndIOp,
    BinaryKind.OR: arith.OrIOp,
    BinaryKind.XOR: arith.XOrIOp,
    BinaryKind.MAXIMUM: arith.MaxSIOp,
    BinaryKind.MINIMUM: arith.MinSIOp,
}


def binary(at: Place, kind: BinaryKind, a: SSAValue, b: SSAValue) -> SSAValue:
    """One element of `pico.binary`."""
    if is_float(a.type):
        if kind is BinaryKind.FLOORDIV:
            return _float_division(at, a, b)[0]
        if kind is BinaryKind.REMAINDER:
            return _float_division(at, a, b)[1]
        return at.add(_FLOAT_BINARY[kind](a, b))
    if kind is BinaryKind.FLOORDIV:
        return _integer_division(at, a, b)[0]
    if kind is BinaryKind.REMAINDER:
        return _integer_division(at, a, b)[1]
    if kind in (BinaryKind.SHL, BinaryKind.SHR):
        return _shift(at, arith.ShLIOp if kind is BinaryKind.SHL else arith.ShRUIOp, a, b)
    return at.add(_INTEGER_BINARY[kind](a, b))


def _float_division(at: Place, a: SSAValue, b: SSAValue) -> tuple[SSAValue, SSAValue]:
    """Quotient rounded down, and remainder with the divisor's sign, as in Python.

    The remainder is exact as long as the quotient is exact in the element type, since it comes
    from one fused multiply-add; a quotient that rounding made one too large or small is put right.
    """
    type = a.type
    zero, one = at.constant(0, type), at.constant(1, type)
    plain = at.add(arith.DivfOp(a, b))
    quotient = at.add(math.FloorOp(plain))
    rest = at.add(math.FmaOp(at.add(arith.NegfOp(quotient)), b, a))
    below, negative = compare(at, "lt", rest, zero), compare(at, "lt", b, zero)
    wrong_sign = at.add(arith.XOrIOp(below, negative))
    high = at.add(arith.AndIOp(compare(at, "ne", rest, zero), wrong_sign))
    quotient = select(at, high, at.add(arith.SubfOp(quotient, one)), quotient)
    rest = select(at, high, at.add(arith.AddfOp(rest, b)), rest)
    size = at.add(math.AbsFOp(b))
    low = compare(at, "ge", at.add(math.AbsFOp(rest)), size)
    quotient = select(at, low, at.add(arith.AddfOp(quotient, one)), quotient)
    rest = select(at, low, at.add(arith.SubfOp(rest, b)), rest)

    # By an infinite divisor: a itself, or the divisor when the signs differ.
    finite = compare(at, "eq", at.add(arith.SubfOp(a, a)), zero)
    infinite = compare(at, "eq", size, at.constant(float("inf"), type))
    special = at.add(arith.AndIOp(finite, infinite))
    differ = at.add(arith.XOrIOp(compare(at, "lt", a, zero), negative))
    differ = at.add(arith.AndIOp(compare(at, "ne", a, zero), differ))
    quotient = select(at, special, select(at, differ, at.constant(-1, type), plain), quotient)
    rest = select(at, special, select(at, differ, b, a), rest)

    # A remainder of zero has the divisor's sign; without a remainder there is no quotient, but
    # a division by zero is infinite, as a / b is.
    signed_zero = at.add(math.CopySignOp(zero, b))
    rest = select(at, compare(at, "eq", rest, zero), signed_zero, rest)
    quotient = select(at, compare(at, "ne", rest, rest), rest, quotient)
    return select(at, compare(at, "eq", b, zero), plain, quotient), rest


def _integer_division(at: Place, a: SSAValue, b: SSAValue) -> tuple[SSAValue, SSAValue]:
    """Quotient rounded down, and remainder with the divisor's sign; both 0 for a divisor of 0.

    The machine's division must not see a divisor of 0, nor -1, by which the least integer
    overflows: both become 1 and are put right afterwards.
    """
    type = a.type
    zero, one, minus_one = (at.constant(n, type) for n in (0, 1, -1))
    divisor = known(b)
    ordinary = divisor is not None and divisor not in (0, -1)
    is_zero, is_minus_one = compare(at, "eq", b, zero), compare(at, "eq", b, minus_one)
    safe = b if ordinary else select(at, at.add(arith.OrIOp(is_zero, is_minus_one)), one, b)
    quotient, rest = at.add(arith.DivSIOp(a, safe)), at.add(arith.RemSIOp(a, safe))
    signs = at.add(arith.XOrIOp(rest, safe))
    wrong = at.add(arith.AndIOp(compare(at, "ne", rest, zero), compare(at, "lt", signs, zero)))
    quotient = select(at, wrong, at.add(arith.SubiOp(quotient, one)), quotient)
    rest = select(at, wrong, at.add(arith.AddiOp(rest, safe)), rest)
    if not ordinary:
        negated = at.add(arith.SubiOp(zero, a))
        quotient = select(at, is_minus_one, negated, select(at, is_zero, zero, quotient))
    return quotient, rest


def _shift(
    at: Place, make: Callable[[SSAValue, SSAValue], Operation], a: SSAValue, count: SSAValue
) -> SSAValue:
    """A shift that gives 0 when the count is negative or at least the width."""
    width = width_of(a.type)
    amount = known(count)
    if amount is not None and 0 <= amount < width:
        return at.add(make(a, count))
    masked = at.add(arith.AndIOp(count, at.constant(width - 1, a.type)))
    shifted = at.add(make(a, masked))
    return select(at, compare(at, "eq", masked, count), shifted, at.constant(0, a.type))


# Conversions


def convert(at: Place, x: SSAValue, type: Attribute) -> SSAValue:
    """One element of `pico.cast`."""
    source = x.type
    if source == type:
        return x
    if not is_float(type) and width_of(type) == 1:
        return compare(at, "ne", x, at.constant(0, source))
    make: Callable[[SSAValue, Any], Operation]
    if isinstance(source, AnyFloat):
        if not isinstance(type, AnyFloat):
            return _saturate(at, x, type)
        if source.bitwidth == type.bitwidth:
            # float16 and bfloat16: neither holds the other, float32 holds both.
            return convert(at, convert(at, x, f32), type)
        make = arith.ExtFOp if source.bitwidth < type.bitwidth else arith.TruncFOp
    elif is_float(type):
        make = arith.UIToFPOp if width_of(source) == 1 else arith.SIToFPOp
    elif width_of(source) == 1:
        make = arith.ExtUIOp
    else:
        make = arith.ExtSIOp if width_of(source) < width_of(type) else arith.TruncIOp
    return at.add(make(x, cast(Any, type)))


def _saturate(at: Place, x: SSAValue, type: Attribute) -> SSAValue:
    """Float to integer: toward zero, out of range to the nearest end, NaN to 0."""
    half = 2 ** (width_of(type) - 1)
    most = finfo(from_ir(x.type)).max
    if half <= most:
        end, above, within = float(half), "ge", "lt"
    else:
        # Every finite number fits, and the end is none of the type: infinity alone is beyond.
        end, above, within = most, "gt", "le"
    low, high = at.constant(-end, x.type), at.constant(end, x.type)
    too_low, too_high = compare(at, "lt", x, low), compare(at, above, x, high)
    # The conversion itself must only see what fits; of a NaN no comparison holds but `ne`.
    fits = at.add(arith.AndIOp(compare(at, "ge", x, low), compare(at, within, x, high)))
    converted = at.add(
        arith.FPToSIOp(select(at, fits, x, at.constant(0, x.type)), cast(IntegerType, type))
    )
    converted = select(at, too_high, at.constant(half - 1, type), converted)
    return select(at, too_low, at.constant(-half, type), converted)
