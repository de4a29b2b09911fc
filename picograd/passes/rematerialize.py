"""Compute cheap values again where they are needed late, instead of keeping them.

Before:

```mlir
func.func @f(%w: tensor<8x8xf32>, %u: tensor<8x32xf32>, %v: tensor<32x8xf32>) -> tensor<8x8xf32> {
  %h = pico.matmul %w, %w : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %y = pico.unary exp %h : tensor<8x8xf32>
  %a = pico.matmul %y, %u : tensor<8x8xf32>, tensor<8x32xf32> -> tensor<8x32xf32>
  %b = pico.matmul %a, %v : tensor<8x32xf32>, tensor<32x8xf32> -> tensor<8x8xf32>
  %c = pico.matmul %b, %w : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %d = pico.matmul %c, %y : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %e = pico.binary mul %d, %h : tensor<8x8xf32>
  func.return %e : tensor<8x8xf32>
}
```

Options: rematerialize{above=0}

After:

```mlir
func.func @f(%w: tensor<8x8xf32>, %u: tensor<8x32xf32>, %v: tensor<32x8xf32>) -> tensor<8x8xf32> {
  %h = pico.matmul %w, %w : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %y = pico.unary exp %h : tensor<8x8xf32>
  %a = pico.matmul %y, %u : tensor<8x8xf32>, tensor<8x32xf32> -> tensor<8x32xf32>
  %b = pico.matmul %a, %v : tensor<8x32xf32>, tensor<32x8xf32> -> tensor<8x8xf32>
  %c = pico.matmul %b, %w : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %y_1 = pico.unary exp %h : tensor<8x8xf32>
  %d = pico.matmul %c, %y_1 : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %e = pico.binary mul %d, %h : tensor<8x8xf32>
  func.return %e : tensor<8x8xf32>
}
```

Values are kept from the forward to the backward pass of a training step. The pass looks at the
place where most bytes are alive. Of the values that were computed before and are read after it, it
keeps those that products and reductions made. One that follows from values kept anyway, by few
operations on each element, is computed again right before its first reader behind that place.
Kernels are fused afterwards: the new operations become part of the readers' kernels.

Requires: nothing.

Does not: run a product, a reduction, a gather or random bits twice, or change what any operation
computes. A program that keeps little (`above`, in MiB) is left alone: caches hold what it keeps.
`cse` undoes what it does.

Source: the recomputation of what is cheap and large in Chen et al., "Training Deep Nets with
Sublinear Memory Cost" (2016), and in the partitioner of PyTorch's AOTAutograd; here greedy, from
the arguments on.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.dtypes import nbytes_of, type_of
from picograd.dialects.tensor import (
    BinaryOp,
    CastOp,
    CompareOp,
    SelectOp,
    TensorOp,
    UnaryOp,
)
from picograd.passes.base import Level, Pass
from picograd.passes.fusion.cost import cost_of
from picograd.passes.outline_kernels import is_free
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass

_ELEMENTWISE = (UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp)

_SMALL = 1024
"""A value is worth while if this many of it are as large as all that are alive together."""
_ROUNDS = 4
"""How often the place is looked for anew: it moves when less is kept."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Rematerialize(Pass):
    """Compute cheap values again where they are needed late, instead of keeping them.

    `above` is how many MiB a program may keep before anything is done, and `most_work` what
    computing a value again may cost an element, where an addition costs 1.
    """

    name: ClassVar[str] = "rematerialize"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    above: int = 64
    most_work: int = 64

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                for _ in range(_ROUNDS):
                    if not self._round(function.body.block):
                        break

    def _round(self, block: Block) -> bool:
        """Lower the present peak; whether anything was done."""
        ops = [op for op in block.ops if isinstance(op, TensorOp)]
        order: dict[Operation, int] = {op: number for number, op in enumerate(block.ops)}
        peak, place = _peak(ops, order)
        if peak <= self.above * _MIB:
            return False
        again: dict[SSAValue, SSAValue] = {}
        late = {op for op, number in order.items() if number >= place}
        needed = _Choice(ops, order, place, peak / _SMALL, self.most_work).needed()
        for op in ops:
            reader = needed.get(op.result)
            if reader is not None:
                if not applies(_compute_again, op):
                    return False
                _compute_again(op, reader, again, late)
        return bool(again)


def _compute_again(
    op: TensorOp, reader: Operation, again: dict[SSAValue, SSAValue], late: set[Operation]
) -> None:
    """Repeat an op in front of `reader`, and let all that come late read what it gives."""
    copy = op.clone(dict(again))
    copy.result.name_hint = op.result.name_hint
    Rewriter.insert_op(copy, InsertPoint.before(reader))
    again[op.result] = copy.result
    for use in tuple(op.result.uses):
        if use.operation in late:
            use.operation.operands[use.index] = copy.result


