"""Erase pure ops whose results nobody uses.

Before:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %unused = pico.unary exp %x : tensor<3xf32>
  %alone = pico.unary neg %unused : tensor<3xf32>
  %y = pico.unary sqrt %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary sqrt %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}
```

Requires: nothing.

Does not: remove function arguments that nobody reads (they are the caller's), nor results that a
caller might ignore. An index that would have been out of range raises nothing once the gather or
scatter that reads it is dead.

Source: MLIR's `trivial-dce`.
"""

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation
from xdsl.rewriter import Rewriter
from xdsl.traits import IsTerminator, Pure

from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class DCE(Pass):
    """Erase pure ops whose results nobody uses."""

    name: ClassVar[str] = "dce"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        erase_dead(op)


def erase_dead(root: Operation) -> int:
    """Erase the dead ops inside `root`; returns how many. Linear in the number of ops.

    Ops are visited users first, so that a chain that only feeds a dead op goes in the same sweep.
    """
    return sum(_erase_in_block(block) for region in root.regions for block in region.blocks)


def _erase_in_block(block: Block) -> int:
    erased = 0
    for op in reversed(tuple(block.ops)):
        if _is_dead(op) and applies(erase_dead, op):
            Rewriter.erase_op(op)
            erased += 1
        else:
            erased += erase_dead(op)
    return erased


def _is_dead(op: Operation) -> bool:
    # A terminator is pure too, and has no results that anybody could use.
    used = any(result.first_use is not None for result in op.results)
    return not used and op.has_trait(Pure) and not op.has_trait(IsTerminator)
