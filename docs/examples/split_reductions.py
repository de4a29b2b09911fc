"""Reduce one axis at a time: what stands innermost in memory first.

    %all = pico.reduce add %x axes [1, 2] : tensor<4x6x10xf32> -> tensor<4xf32>

becomes

    %rows = pico.reduce add %x axes [2] : tensor<4x6x10xf32> -> tensor<4x6xf32>
    %all = pico.reduce add %rows axes [1] : tensor<4x6xf32> -> tensor<4xf32>

A sum of floats has other bits when it is taken in another order, and is no less exact. The pass is
a loop over the ops, without any driver for rules: it goes once from the top to the bottom.
"""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.tensor import ReduceOp, ints
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class SplitReductions(Pass):
    """Reduce one axis at a time. `fewest` is from how many axes on."""

    name: ClassVar[str] = "split_reductions"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    fewest: int = 2

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.walk()):
            if isinstance(inner, ReduceOp) and len(ints(inner.axes)) >= self.fewest:
                split(inner)


def split(op: ReduceOp) -> None:
    """Reduce the last axis first, so that the numbers of those before it stay as they are."""
    value: SSAValue = op.x
    for axis in reversed(ints(op.axes)):
        step = ReduceOp(op.kind.data, value, [axis])
        if "at" in op.attributes:
            step.attributes["at"] = op.attributes["at"]
        Rewriter.insert_op(step, InsertPoint.before(op))
        value = step.result
    value.name_hint = op.result.name_hint
    Rewriter.replace_op(op, [], [value])
