"""What each `arith` and `math` operation means for NumPy arrays of elements.

The rules work on arrays of any shape, elementwise. Integers are signless in the IR: they are held
as signed arrays, and the unsigned operations look at their bits. Integers wrap around. An i1 is a
NumPy bool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects import dtypes
from picograd.dialects.loop_syntax import element_type
from picograd.errors import VerificationError
from picograd.semantics.powers import power

Array: TypeAlias = np.ndarray[Any, Any]
Rule: TypeAlias = Callable[..., Array]


def element_dtype(type: Any, *, widen: bool) -> np.dtype[Any]:
    """The NumPy dtype of elements of an IR type; float64 for every float if `widen`."""
    dtype = dtypes.from_ir(element_type(type))
    return np.dtype(np.float64) if widen and dtype.is_float else dtype.numpy


def evaluate_element_op(op: Operation, arguments: list[Array], *, widen: bool) -> Array:
    """The result of an arith or math operation on arrays.

    `widen` computes every float in float64. Raises VerificationError for an operation that is no
    part of the loop level.
    """
    return element_rule(op, widen=widen)(*arguments)


def element_rule(op: Operation, *, widen: bool) -> Rule:
    """What an operation does to arrays, looked up once: see `evaluate_element_op`."""
    if isinstance(op, arith.ConstantOp):
        constant = _constant(op, widen=widen)
        return lambda: constant
    dtype = element_dtype(op.results[0].type, widen=widen)
    if isinstance(op, arith.CmpiOp):
        return _INTEGER_PREDICATES[op.predicate.value.data]
    if isinstance(op, arith.CmpfOp):
        return partial(_compare_floats, op.predicate.value.data)
    if op.name in CONVERSIONS:
        return partial(_converted, CONVERSIONS[op.name], dtype)
    if op.name == "arith.bitcast":
        narrow = element_dtype(op.operands[0].type, widen=False)
        target = element_dtype(op.results[0].type, widen=False)
        return partial(_bitcast, narrow, target, dtype)
    rule = ELEMENT_RULES.get(op.name)
    if rule is None:
        raise VerificationError(
            f"{op.name} has no meaning at the loop level",
            code="PG605",
            expected="an operation of arith or math on elements or tiles",
            found=op.name,
            hint="lower it before, or give it a rule in picograd/semantics/loop_elements.py",
        )
    return partial(_in_dtype, rule, dtype)


def _in_dtype(rule: Rule, dtype: np.dtype[Any], *arguments: Array) -> Array:
    result = rule(*arguments)
    return result if result.dtype == dtype else result.astype(dtype)


def _converted(rule: Rule, dtype: np.dtype[Any], values: Array) -> Array:
    return rule(values, dtype)


def _bitcast(
    narrow: np.dtype[Any], target: np.dtype[Any], dtype: np.dtype[Any], values: Array
) -> Array:
    return np.ascontiguousarray(values.astype(narrow)).view(target).astype(dtype)


class ElementRules(dict[Operation, tuple[Rule, Sequence[SSAValue], SSAValue]]):
    """What each op does, to what, and what it gives: looked up when it first runs, as sequential
    loops run it often.
    """

    def __init__(self, *, widen: bool) -> None:
        super().__init__()
        self.widen = widen

    def __missing__(self, op: Operation) -> tuple[Rule, Sequence[SSAValue], SSAValue]:
        found = element_rule(op, widen=self.widen), tuple(op.operands), op.results[0]
        return self.setdefault(op, found)


def _constant(op: arith.ConstantOp, *, widen: bool) -> Array:
    value = op.value
    if isinstance(value, FloatAttr):
        number: float | int = value.value.data
    elif isinstance(value, IntegerAttr):
        number = value.value.data
    else:
        raise VerificationError(
            "a constant of the loop level is one element",
            code="PG605",
            expected="a float or an integer",
            found=value,
            hint="use loop.broadcast to make a tile of it",
        )
    return np.asarray(number).astype(element_dtype(op.result.type, widen=widen))


def _unsigned(values: Array) -> Array:
    """The bits of integers as unsigned numbers."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    return values.view(np.dtype(f"u{values.dtype.itemsize}"))


