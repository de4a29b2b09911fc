"""How reductions and folds combine: the named combiners, their arithmetic and identities."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa
from xdsl.utils.str_enum import StrEnum

from picograd.dialects.loop_syntax import element_type


class ReduceKind(StrEnum):
    """The named combiners of reductions and folds."""

    ADD = "add"
    MUL = "mul"
    MAX = "max"
    MIN = "min"
    AND = "and"
    OR = "or"


_FLOAT_COMBINERS: dict[str, type[arith.FloatingPointLikeBinaryOperation]] = {
    ReduceKind.ADD: arith.AddfOp,
    ReduceKind.MUL: arith.MulfOp,
    ReduceKind.MAX: arith.MaximumfOp,
    ReduceKind.MIN: arith.MinimumfOp,
}
_INTEGER_COMBINERS: dict[str, type[arith.SignlessIntegerBinaryOperation]] = {
    ReduceKind.ADD: arith.AddiOp,
    ReduceKind.MUL: arith.MuliOp,
    ReduceKind.MAX: arith.MaxSIOp,
    ReduceKind.MIN: arith.MinSIOp,
    ReduceKind.AND: arith.AndIOp,
    ReduceKind.OR: arith.OrIOp,
}
_BOOLEAN_COMBINERS: dict[str, type[arith.SignlessIntegerBinaryOperation]] = {
    ReduceKind.MAX: arith.OrIOp,
    ReduceKind.MIN: arith.AndIOp,
    ReduceKind.AND: arith.AndIOp,
    ReduceKind.OR: arith.OrIOp,
}


def combines(kind: str, type: Attribute) -> bool:
    """Whether a named combiner exists for elements or tiles of a type."""
    element = element_type(type)
    if isinstance(element, AnyFloat):
        return kind in _FLOAT_COMBINERS
    return kind in (_BOOLEAN_COMBINERS if element == i1 else _INTEGER_COMBINERS)


def combine(kind: str, left: SSAValue, right: SSAValue) -> Operation:
    """The arith operation that combines two values (elements or tiles) of the same type."""
    element = element_type(left.type)
    if isinstance(element, AnyFloat):
        cls: type[Operation] = _FLOAT_COMBINERS[kind]
        flags = arith.FastMathFlagsAttr("none")
        return cls.create(
            operands=[left, right], result_types=[left.type], properties={"fastmath": flags}
        )
    cls = (_BOOLEAN_COMBINERS if element == i1 else _INTEGER_COMBINERS)[kind]
    return cls(left, right)


def identity(kind: str, type: Attribute) -> arith.ConstantOp:
    """The constant that changes nothing when a named combiner meets it, for an element type."""
    element = element_type(type)
    if isinstance(element, AnyFloat):
        floats = {
            ReduceKind.ADD: 0.0,
            ReduceKind.MUL: 1.0,
            ReduceKind.MAX: float("-inf"),
            ReduceKind.MIN: float("inf"),
        }
        return arith.ConstantOp(FloatAttr(floats[ReduceKind(kind)], element))
    assert isa(element, IntegerType)
    width = element.width.data
    if width == 1:
        truth = ReduceKind(kind) in (ReduceKind.MIN, ReduceKind.AND)
        return arith.ConstantOp(IntegerAttr(int(truth), element))
    integers = {
        ReduceKind.ADD: 0,
        ReduceKind.MUL: 1,
        ReduceKind.MAX: -(2 ** (width - 1)),
        ReduceKind.MIN: 2 ** (width - 1) - 1,
        ReduceKind.AND: -1,
        ReduceKind.OR: 0,
    }
    return arith.ConstantOp(IntegerAttr(integers[ReduceKind(kind)], element))


def verify_kind(name: str, kind: str, type: Attribute) -> None:
    """Check that a named combiner exists and fits the type of what it combines."""
    if kind not in list(ReduceKind):
        raise VerifyException(f"{name}: expected one of {', '.join(ReduceKind)}, found {kind!r}")
    if not combines(kind, type):
        raise VerifyException(f"{name}: {kind} does not combine values of type {type}")
