"""One row per element operation: what `arith`, `math` and the loop dialect's scalars are in WGSL.

A row maps the operands' text to the result's text. Where WGSL and MLIR agree a format string
says it all; where they differ (NaN, floor division, saturation, bool) the row is a function.

Transcendental functions have no row on purpose: WGSL's are off by up to 300 ulp on real drivers,
so `expand_math` turns them into polynomials of what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f32, i1
from xdsl.ir import Attribute, Operation

from picograd.backends.wgsl.text import Helpers, integer, real, value_type
from picograd.dialects import loop_tiles
from picograd.errors import CompileError

Row = Callable[[Operation, Sequence[str], Helpers], str]


def expression(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    """The WGSL expression of an element operation. Raises CompileError when it has none."""
    row = _ROWS.get(op.name)
    if row is None:
        raise CompileError(
            f"{op.name} has no WGSL spelling",
            code="PG606",
            expected="an operation that backends/wgsl/elements.py has a row for",
            found=str(op).strip(),
            hint="run expand_math for transcendental functions, unroll_tiles{width=1} for tiles, "
            "and lower_reduce for reductions, before emitting",
        )
    for value in (*op.operands, *op.results):
        value_type(value.type)
    return row(op, operands, helpers)


def constant(op: arith.ConstantOp, helpers: Helpers) -> str:
    """The literal of a scalar constant."""
    value = op.value
    if isinstance(value, FloatAttr):
        value_type(value.type)
        return real(float(value.value.data), helpers)
    if isinstance(value, IntegerAttr):
        if value_type(op.result.type) == "bool":
            return "true" if value.value.data else "false"
        return integer(_signed(value.value.data))
    raise CompileError(
        "only scalar constants have a WGSL spelling",
        expected="a constant of one element",
        code="PG606",
        found=str(op).strip(),
        hint="run unroll_tiles{width=1} before emitting",
    )


def _signed(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _form(form: str) -> Row:
    return lambda op, operands, helpers: form.format(*operands)


def _call(name: str) -> Row:
    return lambda op, operands, helpers: f"{helpers.use(name)}({', '.join(operands)})"


def _unsigned(operator: str) -> Row:
    return _form(f"bitcast<i32>(bitcast<u32>({{0}}) {operator} bitcast<u32>({{1}}))")


def _is_bool(type: Attribute) -> bool:
    return type == i1


def _bitwise(operator: str, on_bools: str) -> Row:
    def row(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
        chosen = on_bools if _is_bool(op.results[0].type) else operator
        return f"{operands[0]} {chosen} {operands[1]}"

    return row


def _unsigned_extreme(name: str, on_bools: str) -> Row:
    def row(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
        if _is_bool(op.results[0].type):
            return f"{operands[0]} {on_bools} {operands[1]}"
        return f"bitcast<i32>({name}(bitcast<u32>({operands[0]}), bitcast<u32>({operands[1]})))"

    return row


def _maximum(name: str, plain: str) -> Row:
    """maximumf or minimumf: a NaN on either side wins. A constant side is known not to be NaN."""

    def row(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
        left, right = operands
        for value, other in ((op.operands[0], right), (op.operands[1], left)):
            if _is_number(value.owner):
                helpers.use("is_nan")
                return f"select({plain}({left}, {right}), {other}, pg_is_nan({other}))"
        return f"{helpers.use(name)}({left}, {right})"

    return row


def _is_number(owner: object) -> bool:
    """Whether a value is a floating-point constant other than NaN."""
    if not isinstance(owner, arith.ConstantOp) or not isinstance(owner.value, FloatAttr):
        return False
    return not isnan(float(owner.value.value.data))


_COMPARE = {"eq": "==", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _loop_compare(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    assert isinstance(op, loop_tiles.CompareOp)
    predicate = op.predicate.data
    left, right = operands
    if op.left is op.right and predicate in ("eq", "ne") and op.left.type == f32:
        # The test for NaN. Drivers that assume that there is none would leave `x == x` out.
        return f"{'!' if predicate == 'eq' else ''}{helpers.use('is_nan')}({left})"
    if _is_bool(op.left.type) and predicate not in ("eq", "ne"):
        left, right = f"u32({left})", f"u32({right})"
    if predicate == "ne":
        # naga makes `!=` of floats an ordered comparison, which is false for NaN.
        return f"!({left} == {right})"
    return f"{left} {_COMPARE[predicate]} {right}"


# The position is arith's number of the predicate.
_ORDERED = ("", "==", ">", ">=", "<", "<=")


def _compare_floats(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    assert isinstance(op, arith.CmpfOp)
    number = op.predicate.value.data
    left, right = operands
    if number in (0, 15):
        return "true" if number else "false"
    if number <= 5:
        return f"{left} {_ORDERED[number]} {right}"
    helpers.use("is_nan")
    unordered = f"(pg_is_nan({left}) || pg_is_nan({right}))"
    if number == 6:
        return f"!{unordered} && {left} != {right}"
    if number == 7:
        return f"!{unordered}"
    if number == 14:
        return unordered
    if number == 13:
        return f"{unordered} || {left} != {right}"
    return f"{unordered} || {left} {_ORDERED[number - 7]} {right}"


_INTEGER_PREDICATES = ("==", "!=", "<", "<=", ">", ">=", "<", "<=", ">", ">=")


def _compare_integers(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    assert isinstance(op, arith.CmpiOp)
    number = op.predicate.value.data
    left, right = operands
    if _is_bool(op.lhs.type):
        if number > 1:
            # i1 is -1 or 0 to a signed comparison, 1 or 0 to an unsigned one.
            sign = "-" if number < 6 else ""
            left, right = f"{sign}i32({left})", f"{sign}i32({right})"
    elif number >= 6:
        left, right = f"bitcast<u32>({left})", f"bitcast<u32>({right})"
    return f"{left} {_INTEGER_PREDICATES[number]} {right}"


def _from_integer(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    if _is_bool(op.operands[0].type):
        sign = "-" if isinstance(op, arith.SIToFPOp) else ""
        return f"select(0.0f, {sign}1.0f, {operands[0]})"
    if isinstance(op, arith.UIToFPOp):
        return f"f32(bitcast<u32>({operands[0]}))"
    return f"f32({operands[0]})"


def _truncate(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    if _is_bool(op.results[0].type) and not _is_bool(op.operands[0].type):
        return f"({operands[0]} & 1i) != 0i"
    return operands[0]


def _extend(value_of_true: str) -> Row:
    def row(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
        if _is_bool(op.operands[0].type):
            return f"select(0i, {value_of_true}, {operands[0]})"
        return operands[0]

    return row


def _bitcast(op: Operation, operands: Sequence[str], helpers: Helpers) -> str:
    return f"bitcast<{value_type(op.results[0].type)}>({operands[0]})"


_LOW_AND_HIGH: Mapping[str, tuple[str, str]] = {
    "arith.mului_extended": (
        "bitcast<i32>(bitcast<u32>({0}) * bitcast<u32>({1}))",
        "bitcast<i32>(pg_high_word(bitcast<u32>({0}), bitcast<u32>({1})))",
    ),
    "arith.addui_extended": (
        "bitcast<i32>(bitcast<u32>({0}) + bitcast<u32>({1}))",
        "(bitcast<u32>({0}) + bitcast<u32>({1})) < bitcast<u32>({0})",
    ),
}


def expressions(op: Operation, operands: Sequence[str], helpers: Helpers) -> list[str]:
    """The WGSL expressions of all results of an element operation. Raises CompileError."""
    if op.name in _LOW_AND_HIGH:
        if op.name == "arith.mului_extended":
            helpers.use("high_word")
        return [form.format(*operands) for form in _LOW_AND_HIGH[op.name]]
    return [expression(op, operands, helpers)]


_ROWS: Mapping[str, Row] = {
    # floats
    arith.AddfOp.name: _form("{0} + {1}"),
    arith.SubfOp.name: _form("{0} - {1}"),
    arith.MulfOp.name: _form("{0} * {1}"),
    arith.DivfOp.name: _form("{0} / {1}"),
    arith.NegfOp.name: _form("-{0}"),
    arith.MaximumfOp.name: _maximum("maximum", "max"),
    arith.MinimumfOp.name: _maximum("minimum", "min"),
    arith.MaxnumfOp.name: _call("maxnum"),
    arith.MinnumfOp.name: _call("minnum"),
    arith.CmpfOp.name: _compare_floats,
    math.AbsFOp.name: _form("abs({0})"),
    math.CeilOp.name: _form("ceil({0})"),
    math.FloorOp.name: _form("floor({0})"),
    math.RoundEvenOp.name: _form("round({0})"),
    math.TruncOp.name: _form("trunc({0})"),
    math.SqrtOp.name: _form("sqrt({0})"),
    math.RsqrtOp.name: _form("inverseSqrt({0})"),
    math.FmaOp.name: _form("fma({0}, {1}, {2})"),
    math.CopySignOp.name: _call("copysign"),
    # integers and bools
    arith.AddiOp.name: _form("{0} + {1}"),
    arith.SubiOp.name: _form("{0} - {1}"),
    arith.MuliOp.name: _form("{0} * {1}"),
    arith.DivSIOp.name: _form("{0} / {1}"),
    arith.RemSIOp.name: _call("remainder"),
    arith.DivUIOp.name: _unsigned("/"),
    arith.RemUIOp.name: _unsigned("%"),
    arith.FloorDivSIOp.name: _call("floordiv"),
    arith.AndIOp.name: _bitwise("&", "&"),
    arith.OrIOp.name: _bitwise("|", "|"),
    arith.XOrIOp.name: _bitwise("^", "!="),
    arith.ShLIOp.name: _form("{0} << bitcast<u32>({1})"),
    arith.ShRSIOp.name: _form("{0} >> bitcast<u32>({1})"),
    arith.ShRUIOp.name: _form("bitcast<i32>(bitcast<u32>({0}) >> bitcast<u32>({1}))"),
    # Not max() and min(): an NVIDIA driver makes max(max(a, 0 - a), b) of integers something else.
    arith.MaxSIOp.name: _form("select({1}, {0}, {0} > {1})"),
    arith.MinSIOp.name: _form("select({1}, {0}, {0} < {1})"),
    arith.MaxUIOp.name: _unsigned_extreme("max", "|"),
    arith.MinUIOp.name: _unsigned_extreme("min", "&"),
    arith.CmpiOp.name: _compare_integers,
    math.AbsIOp.name: _form("abs({0})"),
    # either
    arith.SelectOp.name: _form("select({2}, {1}, {0})"),
    loop_tiles.SelectOp.name: _form("select({2}, {1}, {0})"),
    loop_tiles.CompareOp.name: _loop_compare,
    loop_tiles.ScaleOp.name: _form("ldexp({0}, {1})"),
    # casts
    arith.SIToFPOp.name: _from_integer,
    arith.UIToFPOp.name: _from_integer,
    arith.FPToSIOp.name: _call("float_to_int"),
    arith.ExtSIOp.name: _extend("-1i"),
    arith.ExtUIOp.name: _extend("1i"),
    arith.TruncIOp.name: _truncate,
    arith.BitcastOp.name: _bitcast,
    arith.IndexCastOp.name: _form("{0}"),
}
ELEMENT_OPS = frozenset(_ROWS) | frozenset(_LOW_AND_HIGH)
"""The names of the element operations that the emitter knows."""
