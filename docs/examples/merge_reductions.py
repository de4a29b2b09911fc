"""Reduce several axes at once: a reduction of a reduction of the same kind is one reduction.

    %rows = pico.reduce add %x axes [2] : tensor<4x6x10xf32> -> tensor<4x6xf32>
    %all = pico.reduce add %rows axes [1] : tensor<4x6xf32> -> tensor<4xf32>

becomes

    %all = pico.reduce add %x axes [1, 2] : tensor<4x6x10xf32> -> tensor<4xf32>

The pass is a pattern for xDSL's own rewriter, as its tutorial writes them.
"""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from picograd.dialects.tensor import ReduceOp, ints
from picograd.passes import Level, Pass


class MergeReductions(RewritePattern):
    """One reduction for two, when nobody else reads what the inner one computes."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReduceOp, rewriter: PatternRewriter, /) -> None:
        inner = op.x.owner
        if not isinstance(inner, ReduceOp) or inner.kind != op.kind:
            return
        if not inner.result.has_one_use():
            return
        axes = sorted({*ints(inner.axes), *ints(op.axes)})
        rewriter.replace_op(op, ReduceOp(op.kind.data, inner.x, axes))
        rewriter.erase_op(inner)


@dataclass(frozen=True)
class MergeReductionsPass(Pass):
    """Reduce several axes at once."""

    name: ClassVar[str] = "merge_reductions"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(MergeReductions()).rewrite_module(op)
