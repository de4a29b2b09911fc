"""Lay weights out for the products that read them: panels as wide as a register tile, in a row.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x5xf32> {pico.kept}) -> tensor<2x5xf32> {
    %y = pico.matmul %x, %w : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    func.return %y : tensor<2x5xf32>
  }
}
```

Options: pack_constants{columns=4}

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x5xf32> {pico.kept}) -> tensor<2x5xf32> {
    %0 = pico.pad %w with 0.000000e+00 : f32 low [0, 0] high [0, 3] interior [0, 0] : tensor<3x5xf32> -> tensor<3x8xf32>
    %1 = pico.reshape %0 to [3, 2, 4] : tensor<3x8xf32> -> tensor<3x2x4xf32>
    %w_panels = pico.permute %1 by [1, 0, 2] {pico.laid_out} : tensor<3x2x4xf32> -> tensor<2x3x4xf32>
    %2 = pico.permute %w_panels by [1, 0, 2] : tensor<2x3x4xf32> -> tensor<3x2x4xf32>
    %3 = pico.reshape %2 to [3, 8] : tensor<3x2x4xf32> -> tensor<3x8xf32>
    %w_1 = pico.slice %3 from [0, 0] to [3, 5] step [1, 1] : tensor<3x8xf32> -> tensor<3x5xf32>
    %y = pico.matmul %x, %w_1 : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    func.return %y : tensor<2x5xf32>
  }
}
```

What is written down is meant to be kept: `%w_panels` depends on a weight alone (an argument with
the note `pico.kept`), and says in a note of its own that its elements are worth being laid out so.
The product reads it through views, which cost it nothing: of panel j floordiv 4 the place
[k, j mod 4]. A left operand is read row by row as it is: of one that is transposed, converted or
scaled what comes of it is kept.

Requires: nothing. Without `columns`, the facts of `target` say which weights pay, and what fits
their products.

Does not: move anything out of the function, so alone it gains nothing; touch weights that change
(no note), or ones that would take more than three times their memory.

Source: the packed right operand of Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (2008), ahead of time as oneDNN's reordered weights.
"""  # noqa: E501

from __future__ import annotations

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.argument_notes import LAID_OUT
from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import (
    BroadcastOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    SliceOp,
    TensorOp,
)
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.kept_values import decided_by
from picograd.passes.schedule.kept_operands import chosen_columns, keeps_left, weight_of
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup


@dataclass(frozen=True)
class PackConstants(Pass):
    """Lay weights out for the products that read them: panels as wide as a register tile, in a row.

    `columns` is the width of panels, for every product with a weight; 0 asks the target's facts,
    and leaves products of fewer than `least` terms alone: they are done in microseconds, and to
    look whether a weight has changed takes a part of one.
    """

    name: ClassVar[str] = "pack_constants"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    columns: int = 0
    least: int = 1 << 18
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.columns < 0:
            raise OptionError(
                "pack_constants cannot make panels of so many columns",
                code="PG703",
                expected="a positive number, or 0 for what the target's facts say",
                found=str(self.columns),
                hint="pass the columns of a register tile",
            )
        target = lookup(self.target)
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                self._pack_in(function, target)

    def _pack_in(self, function: FuncOp, target: Target) -> None:
        known = decided_by(function)
        unpacked: dict[tuple[SSAValue, int], SSAValue] = {}
        for op in tuple(function.body.block.ops) if known else ():
            if not isinstance(op, MatmulOp) or op.result in known:
                continue
            if known.get(op.b):
                panel = self.columns or chosen_columns(op, target, self.least, known[op.b])
                if panel and applies(_pack, op):
                    _pack(op, panel, unpacked)
            elif known.get(op.a):
                worth = keeps_left(op, target, self.least, known[op.a], asked=self.columns > 0)
                if worth and applies(_keep, op):
                    _keep(weight_of(op.a))


def _keep(weight: SSAValue) -> None:
    """Say of what computes a weight that its result is to be kept."""
    assert isinstance(weight.owner, TensorOp)
    weight.owner.attributes[LAID_OUT] = UnitAttr()


def _pack(op: MatmulOp, panel: int, unpacked: dict[tuple[SSAValue, int], SSAValue]) -> None:
    """Let a product read its weight from panels; one weight's panels serve several products."""
    weight = weight_of(op.b)
    if (weight, panel) not in unpacked:
        unpacked[weight, panel] = _unpack(op, _laid_out(op, weight, panel), weight)
    value = unpacked[weight, panel]
    if weight is not op.b:
        value = _insert(op, BroadcastOp(value, op.b.type.get_shape()))
    op.operands[1] = value


def _laid_out(op: MatmulOp, weight: SSAValue, panel: int) -> SSAValue:
    """[*B, K, N] as [*B, N / panel, K, panel], with zeros behind the last column."""
    *batch, depth, columns = type_of(weight).get_shape()
    panels = -(-columns // panel)
    value = weight
    if missing := panels * panel - columns:
        zeros = [0] * (len(batch) + 1)
        value = _insert(op, PadOp(value, [*zeros, 0], [*zeros, missing]))
    value = _insert(op, ReshapeOp(value, [*batch, depth, panels, panel]))
    new = PermuteOp(value, _exchanged(len(batch)))
    new.attributes[LAID_OUT] = UnitAttr()
    value = _insert(op, new)
    value.name_hint = f"{weight.name_hint or 'weight'}_panels"
    return value


def _unpack(op: MatmulOp, panels: SSAValue, weight: SSAValue) -> SSAValue:
    """The weight, as views of its panels."""
    shape = type_of(weight).get_shape()
    *batch, count, depth, panel = type_of(panels).get_shape()
    value = _insert(op, PermuteOp(panels, _exchanged(len(batch))))
    value = _insert(op, ReshapeOp(value, [*batch, depth, count * panel]))
    if count * panel != shape[-1]:
        value = _insert(op, SliceOp(value, [0] * len(shape), shape, [1] * len(shape)))
    value.name_hint = weight.name_hint
    return value


def _exchanged(first: int) -> list[int]:
    """The permutation that exchanges axis `first` and the next, before the last."""
    return [*range(first), first + 1, first, first + 2]


def _insert(op: MatmulOp, new: TensorOp) -> SSAValue:
    """Put an op in front of a product, from whose line of the program it stems."""
    if "at" in op.attributes:
        new.attributes["at"] = op.attributes["at"]
    Rewriter.insert_op(new, InsertPoint.before(op))
    return new.result
