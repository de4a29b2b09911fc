"""Passes with one wrong rule each, of the kinds that are right on nearly every program.

A test loads this file with `--load`. Each rule is right where permutations commute, where the axes
of a reduction stay in place, where there is no NaN, or where nobody else reads a value.
"""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from picograd.dialects.tensor import (
    BinaryOp,
    CompareOp,
    PermuteOp,
    ReduceOp,
    ReverseOp,
    SelectOp,
    int_array,
    ints,
)
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily


def composed_backwards(op: PermuteOp, build: Build) -> SSAValue | None:
    """permute(permute(x, p), q) by q[p] in the place of p[q]."""
    inner = op.x.owner
    if not isinstance(inner, PermuteOp):
        return None
    first, second = ints(inner.permutation), ints(op.permutation)
    joined = PermuteOp(inner.x, [second[axis] for axis in first])
    return build(joined) if joined.result.type == op.result.type else None


class AxesUnmoved(RewritePattern):
    """reduce(permute(x)) along axes of the same numbers of x, which are others.

    Where the sizes of axes differ it has not even the right type, so it looks at those.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReduceOp, rewriter: PatternRewriter, /) -> None:
        inner = op.x.owner
        if isinstance(inner, PermuteOp) and inner.x.type == inner.result.type:
            rewriter.replace(op, ReduceOp(op.kind.data, inner.x, ints(op.axes)))


def larger_by_comparison(op: BinaryOp, build: Build) -> SSAValue | None:
    """maximum(a, b) by a comparison: where a is NaN, it is b."""
    if op.kind.data != "maximum":
        return None
    return build(SelectOp(build(CompareOp("gt", op.a, op.b)), op.a, op.b))


def equal_to_itself(op: SelectOp, build: Build) -> SSAValue | None:
    """select(x == x, a, b) becomes a, which it is but where x is NaN."""
    test = op.condition.owner
    if not isinstance(test, CompareOp) or test.a is not test.b:
        return None
    return op.on_true if test.kind.data in ("eq", "le", "ge") else None


def reversed_in_place(op: ReverseOp, build: Build) -> SSAValue | None:
    """reverse(reverse(x)): the inner one reverses all, whoever else reads it."""
    inner = op.x.owner
    if not isinstance(inner, ReverseOp):
        return None
    axes = set(ints(inner.axes)) ^ set(ints(op.axes))
    inner.properties["axes"] = int_array(sorted(axes))
    return inner.result


@dataclass(frozen=True)
class _OnTensors(Pass):
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR


@dataclass(frozen=True)
class JoinPermutes(_OnTensors):
    """One permute for two."""

    name: ClassVar[str] = "join_permutes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {PermuteOp: (composed_backwards,)})


@dataclass(frozen=True)
class DropPermutes(_OnTensors):
    """No permute before a reduction."""

    name: ClassVar[str] = "drop_permutes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(GreedyRewritePatternApplier([AxesUnmoved()])).rewrite_module(op)


@dataclass(frozen=True)
class DropNan(_OnTensors):
    """Maxima are choices."""

    name: ClassVar[str] = "drop_nan"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: (larger_by_comparison,)})


@dataclass(frozen=True)
class TrustEquality(_OnTensors):
    """What is compared with itself is equal."""

    name: ClassVar[str] = "trust_equality"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {SelectOp: (equal_to_itself,)})


@dataclass(frozen=True)
class JoinReversals(_OnTensors):
    """One reversal for two."""

    name: ClassVar[str] = "join_reversals"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {ReverseOp: (reversed_in_place,)})
