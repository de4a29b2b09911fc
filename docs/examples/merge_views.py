"""One view in place of two that follow each other.

    reshape of a reshape     becomes one reshape
    permute of a permute     becomes one permute
    permute by [0, 1, …]     becomes its operand

Two patterns and a third, for xDSL's rewriter, tried in this order.
"""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from picograd.dialects.tensor import PermuteOp, ReshapeOp, ints
from picograd.passes import Level, Pass


class ReshapeOfReshape(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReshapeOp, rewriter: PatternRewriter, /) -> None:
        inner = op.x.owner
        if isinstance(inner, ReshapeOp):
            rewriter.replace_op(op, ReshapeOp(inner.x, op.result.type.get_shape()))
            rewriter.erase_op(inner)


class PermuteOfPermute(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PermuteOp, rewriter: PatternRewriter, /) -> None:
        inner = op.x.owner
        if isinstance(inner, PermuteOp):
            first = ints(inner.permutation)
            order = [first[axis] for axis in ints(op.permutation)]
            rewriter.replace_op(op, PermuteOp(inner.x, order))


class PermuteByNothing(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PermuteOp, rewriter: PatternRewriter, /) -> None:
        order = ints(op.permutation)
        if list(order) == sorted(order):
            rewriter.replace_op(op, [], [op.x])


@dataclass(frozen=True)
class MergeViews(Pass):
    """One view in place of two that follow each other."""

    name: ClassVar[str] = "merge_views"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns = [ReshapeOfReshape(), PermuteOfPermute(), PermuteByNothing()]
        PatternRewriteWalker(GreedyRewritePatternApplier(patterns)).rewrite_module(op)