def _on_bits(rule: Rule) -> Rule:
    """An integer rule applied to the operands' bits as unsigned numbers."""

    def apply(*arguments: Array) -> Array:
        dtype = arguments[0].dtype
        result = rule(*(_unsigned(np.asarray(argument)) for argument in arguments))
        return (result & 1).astype(np.bool_) if dtype == np.bool_ else result.view(dtype)

    return apply


def _shift(rule: Rule) -> Rule:
    """A shift by as many bits as the type has, or more, gives 0."""

    def apply(left: Array, right: Array) -> Array:
        width = left.dtype.itemsize * 8
        return np.where(right < width, rule(left, right % width), 0).astype(left.dtype)

    return apply


def _arithmetic_shift(left: Array, right: Array) -> Array:
    width = right.dtype.itemsize * 8
    return np.right_shift(left, np.minimum(_unsigned(right), width - 1).astype(left.dtype))


def _nonzero(rule: Rule) -> Rule:
    """A division whose result for the divisor 0, which the IR leaves undefined, is 0."""

    def apply(left: Array, right: Array) -> Array:
        safe = np.where(right == 0, 1, right)
        return np.where(right == 0, 0, rule(left, safe))

    return apply


def _truncated_quotient(left: Array, right: Array) -> Array:
    quotient = np.floor_divide(left, right)
    return quotient + ((quotient * right != left) & ((left < 0) != (right < 0)))


def _ceiling_quotient(left: Array, right: Array) -> Array:
    return -np.floor_divide(-left, right)


def _reciprocal_root(values: Array) -> Array:
    return np.asarray(1.0 / np.sqrt(values))


def _fma(a: Array, b: Array, c: Array) -> Array:
    product = np.multiply(a, b, dtype=np.float64)
    return np.add(product, c, dtype=np.float64).astype(a.dtype, copy=False)


def _round_half_away(values: Array) -> Array:
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


_erf = cast(Rule, np.frompyfunc(math.erf, 1, 1))


def _erf_rule(values: Array) -> Array:
    return np.asarray(_erf(values.astype(np.float64))).astype(np.float64)


def _through_double(rule: Rule) -> Rule:
    """Elementary functions are computed in float64 and rounded once: the reference is exact."""

    def apply(*arguments: Array) -> Array:
        dtype = arguments[0].dtype
        return rule(*(argument.astype(np.float64) for argument in arguments)).astype(dtype)

    return apply


ELEMENT_RULES: dict[str, Rule] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "arith.addi": _on_bits(np.add),
    "arith.subi": _on_bits(np.subtract),
    "arith.muli": _on_bits(np.multiply),
    "arith.divui": _on_bits(_nonzero(np.floor_divide)),
    "arith.remui": _on_bits(_nonzero(np.remainder)),
    "arith.divsi": _nonzero(_truncated_quotient),
    "arith.floordivsi": _nonzero(np.floor_divide),
    "arith.ceildivsi": _nonzero(_ceiling_quotient),
    "arith.remsi": _nonzero(np.fmod),
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "arith.maxui": _on_bits(np.maximum),
    "arith.minui": _on_bits(np.minimum),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": _on_bits(_shift(np.left_shift)),
    "arith.shrui": _on_bits(_shift(np.right_shift)),
    "arith.shrsi": _arithmetic_shift,
    "arith.select": np.where,
    "loop.scale": np.ldexp,
    "math.absf": np.abs,
    "math.absi": np.abs,
    "math.ceil": np.ceil,
    "math.floor": np.floor,
    "math.trunc": np.trunc,
    "math.round": _round_half_away,
    "math.roundeven": np.rint,
    "math.copysign": np.copysign,
    "math.fma": _fma,
    "math.sqrt": np.sqrt,
    "math.rsqrt": _through_double(_reciprocal_root),
    "math.exp": _through_double(np.exp),
    "math.exp2": _through_double(np.exp2),
    "math.expm1": _through_double(np.expm1),
    "math.log": _through_double(np.log),
    "math.log2": _through_double(np.log2),
    "math.log10": _through_double(np.log10),
    "math.log1p": _through_double(np.log1p),
    "math.sin": _through_double(np.sin),
    "math.cos": _through_double(np.cos),
    "math.tan": _through_double(np.tan),
    "math.tanh": _through_double(np.tanh),
    "math.atan2": _through_double(np.arctan2),
    "math.powf": _through_double(power),
    "math.erf": _erf_rule,
}
"""The operations that work on each element alone and keep the element type of their result."""


