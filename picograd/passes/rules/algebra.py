"""Arithmetic rules. For floats those that keep every bit: never x * 0 -> 0, never x + 0.0 -> x."""

from collections.abc import Mapping
from math import frexp

from xdsl.ir import Operation, SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import ROUNDED_TO, BinaryKind, BinaryOp, UnaryKind, UnaryOp
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.matching import defining, dtype_of_value, filled, is_splat, splat_in

_ONCE_IS_ENOUGH = (UnaryKind.ABS, UnaryKind.SIGN, *ROUNDED_TO)
_ROUNDING = (UnaryKind.FLOOR, UnaryKind.CEIL, UnaryKind.ROUND)

# kind -> the number on the right that leaves every x as it is, for floats and for integers.
_NEUTRAL_FLOAT: Mapping[BinaryKind, float] = {
    BinaryKind.ADD: -0.0,
    BinaryKind.SUB: 0.0,
    BinaryKind.MUL: 1.0,
    BinaryKind.DIV: 1.0,
    BinaryKind.POW: 1.0,
}
_NEUTRAL_INT: Mapping[BinaryKind, int] = {
    BinaryKind.ADD: 0,
    BinaryKind.SUB: 0,
    BinaryKind.MUL: 1,
    BinaryKind.FLOORDIV: 1,
    BinaryKind.SHL: 0,
    BinaryKind.SHR: 0,
    BinaryKind.OR: 0,
    BinaryKind.XOR: 0,
    BinaryKind.AND: -1,
}
# kind -> (the number on the right, the number that the result then is); integers only.
_ABSORBING_INT: Mapping[BinaryKind, tuple[int, int]] = {
    BinaryKind.MUL: (0, 0),
    BinaryKind.AND: (0, 0),
    BinaryKind.OR: (-1, -1),
    BinaryKind.REMAINDER: (1, 0),
}
_COMMUTES = (BinaryKind.ADD, BinaryKind.MUL, BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)


def constant_to_the_right(op: BinaryOp, build: Build) -> SSAValue | None:
    """c + x -> x + c, so that the other rules need to look on one side only."""
    if op.kind.data not in _COMMUTES or splat_in(op.a) is None or splat_in(op.b) is not None:
        return None
    return build(BinaryOp(op.kind.data, op.b, op.a))


def drop_neutral(op: BinaryOp, build: Build) -> SSAValue | None:
    """x * 1, x / 1, x - 0.0, x + (-0.0), x ** 1 -> x; of integers also x + 0, x & -1, x << 0, …"""
    dtype, kind = dtype_of_value(op.a), op.kind.data
    if dtype.is_bool:
        return _drop_neutral_bool(op)
    neutral = (_NEUTRAL_FLOAT if dtype.is_float else _NEUTRAL_INT).get(kind)
    return op.a if neutral is not None and is_splat(op.b, neutral) else None


def _drop_neutral_bool(op: BinaryOp) -> SSAValue | None:
    """c and true, c or false, c xor false -> c; c and false -> false; c or true -> true."""
    known, kind = splat_in(op.b), op.kind.data
    if known is None:
        return None
    if known == (kind == BinaryKind.AND):
        return op.a
    return None if kind == BinaryKind.XOR else op.b


def absorb(op: BinaryOp, build: Build) -> SSAValue | None:
    """Of integers: x * 0 -> 0, x & 0 -> 0, x | -1 -> -1, x remainder 1 -> 0."""
    found = _ABSORBING_INT.get(op.kind.data)
    if found is None or not dtype_of_value(op.a).is_int or not is_splat(op.b, found[0]):
        return None
    return filled(build, found[1], type_of(op.a))


def equal_operands(op: BinaryOp, build: Build) -> SSAValue | None:
    """max(x, x), min(x, x), x & x, x | x -> x; x xor x -> 0; of integers x - x -> 0."""
    if op.a is not op.b:
        return None
    kind, dtype = op.kind.data, dtype_of_value(op.a)
    if kind in (BinaryKind.MAXIMUM, BinaryKind.MINIMUM, BinaryKind.AND, BinaryKind.OR):
        return op.a
    if kind == BinaryKind.XOR or (kind == BinaryKind.SUB and dtype.is_int):
        return filled(build, False if dtype.is_bool else 0, type_of(op.a))
    return None


