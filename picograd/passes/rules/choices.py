"""Rules for comparisons, selections and casts."""

from collections.abc import Mapping

from xdsl.ir import Operation, SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import (
    CastOp,
    CompareKind,
    CompareOp,
    SelectOp,
    UnaryKind,
    UnaryOp,
)
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.matching import defining, dtype_of_value, filled, splat_in

_OPPOSITE: Mapping[CompareKind, CompareKind] = {
    CompareKind.EQ: CompareKind.NE,
    CompareKind.NE: CompareKind.EQ,
    CompareKind.LT: CompareKind.GE,
    CompareKind.GE: CompareKind.LT,
    CompareKind.GT: CompareKind.LE,
    CompareKind.LE: CompareKind.GT,
}
_TRUE_OF_EQUALS = (CompareKind.EQ, CompareKind.LE, CompareKind.GE)
_FALSE_OF_EQUALS = (CompareKind.NE, CompareKind.LT, CompareKind.GT)

# dtype -> the dtypes that hold every one of its values.
_FLOATS = frozenset({"float32", "float64"})
_WIDER: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16"})
    | _FLOATS,
    "int8": frozenset({"int16", "int32", "int64", "float16", "bfloat16"}) | _FLOATS,
    "uint8": frozenset({"int16", "int32", "int64", "float16", "bfloat16"}) | _FLOATS,
    "int16": frozenset({"int32", "int64"}) | _FLOATS,
    "int32": frozenset({"int64", "float64"}),
    "float16": _FLOATS,
    "bfloat16": _FLOATS,
    "float32": frozenset({"float64"}),
}


def known_choice(op: SelectOp, build: Build) -> SSAValue | None:
    """select true, a, b -> a; select c, a, a -> a."""
    if op.on_true is op.on_false:
        return op.on_true
    known = splat_in(op.condition)
    if known is None:
        return None
    return op.on_true if known else op.on_false


def choice_by_negation(op: SelectOp, build: Build) -> SSAValue | None:
    """select (not c), a, b -> select c, b, a."""
    inner = defining(op.condition)
    if isinstance(inner, UnaryOp) and inner.kind.data == UnaryKind.NOT:
        return build(SelectOp(inner.x, op.on_false, op.on_true))
    return None


def choice_of_truth(op: SelectOp, build: Build) -> SSAValue | None:
    """select c, true, false -> c; select c, false, true -> not c."""
    if not dtype_of_value(op.on_true).is_bool:
        return None
    choices = splat_in(op.on_true), splat_in(op.on_false)
    if choices == (True, False):
        return op.condition
    if choices == (False, True):
        return build(UnaryOp("not", op.condition))
    return None


def compare_with_itself(op: CompareOp, build: Build) -> SSAValue | None:
    """x < x -> false, also for a NaN; x == x -> true unless x is a float, which may be one."""
    if op.a is not op.b:
        return None
    kind, is_float = op.kind.data, dtype_of_value(op.a).is_float
    if kind in _TRUE_OF_EQUALS and not is_float:
        return filled(build, True, type_of(op.result))
    if kind in _FALSE_OF_EQUALS and (kind != CompareKind.NE or not is_float):
        return filled(build, False, type_of(op.result))
    return None


def compare_with_truth(op: CompareOp, build: Build) -> SSAValue | None:
    """c == true, c != false -> c; c == false, c != true -> not c."""
    known = splat_in(op.b)
    if known is None or not dtype_of_value(op.a).is_bool:
        return None
    if bool(known) == (op.kind.data == CompareKind.EQ):
        return op.a
    return build(UnaryOp("not", op.a))


def negate_comparison(op: UnaryOp, build: Build) -> SSAValue | None:
    """not (a < b) -> a >= b; of floats, where a NaN makes both false, only == and !=."""
    inner = defining(op.x)
    if op.kind.data != UnaryKind.NOT or not isinstance(inner, CompareOp):
        return None
    kind = inner.kind.data
    if dtype_of_value(inner.a).is_float and kind not in (CompareKind.EQ, CompareKind.NE):
        return None
    return build(CompareOp(_OPPOSITE[kind], inner.a, inner.b))


def cast_to_same(op: CastOp, build: Build) -> SSAValue | None:
    """A cast to the type that the value has."""
    return op.x if op.x.type == op.result.type else None


def cast_of_cast(op: CastOp, build: Build) -> SSAValue | None:
    """A cast to a wider type and on to another is one cast: the first loses nothing.

    But floats become the nearest integer, and integers wrap: i32 to f64 to i8 is not i32 to i8.
    """
    inner = defining(op.x)
    if not isinstance(inner, CastOp):
        return None
    source, middle, target = map(dtype_of_value, (inner.x, op.x, op.result))
    wider = _WIDER.get(source.name, frozenset())
    if middle.name not in wider:
        return None
    fits = target is source or target.name in wider
    if source.is_int and middle.is_float and target.is_int and not fits:
        return None
    return build(CastOp(inner.x, op.element_type))


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    SelectOp: (known_choice, choice_by_negation, choice_of_truth),
    CompareOp: (compare_with_itself, compare_with_truth),
    UnaryOp: (negate_comparison,),
    CastOp: (cast_to_same, cast_of_cast),
}