def _saturate(values: Array, dtype: np.dtype[Any]) -> Array:
    """Floats to integers: towards zero, out-of-range values to the nearest, NaN to 0."""
    limits = np.iinfo(dtype)
    low, high = float(limits.min), float(limits.max)
    wide = np.nan_to_num(np.trunc(values.astype(np.float64)), nan=0.0, posinf=high, neginf=low)
    result = np.clip(wide, low, np.nextafter(high, 0.0)).astype(dtype)
    return np.where(wide >= high, limits.max, result).astype(dtype)


def _signed_from_bool(values: Array, dtype: np.dtype[Any]) -> Array:
    """A signed look at an i1, whose only bit is the sign: true is -1."""
    result = values.astype(dtype)
    return -result if values.dtype == np.bool_ else result


def _truncate(values: Array, dtype: np.dtype[Any]) -> Array:
    return (values & 1).astype(np.bool_) if dtype == np.bool_ else values.astype(dtype)


def _saturate_unsigned(values: Array, dtype: np.dtype[Any]) -> Array:
    return _saturate(values, np.dtype(f"u{dtype.itemsize}")).view(dtype)


def _convert(values: Array, dtype: np.dtype[Any]) -> Array:
    return values.astype(dtype)


def _convert_unsigned(values: Array, dtype: np.dtype[Any]) -> Array:
    return _unsigned(values).astype(dtype)


CONVERSIONS: dict[str, Callable[[Array, np.dtype[Any]], Array]] = {
    "arith.fptosi": _saturate,
    "arith.fptoui": _saturate_unsigned,
    "arith.sitofp": _signed_from_bool,
    "arith.uitofp": _convert_unsigned,
    "arith.extf": _convert,
    "arith.truncf": _convert,
    "arith.trunci": _truncate,
    "arith.extsi": _signed_from_bool,
    "arith.extui": _convert_unsigned,
}
"""The operations that change the element type."""


def _on_unsigned(relation: Rule) -> Rule:
    def apply(left: Array, right: Array) -> Array:
        return relation(_unsigned(left), _unsigned(right))

    return apply


def convert_elements(kind: str, values: Array, type: Any, *, widen: bool) -> Array:
    """What loop.convert does, for the result type `type`."""
    return CONVERSIONS[f"arith.{kind}"](values, element_dtype(type, widen=widen))


_INTEGER_PREDICATES: tuple[Rule, ...] = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    _on_unsigned(np.less),
    _on_unsigned(np.less_equal),
    _on_unsigned(np.greater),
    _on_unsigned(np.greater_equal),
)
"""In the order of arith.cmpi's predicates."""

_FLOAT_RELATIONS: tuple[Rule, ...] = (
    np.equal,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    np.not_equal,
)


def _compare_floats(predicate: int, left: Array, right: Array) -> Array:
    """arith.cmpf: false, six ordered relations, ord, six unordered relations, uno, true."""
    unordered = np.isnan(left) | np.isnan(right)
    if predicate in (0, 15):
        return np.full(unordered.shape, predicate == 15)
    if predicate in (7, 14):
        return ~unordered if predicate == 7 else unordered
    relation = _FLOAT_RELATIONS[(predicate - 1) % 7](left, right)
    return relation & ~unordered if predicate < 7 else relation | unordered


def poisoned(shape: Sequence[int], type: Attribute, *, widen: bool = False) -> Array:
    """An array whose contents show up in results that use them: NaN, least integer, or true."""
    element = getattr(type, "element_type", type)
    dtype = element_dtype(element, widen=widen)
    if dtypes.from_numpy(dtype).is_float:
        return np.full(shape, np.nan, dtype)
    return np.full(shape, True if dtype.kind == "b" else np.iinfo(dtype).min, dtype)


PREDICATES: Mapping[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
"""What `loop.compare` computes."""

COMBINERS: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
}
"""What reductions and folds combine with."""
