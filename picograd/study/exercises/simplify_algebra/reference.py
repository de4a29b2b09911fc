"""The reference for exercise 1: arithmetic that does nothing is dropped."""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import BinaryKind, BinaryOp, UnaryKind, UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.passes.rules.matching import defining, dtype_of_value, filled, splat_in
from picograd.quick_dataclasses import dataclass

# kind -> the number on the right that leaves the left operand as it is.
NEUTRAL = {BinaryKind.ADD: 0, BinaryKind.SUB: 0, BinaryKind.MUL: 1, BinaryKind.DIV: 1}
COMMUTES = (BinaryKind.ADD, BinaryKind.MUL)


def simplify_binary(op: BinaryOp, build: Build) -> SSAValue | None:
    """x + 0, x - 0, x * 1, x / 1 -> x; of integers x * 0, x - x -> 0."""
    kind = op.kind.data
    if dtype_of_value(op.a).is_bool:
        return None
    if kind in NEUTRAL and splat_in(op.b) == NEUTRAL[kind]:
        return op.a
    if kind in COMMUTES and splat_in(op.a) == NEUTRAL[kind]:
        return op.b
    # A float times 0 may be NaN, and so may the difference of an infinity and itself.
    if not dtype_of_value(op.a).is_int:
        return None
    zero_times = kind == BinaryKind.MUL and 0 in (splat_in(op.a), splat_in(op.b))
    if zero_times or (kind == BinaryKind.SUB and op.a is op.b):
        return filled(build, 0, type_of(op.result))
    return None


def simplify_unary(op: UnaryOp, build: Build) -> SSAValue | None:
    """-(-x) -> x."""
    inner = defining(op.x)
    if not isinstance(inner, UnaryOp):
        return None
    both_negate = op.kind.data == inner.kind.data == UnaryKind.NEG
    return inner.x if both_negate else None


@dataclass(frozen=True)
class SimplifyAlgebra(Pass):
    """Drop arithmetic that does nothing."""

    name: ClassVar[str] = "simplify_algebra"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: (simplify_binary,), UnaryOp: (simplify_unary,)})
