"""Compute equal values once: a later op that repeats an earlier one gives way to it.

Before:

```mlir
func.func @main(%x: tensor<3xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {
  %a = pico.binary add %x, %y : tensor<3xf32>
  %b = pico.binary add %y, %x : tensor<3xf32>
  %c = pico.binary mul %a, %b : tensor<3xf32>
  func.return %c : tensor<3xf32>
}
```

After:

```mlir
func.func @main(%x: tensor<3xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {
  %a = pico.binary add %x, %y : tensor<3xf32>
  %c = pico.binary mul %a, %a : tensor<3xf32>
  func.return %c : tensor<3xf32>
}
```

Requires: nothing.

Does not: look through algebra (`x - y` and `-(y - x)` stay two values), nor merge ops with
regions or effects.

Source: value numbering within a block (Cocke, 1970; MLIR's `cse`), with a hash table, so linear in
the number of ops.
"""

from collections.abc import Hashable
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import Rewriter
from xdsl.traits import Pure

from picograd.dialects.tensor import BinaryKind, BinaryOp, CompareKind, CompareOp
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass

# Kinds whose operands may be swapped without changing a bit. maximum and minimum are not among
# them: which of -0.0 and 0.0 they return is up to the order.
_COMMUTES: frozenset[BinaryKind | CompareKind] = frozenset(
    {
        BinaryKind.ADD,
        BinaryKind.MUL,
        BinaryKind.AND,
        BinaryKind.OR,
        BinaryKind.XOR,
        CompareKind.EQ,
        CompareKind.NE,
    }
)


@dataclass(frozen=True)
class CSE(Pass):
    """Compute equal values once."""

    name: ClassVar[str] = "cse"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        merge_equal(op)


def merge_equal(root: Operation) -> int:
    """Merge equal pure ops block by block; returns how many went. Linear in the number of ops."""
    return sum(_merge_in_block(block) for region in root.regions for block in region.blocks)


def _merge_in_block(block: Block) -> int:
    merged = 0
    seen: dict[Hashable, Operation] = {}
    for op in tuple(block.ops):
        if op.regions:
            merged += merge_equal(op)
            continue
        if not op.has_trait(Pure):
            continue
        first = seen.setdefault(number_of(op), op)
        if first is not op and applies(_use_instead, op):
            _use_instead(op, first)
            merged += 1
    return merged


def number_of(op: Operation) -> Hashable:
    """What two ops must have in common to compute the same value."""
    operands: tuple[int, ...] = tuple(id(operand) for operand in op.operands)
    if isinstance(op, BinaryOp | CompareOp) and op.kind.data in _COMMUTES:
        operands = tuple(sorted(operands))
    # xDSL compares numbers in attributes bit by bit: -0.0 is not 0.0, a NaN is like itself.
    properties = tuple(sorted(op.properties.items(), key=_first))
    return type(op), operands, properties, tuple(result.type for result in op.results)


def _first(item: tuple[str, Attribute]) -> str:
    return item[0]


def _use_instead(op: Operation, first: Operation) -> None:
    """Let the users of `op` use `first`, which inherits names that it lacks, and erase `op`."""
    for mine, kept in zip(op.results, first.results, strict=True):
        _inherit_name(mine, kept)
        mine.replace_all_uses_with(kept)
    Rewriter.erase_op(op)


def _inherit_name(source: SSAValue, target: SSAValue) -> None:
    if target.name_hint is None and source.name_hint is not None:
        target.name_hint = source.name_hint
