"""Move negations towards the results, where two of them meet and vanish.

    (-x) + (-y)      becomes  -(x + y)
    (-x) * y         becomes  -(x * y)
    (-x) - y         becomes  -(x + y)
    max(-x, -y)      becomes  -max(x, y)
    -(-x)            becomes  x

Each rule looks at one op and returns what takes its place; `rewrite_greedily` applies them until
none applies any more.
"""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.dialects.dtypes import dtype_of
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily


def negated(value: SSAValue) -> SSAValue | None:
    """The x of a value that is -x."""
    op = value.owner
    if isinstance(op, UnaryOp) and op.kind.data == "neg" and dtype_of(op.result.type).is_float:
        return op.x
    return None


def sum_of_negations(op: BinaryOp, build: Build) -> SSAValue | None:
    a, b = negated(op.a), negated(op.b)
    if op.kind.data != "add" or a is None or b is None:
        return None
    return build(UnaryOp("neg", build(BinaryOp("add", a, b))))


def product_with_negation(op: BinaryOp, build: Build) -> SSAValue | None:
    a = negated(op.a)
    if op.kind.data != "mul" or a is None:
        return None
    return build(UnaryOp("neg", build(BinaryOp("mul", a, op.b))))


def difference_from_negation(op: BinaryOp, build: Build) -> SSAValue | None:
    a = negated(op.a)
    if op.kind.data != "sub" or a is None:
        return None
    return build(UnaryOp("neg", build(BinaryOp("add", a, op.b))))


def maximum_of_negations(op: BinaryOp, build: Build) -> SSAValue | None:
    a, b = negated(op.a), negated(op.b)
    if op.kind.data != "maximum" or a is None or b is None:
        return None
    return build(UnaryOp("neg", build(BinaryOp("maximum", a, b))))


def double_negation(op: UnaryOp, build: Build) -> SSAValue | None:
    return negated(op.x) if op.kind.data == "neg" else None


BINARY = (
    sum_of_negations,
    product_with_negation,
    difference_from_negation,
    maximum_of_negations,
)


@dataclass(frozen=True)
class PullNegations(Pass):
    """Move negations towards the results."""

    name: ClassVar[str] = "pull_negations"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: BINARY, UnaryOp: (double_negation,)})