def _peak(ops: list[TensorOp], order: dict[Operation, int]) -> tuple[int, int]:
    """The most bytes that are alive together, and the number of the first op after that."""
    last: dict[SSAValue, int] = {}
    for op in reversed(ops):
        end = max((order[use.operation] for use in op.result.uses), default=order[op])
        # A view is read in the place of what it shows.
        own = last[op.result] = max(end, last.get(op.result, 0))
        if is_free(op):
            for operand in op.operands:
                last[operand] = max(own, last.get(operand, 0))
    ends: dict[int, int] = {}
    alive = most = place = 0
    for op in ops:
        if not is_free(op):
            nbytes = nbytes_of(type_of(op.result))
            alive += nbytes
            ends[last[op.result]] = ends.get(last[op.result], 0) + nbytes
        if alive > most:
            most, place = alive, order[op] + 1
        alive -= ends.pop(order[op], 0)
    return most, place


class _Choice:
    """What is kept across a place, and what is computed again behind it."""

    def __init__(
        self,
        ops: list[TensorOp],
        order: dict[Operation, int],
        place: int,
        least: float,
        most_work: int,
    ) -> None:
        """`least` is how many bytes a value must have to be worth while."""
        self._before = [op for op in ops if order[op] < place]
        self._order = order
        self._place = place
        self._least = least
        self._most_work = most_work
        # The first and the last op behind the place that read a value, be it through views.
        self._first: dict[SSAValue, int] = {}
        self._last: dict[SSAValue, int] = {}
        # Of each value that can be had behind the place: what it is computed from among what is
        # kept, and at what cost. What is kept is computed from itself, at no cost.
        self._roots: dict[SSAValue, frozenset[SSAValue]] = {}
        self._work: dict[SSAValue, int] = {}

    def needed(self) -> dict[SSAValue, Operation]:
        """The values to compute again, each with the op in front of which."""
        by_number = {number: op for op, number in self._order.items()}
        self._find_readers()
        front: dict[SSAValue, int] = {}
        for op in self._before:
            if self._is_dropped(op):
                front[op.result] = self._first[op.result]
        for op in reversed(self._before):
            if op.result in front:
                for operand in op.operands:
                    if self._work.get(operand):
                        first = front[op.result]
                        front[operand] = min(first, front.get(operand, first))
        return {value: by_number[number] for value, number in front.items()}

    def _find_readers(self) -> None:
        for op in reversed(self._before):
            late = [n for use in op.result.uses if (n := self._order[use.operation]) >= self._place]
            if late:
                self._note(op.result, min(late), max(late))
            if is_free(op) and op.result in self._first:
                for operand in op.operands:
                    self._note(operand, self._first[op.result], self._last[op.result])

    def _note(self, value: SSAValue, first: int, last: int) -> None:
        self._first[value] = min(first, self._first.get(value, first))
        self._last[value] = max(last, self._last.get(value, last))

    def _is_dropped(self, op: TensorOp) -> bool:
        """Whether to compute a value again; notes what it, or the value itself, takes."""
        value = op.result
        late = value in self._first
        is_result = any(isinstance(use.operation, ReturnOp) for use in value.uses)
        if not is_result and self._can_be_computed(op):
            roots = frozenset[SSAValue]().union(*(self._roots_of(one) for one in op.operands))
            work = cost_of(op) + sum(self._work.get(operand, 0) for operand in op.operands)
            wanted = is_free(op) or not late or self._saves(value, roots)
            if wanted and work <= self._most_work:
                self._roots[value], self._work[value] = roots, work
                return late and work > 0
        if late:
            self._roots[value], self._work[value] = frozenset((value,)), 0
        return False

    def _can_be_computed(self, op: TensorOp) -> bool:
        """Whether an op is cheap, and all it reads is there."""
        return (is_free(op) or isinstance(op, _ELEMENTWISE)) and all(
            operand in self._roots or isinstance(operand, BlockArgument) for operand in op.operands
        )

    def _roots_of(self, value: SSAValue) -> frozenset[SSAValue]:
        return self._roots.get(value, frozenset())  # arguments are there in any case

    def _saves(self, value: SSAValue, roots: frozenset[SSAValue]) -> bool:
        """Whether a value is large, and takes less for being gone until its first reader than its
        roots take for staying until its last.
        """
        size, end = nbytes_of(type_of(value)), self._last[value]
        longer = sum(nbytes_of(type_of(root)) * max(0, end - self._last[root]) for root in roots)
        return size >= self._least and size * (self._first[value] - self._place) > longer
