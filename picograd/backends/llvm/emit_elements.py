"""Elementwise arithmetic on elements and one-axis tiles as LLVM text.

Where LLVM leaves a result undefined, the loop level does not: division by zero gives 0, the least
integer divided by -1 wraps, shifts by the width or more give 0 (or the sign), and conversions of
floats to integers saturate, with 0 for NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
)
from xdsl.ir import Attribute, Operation

from picograd.backends.llvm import types
from picograd.backends.llvm.function import Function
from picograd.dialects.literals import array_of
from picograd.dialects.loop import (
    CONVERSIONS,
    CompareOp,
    ConvertOp,
    ScaleOp,
    SelectOp,
)

Rule = Callable[[Function, Operation], None]

_BINARY: dict[type[Operation], str] = {
    arith.AddfOp: "fadd",
    arith.SubfOp: "fsub",
    arith.MulfOp: "fmul",
    arith.DivfOp: "fdiv",
    arith.AddiOp: "add",
    arith.SubiOp: "sub",
    arith.MuliOp: "mul",
    arith.AndIOp: "and",
    arith.OrIOp: "or",
    arith.XOrIOp: "xor",
}
_CONVERSIONS: dict[type[Operation], str] = {
    arith.SIToFPOp: "sitofp",
    arith.UIToFPOp: "uitofp",
    arith.ExtFOp: "fpext",
    arith.TruncFOp: "fptrunc",
    arith.ExtSIOp: "sext",
    arith.ExtUIOp: "zext",
    arith.TruncIOp: "trunc",
    arith.BitcastOp: "bitcast",
}
# Intrinsics that take and give one type. Those of the second table become calls of libm, one for
# each lane, unless expand_math has replaced them by polynomials.
_INTRINSICS: dict[type[Operation], str] = {
    math.FmaOp: "llvm.fma",
    math.SqrtOp: "llvm.sqrt",
    math.AbsFOp: "llvm.fabs",
    math.FloorOp: "llvm.floor",
    math.CeilOp: "llvm.ceil",
    math.RoundEvenOp: "llvm.roundeven",
    math.TruncOp: "llvm.trunc",
    math.CopySignOp: "llvm.copysign",
    arith.MaxSIOp: "llvm.smax",
    arith.MinSIOp: "llvm.smin",
    arith.MaxUIOp: "llvm.umax",
    arith.MinUIOp: "llvm.umin",
}
_LIBRARY: dict[type[Operation], str] = {
    math.ExpOp: "exp",
    math.LogOp: "log",
    math.SinOp: "sin",
    math.CosOp: "cos",
    math.TanhOp: "tanh",
    math.ErfOp: "erf",
    math.PowFOp: "pow",
}
_ORDERED = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_OPPOSITES = {"eq": "une", "ne": "oeq", "lt": "uge", "le": "ugt", "gt": "ule", "ge": "ult"}
_SIGNED = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}
# Upstream numbers its predicates.
_CMPF = [
    "false",
    "oeq",
    "ogt",
    "oge",
    "olt",
    "ole",
    "one",
    "ord",
    "ueq",
    "ugt",
    "uge",
    "ult",
    "ule",
    "une",
    "uno",
    "true",
]
_CMPI = ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"]


def _operands(f: Function, op: Operation) -> str:
    """`<4 x float> %a, %b`: operands of one type."""
    names = ", ".join(f.names[operand] for operand in op.operands)
    return f"{types.value(op.operands[0].type)} {names}"


def _binary(f: Function, op: Operation) -> None:
    f.set(op.results[0], f"{_BINARY[type(op)]} {_operands(f, op)}")


def _conversion(f: Function, op: Operation) -> None:
    result = op.results[0]
    f.set(
        result,
        f"{_CONVERSIONS[_conversion_class(op)]} {f.typed(op.operands[0])} "
        f"to {types.value(result.type)}",
    )


def _conversion_class(op: Operation) -> type[Operation]:
    """The upstream conversion that an operation does, on an element or a tile."""
    return CONVERSIONS[op.kind.data] if isinstance(op, ConvertOp) else type(op)


def _convert(f: Function, op: Operation) -> None:
    to_integer = _conversion_class(op) in (arith.FPToSIOp, arith.FPToUIOp)
    (_to_integer if to_integer else _conversion)(f, op)


def _intrinsic(name: str, f: Function, type: Attribute, arguments: list[str]) -> str:
    spelled = types.value(type)
    full = f"{name}.{types.suffix(types.scalar(type), types.lanes(type))}"
    return f.call(full, spelled, [(spelled, text) for text in arguments])


def _call_intrinsic(f: Function, op: Operation) -> None:
    result = op.results[0]
    arguments = [f.names[operand] for operand in op.operands]
    f.set(result, _intrinsic(_INTRINSICS[type(op)], f, result.type, arguments))


def _call_library(f: Function, op: Operation) -> None:
    """One call of libm for each lane."""
    result = op.results[0]
    scalar, lanes = types.scalar(result.type), types.lanes(result.type)
    name = _LIBRARY[type(op)] + ("f" if scalar == "float" else "")
    if not lanes:
        arguments = [(scalar, f.names[operand]) for operand in op.operands]
        f.set(result, f.call(name, scalar, arguments))
        return
    vector, text = types.value(result.type), "poison"
    for lane in range(lanes):
        arguments = [
            (scalar, f.assign("x", f"extractelement {f.typed(operand)}, i64 {lane}"))
            for operand in op.operands
        ]
        element = f.assign("y", f.call(name, scalar, arguments))
        text = f.assign("y", f"insertelement {vector} {text}, {scalar} {element}, i64 {lane}")
    f.names[result] = text


def _constant(f: Function, op: Operation) -> None:
    assert isinstance(op, arith.ConstantOp)
    value, type = op.value, op.result.type
    scalar, lanes = types.scalar(type), types.lanes(type)
    if isinstance(value, DenseIntOrFPElementsAttr):
        numbers = array_of(cast(Any, value)).reshape(-1).tolist()
        items = [types.number_text(number, scalar) for number in numbers]
        items += ["poison"] * (types.width(lanes) - lanes)
        f.names[op.result] = types.list_text(items, scalar)
        return
    assert isinstance(value, FloatAttr | IntegerAttr)
    number = cast(float, cast(Any, value).value.data)
    f.names[op.result] = f.constant(number, type)


def _negate(f: Function, op: Operation) -> None:
    f.set(op.results[0], f"fneg {f.typed(op.operands[0])}")


def _reciprocal_root(f: Function, op: Operation) -> None:
    type = op.results[0].type
    root = f.assign("root", _intrinsic("llvm.sqrt", f, type, [f.names[op.operands[0]]]))
    f.set(op.results[0], f"fdiv {types.value(type)} {f.constant(1.0, type)}, {root}")


def _scale(f: Function, op: Operation) -> None:
    value = op.operands[0]
    lanes = types.lanes(value.type)
    name = (
        f"llvm.ldexp.{types.suffix(types.scalar(value.type), lanes)}.{types.suffix('i32', lanes)}"
    )
    arguments = [(types.value(each.type), f.names[each]) for each in op.operands]
    f.set(op.results[0], f.call(name, types.value(value.type), arguments))


def _absolute_integer(f: Function, op: Operation) -> None:
    operand = op.operands[0]
    name = f"llvm.abs.{types.suffix(types.scalar(operand.type), types.lanes(operand.type))}"
    type = types.value(operand.type)
    f.set(op.results[0], f.call(name, type, [(type, f.names[operand]), ("i1", "false")]))


def _extreme(f: Function, op: Operation) -> None:
    """Maximum and minimum, NaN if either is.

    With a constant that is no NaN it is a comparison and a selection, which becomes one
    instruction: b > a ? b : a keeps a NaN in a.
    """
    left, right = op.operands
    larger = isinstance(op, arith.MaximumfOp)
    if _is_number(f.names[left]):
        left, right = right, left
    type = types.value(left.type)
    if _is_number(f.names[right]):
        a, b = f.names[left], f.names[right]
        better = f.assign("better", f"fcmp {'ogt' if larger else 'olt'} {type} {b}, {a}")
        condition = types.vector("i1", types.lanes(left.type))
        f.set(op.results[0], f"select nsz {condition} {better}, {type} {b}, {type} {a}")
        return
    name = "llvm.maximum" if larger else "llvm.minimum"
    call = _intrinsic(name, f, left.type, [f.names[left], f.names[right]])
    f.set(op.results[0], call.replace("call ", "call nsz ", 1))


def _is_number(text: str) -> bool:
    """Whether the text is one constant, in every lane if there are lanes, and no NaN."""
    if text.startswith("%"):
        return False
    _, hexadecimal, digits = text.partition("0x")
    if not hexadecimal:
        return False
    bits = bytes.fromhex(digits[:16])
    return not np.isnan(struct.unpack(">d", bits)[0])


def _known_integer(text: str) -> int | None:
    """The integer that a text spells, in every lane if there are lanes; None if no constant."""
    digits = text.removeprefix("splat (").rstrip(")").rpartition(" ")[2]
    return int(digits) if digits.lstrip("-").isdecimal() else None


# Comparison and choice


def _compare(f: Function, op: Operation) -> None:
    assert isinstance(op, CompareOp)
    scalar, predicate = types.scalar(op.left.type), op.predicate.data
    if types.is_float(scalar):
        f.set(op.result, f"fcmp {_ORDERED[predicate]} {_operands(f, op)}")
    else:
        table = _UNSIGNED if scalar == "i1" else _SIGNED
        f.set(op.result, f"icmp {table[predicate]} {_operands(f, op)}")


def _compare_floats(f: Function, op: Operation) -> None:
    assert isinstance(op, arith.CmpfOp)
    f.set(op.result, f"fcmp {_CMPF[op.predicate.value.data]} {_operands(f, op)}")


def _compare_integers(f: Function, op: Operation) -> None:
    assert isinstance(op, arith.CmpiOp)
    f.set(op.result, f"icmp {_CMPI[op.predicate.value.data]} {_operands(f, op)}")


def _select(f: Function, op: Operation) -> None:
    """A choice. Zeros where a comparison of floats holds are zeros where its opposite does not.

    That way round the choice is no instruction of its own with AVX-512: a mask of what is kept goes
    with the instruction that computes the other value.
    """
    condition, zeros, others = op.operands
    compared = condition.owner
    if (
        isinstance(compared, CompareOp)
        and others not in compared.operands  # maximum and minimum of zero are instructions
        and types.is_float(types.scalar(compared.left.type))
        and f.names[zeros] == f.constant(0.0, zeros.type)
    ):
        opposite = _OPPOSITES[compared.predicate.data]
        kept = f.assign("kept", f"fcmp {opposite} {_operands(f, compared)}")
        mask = types.value(condition.type)
        f.set(op.results[0], f"select {mask} {kept}, {f.typed(others)}, {f.typed(zeros)}")
        return
    f.set(op.results[0], "select " + ", ".join(f.typed(operand) for operand in op.operands))


# Integers that LLVM leaves undefined


def _divide(f: Function, op: Operation) -> None:
    """Signed quotient towards zero and remainder, defined for every divisor."""
    left, right = op.operands
    type, result = types.value(left.type), op.results[0]
    condition = types.vector("i1", types.lanes(left.type))
    zero, one, minus = (f.constant(number, left.type) for number in (0, 1, -1))
    a, b = f.names[left], f.names[right]
    if _known_integer(b) not in (None, 0, -1):
        f.set(result, f"{'srem' if isinstance(op, arith.RemSIOp) else 'sdiv'} {type} {a}, {b}")
        return
    is_zero = f.assign("zero", f"icmp eq {type} {b}, {zero}")
    is_minus = f.assign("minus", f"icmp eq {type} {b}, {minus}")
    odd = f.assign("odd", f"or {condition} {is_zero}, {is_minus}")
    safe = f.assign("divisor", f"select {condition} {odd}, {type} {one}, {type} {b}")
    if isinstance(op, arith.RemSIOp):  # the remainder by 1 is 0, which is right for 0 and -1
        f.set(result, f"srem {type} {a}, {safe}")
        return
    quotient = f.assign("quotient", f"sdiv {type} {a}, {safe}")
    negated = f.assign("negated", f"sub {type} {zero}, {a}")
    some = f.assign(
        "quotient", f"select {condition} {is_minus}, {type} {negated}, {type} {quotient}"
    )
    f.set(result, f"select {condition} {is_zero}, {type} {zero}, {type} {some}")


_SHIFTS: dict[type[Operation], str] = {
    arith.ShLIOp: "shl",
    arith.ShRUIOp: "lshr",
    arith.ShRSIOp: "ashr",
}


def _shift(f: Function, op: Operation) -> None:
    left, right = op.operands
    type, scalar = types.value(left.type), types.scalar(left.type)
    bits = int(scalar[1:])
    a, b = f.names[left], f.names[right]
    known = _known_integer(b)
    if known is not None and 0 <= known < bits:
        f.set(op.results[0], f"{_SHIFTS[op.__class__]} {type} {a}, {b}")
        return
    most = f.constant(bits - 1, left.type)
    bounded = f.assign("by", _intrinsic("llvm.umin", f, left.type, [b, most]))
    shifted = f"{_SHIFTS[op.__class__]} {type} {a}, {bounded}"
    if isinstance(op, arith.ShRSIOp):
        f.set(op.results[0], shifted)
        return
    some = f.assign("shifted", shifted)
    condition = types.vector("i1", types.lanes(left.type))
    fits = f.assign("fits", f"icmp ule {type} {b}, {most}")
    zero = f.constant(0, left.type)
    f.set(op.results[0], f"select {condition} {fits}, {type} {some}, {type} {zero}")


def _to_integer(f: Function, op: Operation) -> None:
    """Truncation that saturates; NaN gives 0."""
    operand, result = op.operands[0], op.results[0]
    signed = _conversion_class(op) is arith.FPToSIOp
    kind = "llvm.fptosi.sat" if signed else "llvm.fptoui.sat"
    source, target = operand.type, result.type
    lanes = types.lanes(target)
    name = (
        f"{kind}.{types.suffix(types.scalar(target), lanes)}"
        f".{types.suffix(types.scalar(source), lanes)}"
    )
    f.set(result, f.call(name, types.value(target), [(types.value(source), f.names[operand])]))


RULES: dict[type[Operation], Rule] = {
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_CONVERSIONS, _conversion),
    **dict.fromkeys(_INTRINSICS, _call_intrinsic),
    **dict.fromkeys(_LIBRARY, _call_library),
    **dict.fromkeys(_SHIFTS, _shift),
    arith.ConstantOp: _constant,
    arith.NegfOp: _negate,
    arith.MaximumfOp: _extreme,
    arith.MinimumfOp: _extreme,
    arith.CmpfOp: _compare_floats,
    arith.CmpiOp: _compare_integers,
    arith.SelectOp: _select,
    arith.DivSIOp: _divide,
    arith.RemSIOp: _divide,
    ConvertOp: _convert,
    arith.FPToSIOp: _to_integer,
    arith.FPToUIOp: _to_integer,
    math.RsqrtOp: _reciprocal_root,
    math.AbsIOp: _absolute_integer,
    ScaleOp: _scale,
    CompareOp: _compare,
    SelectOp: _select,
}