def times_minus_one(op: BinaryOp, build: Build) -> SSAValue | None:
    """x * -1, x / -1 -> -x."""
    if op.kind.data in (BinaryKind.MUL, BinaryKind.DIV) and is_splat(op.b, -1):
        return build(UnaryOp("neg", op.a))
    return None


def divide_by_power_of_two(op: BinaryOp, build: Build) -> SSAValue | None:
    """x / 2**k -> x * 2**-k: exact, and several times faster."""
    number = splat_in(op.b)
    if op.kind.data != BinaryKind.DIV or not isinstance(number, float):
        return None
    # 1 / number must not be subnormal.
    most = 2**13 if dtype_of_value(op.a).name == "float16" else 2**100
    if not 1 / most < abs(number) < most or abs(frexp(number)[0]) != 0.5:
        return None
    return build(BinaryOp("mul", op.a, filled(build, 1 / number, type_of(op.b))))


def small_powers(op: BinaryOp, build: Build) -> SSAValue | None:
    """x ** 2 -> x * x, x ** 0 -> 1 (of a NaN too), x ** -1 -> 1 / x: rounded better than a pow."""
    if op.kind.data != BinaryKind.POW:
        return None
    if is_splat(op.b, 2.0):
        return build(BinaryOp("mul", op.a, op.a))
    if is_splat(op.b, 0.0) or is_splat(op.b, -0.0):
        return filled(build, 1.0, type_of(op.a))
    if is_splat(op.b, -1.0):
        return build(BinaryOp("div", filled(build, 1.0, type_of(op.a)), op.a))
    return None


def add_negated(op: BinaryOp, build: Build) -> SSAValue | None:
    """x + (-y) -> x - y, (-x) + y -> y - x, x - (-y) -> x + y."""
    kind = op.kind.data
    if kind not in (BinaryKind.ADD, BinaryKind.SUB):
        return None
    right = defining(op.b)
    if isinstance(right, UnaryOp) and right.kind.data == UnaryKind.NEG:
        return build(BinaryOp("sub" if kind == BinaryKind.ADD else "add", op.a, right.x))
    left = defining(op.a)
    if kind == BinaryKind.ADD and isinstance(left, UnaryOp) and left.kind.data == UnaryKind.NEG:
        return build(BinaryOp("sub", op.b, left.x))
    return None


def combine_constants(op: BinaryOp, build: Build) -> SSAValue | None:
    """(x + c) + d -> x + (c + d), and likewise mul, and, or, xor: of integers, which wrap alike."""
    kind, inner = op.kind.data, defining(op.a)
    if kind not in _COMMUTES or not dtype_of_value(op.a).is_int:
        return None
    if not isinstance(inner, BinaryOp) or inner.kind.data != kind:
        return None
    if splat_in(op.b) is None or splat_in(inner.b) is None:
        return None
    return build(BinaryOp(kind, inner.a, build(BinaryOp(kind, inner.b, op.b))))


def undo_unary(op: UnaryOp, build: Build) -> SSAValue | None:
    """neg neg x, not not x -> x; abs neg x -> abs x; abs abs x -> abs x; floor ceil x -> ceil x.

    Numbers without a sign are their own magnitude, negated ones too, which have wrapped.
    """
    dtype = dtype_of_value(op.x)
    if op.kind.data == UnaryKind.ABS and dtype.is_int and not dtype.is_signed:
        return op.x
    inner = defining(op.x)
    if not isinstance(inner, UnaryOp):
        return None
    outer_kind, inner_kind = op.kind.data, inner.kind.data
    if outer_kind == inner_kind and outer_kind in (UnaryKind.NEG, UnaryKind.NOT):
        return inner.x
    if outer_kind == UnaryKind.ABS and inner_kind == UnaryKind.NEG:
        return build(UnaryOp("abs", inner.x))
    same = outer_kind == inner_kind and outer_kind in _ONCE_IS_ENOUGH
    rounds = outer_kind in _ROUNDING and inner_kind in _ROUNDING
    return op.x if same or rounds else None


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    BinaryOp: (
        constant_to_the_right,
        drop_neutral,
        absorb,
        equal_operands,
        times_minus_one,
        divide_by_power_of_two,
        small_powers,
        add_negated,
        combine_constants,
    ),
    UnaryOp: (undo_unary,),
}
