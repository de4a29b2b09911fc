"""Let kernels write their results over operands that nobody reads afterwards.

Before:

```mlir
builtin.module {
  func.func @main(%x: memref<100xf32>, %w: memref<100xf32> {pico.name = "w", pico.donated = 0}, %w_new: memref<100xf32> {buffer.output}) {
    %h = buffer.alloc : memref<100xf32>
    buffer.kernel "exp" reads(%a = %x : memref<100xf32>) writes(%o = %h : memref<100xf32>) {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = pico.unary exp %0 : tensor<100xf32>
      buffer.write %1, %o : tensor<100xf32>, memref<100xf32>
    }
    %r = buffer.alloc : memref<100xf32>
    buffer.kernel "tanh" reads(%a = %h : memref<100xf32>) writes(%o = %r : memref<100xf32>) {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = pico.unary tanh %0 : tensor<100xf32>
      buffer.write %1, %o : tensor<100xf32>, memref<100xf32>
    }
    buffer.kernel "step" reads(%a = %r : memref<100xf32>, %b = %w : memref<100xf32>) writes(%o = %w_new : memref<100xf32>) {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = buffer.read %b : memref<100xf32> -> tensor<100xf32>
      %2 = pico.binary sub %1, %0 : tensor<100xf32>
      buffer.write %2, %o : tensor<100xf32>, memref<100xf32>
    }
    func.return
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: memref<100xf32>, %w: memref<100xf32> {pico.name = "w", pico.donated = 0}, %w_new: memref<100xf32> {buffer.output, buffer.stored_in = 1}) {
    %h = buffer.alloc : memref<100xf32>
    buffer.kernel "exp" reads(%a = %x : memref<100xf32>) writes(%o = %h : memref<100xf32>) {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = pico.unary exp %0 : tensor<100xf32>
      buffer.write %1, %o : tensor<100xf32>, memref<100xf32>
    }
    buffer.kernel "tanh" reads() updates(%a = %h : memref<100xf32>) writes() {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = pico.unary tanh %0 : tensor<100xf32>
      buffer.write %1, %a : tensor<100xf32>, memref<100xf32>
    }
    buffer.kernel "step" reads(%a = %h : memref<100xf32>) updates(%b = %w : memref<100xf32>) writes() {
      %0 = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %1 = buffer.read %b : memref<100xf32> -> tensor<100xf32>
      %2 = pico.binary sub %1, %0 : tensor<100xf32>
      buffer.write %2, %b : tensor<100xf32>, memref<100xf32>
    }
    func.return
  }
}
```

An operand may be overwritten when it is an intermediate, or an argument that the caller donates to
this very result (`pico.donated`); when no later kernel reads it; and when the kernel's loops read
each of its elements only in the iteration that writes it. The last is proved on the loops
themselves: the kernel is lowered as it would be in place, and looked at. An error must leave what
the caller keeps as it was: no argument is updated while indices are still to be read from tensors
that no kernel has read before, and a kernel that updates one after such indices were read becomes
`guarded`.

Requires: nothing. It gains most before plan_buffers, which places what is left.

Does not: overwrite arguments that are not donated, change the order of kernels, or overwrite what a
kernel reads through a view, in a reduction or in a product. Kernels that compute with types that
loops do not have (`legalize_types` was left out) stay as they are.

Source: in-place updates of buffers in XLA (its input-output aliases) and in MLIR's one-shot
bufferization.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.buffer import (
    DONATED,
    STORED_IN,
    AllocOp,
    KernelOp,
    ReadOp,
    outputs_of,
    stored_in,
)
from picograd.dialects.quick import clone
from picograd.passes.base import Level, Pass
from picograd.passes.legalization.legal import has_legal_types
from picograd.passes.loops.in_place import updates_in_place
from picograd.passes.lowering.kernel import try_lowering
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.index_checks import first_checks
from picograd.passes.rewriting.structure import structural_key
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class ReuseInPlace(Pass):
    """Let kernels write their results over operands that nobody reads afterwards."""

    name: ClassVar[str] = "reuse_in_place"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                _Function(function).reuse()


@dataclass(frozen=True)
class _Pair:
    """A buffer that a kernel reads, and the one it writes, which could be the same memory."""

    read: SSAValue
    written: SSAValue


class _Function:
    """One function: which kernel reads a buffer last, and which arguments are donated."""

    def __init__(self, function: FuncOp) -> None:
        self.function = function
        kernels = [op for op in function.body.block.ops if isinstance(op, KernelOp)]
        self.place = {kernel: number for number, kernel in enumerate(kernels)}
        self.outputs = outputs_of(function)
        self.taken = {function.args[number] for number in stored_in(function)}
        self.donated = _donations(function, self.outputs)
        self.checked = first_checks(kernels)
        self.known: dict[Hashable, list[int]] = {}
        """Which of the pairs tried were proved, of kernels that compute the same."""

    def reuse(self) -> None:
        """Merge what can be merged, kernel by kernel."""
        for kernel in list(self.place):
            # Of types that loops do not have nothing can be proved on loops.
            pairs = self._candidates(kernel) if has_legal_types(kernel) else []
            while pairs:
                merged = _merge(kernel, pairs, guarded=self._needs_guard(kernel, pairs))
                proved = self._proved(merged, pairs)
                if len(proved) == len(pairs):
                    if applies(_merge, kernel):
                        self._replace(kernel, merged, pairs)
                    else:
                        merged.erase()
                    break
                merged.erase()
                pairs = proved

    def _candidates(self, kernel: KernelOp) -> list[_Pair]:
        """Pairs of one type whose first is read for the last time here, each buffer at most once.

        Donated arguments choose first, for they have one result only.
        """
        pairs: list[_Pair] = []
        free = [value for value in kernel.reads if self._is_spent(value, kernel)]
        open_ = [value for value in kernel.writes if value not in self.taken]
        for value in sorted(free, key=lambda value: value not in self.donated):
            for target in open_:
                if target.type == value.type and self._may_hold(value, target, kernel):
                    pairs.append(_Pair(value, target))
                    open_.remove(target)
                    break
        return pairs

    def _is_spent(self, value: SSAValue, kernel: KernelOp) -> bool:
        last = max(
            self.place[use.operation] for use in value.uses if isinstance(use.operation, KernelOp)
        )
        return last == self.place[kernel]

    def _may_hold(self, value: SSAValue, target: SSAValue, kernel: KernelOp) -> bool:
        """Whether a buffer that nobody else reads may be overwritten by this result."""
        if value in self.donated:
            # An index out of range must be met before the caller's memory changes, or not at all.
            later = any(self.place[other] >= self.place[kernel] for other in self.checked)
            return self.donated[value] is target and not later
        return isinstance(value.owner, AllocOp) and target not in self.donated.values()

    def _needs_guard(self, kernel: KernelOp, pairs: Sequence[_Pair]) -> bool:
        updates = kernel.guarded is not None or any(pair.read in self.donated for pair in pairs)
        return updates and bool(self.checked)

    def _proved(self, merged: KernelOp, pairs: Sequence[_Pair]) -> list[_Pair]:
        """The pairs that may be the same memory; equal kernels are looked at once."""
        operands: list[SSAValue] = list(merged.operands)
        key = (
            structural_key(merged, without=frozenset({"label", "absorbed"})),
            tuple(operands.index(pair.read) for pair in pairs),
        )
        if key not in self.known:
            self.known[key] = _proved(merged, pairs)
        return [pairs[number] for number in self.known[key]]

    def _replace(self, kernel: KernelOp, merged: KernelOp, pairs: Sequence[_Pair]) -> None:
        Rewriter.replace_op(kernel, merged)
        self.place[merged] = self.place.pop(kernel)
        if kernel in self.checked:
            self.checked.remove(kernel)
            self.checked.add(merged)
        for pair in pairs:
            if pair.read in self.donated:
                self._store_in_argument(pair)
                continue
            kept, gone = pair.read, pair.written
            if isinstance(gone, BlockArgument):
                kept, gone = gone, kept
            gone.replace_all_uses_with(kept)
            assert isinstance(gone.owner, AllocOp)
            Rewriter.erase_op(gone.owner)

    def _store_in_argument(self, pair: _Pair) -> None:
        """Mark a result as one that is found in a donated argument."""
        assert isinstance(pair.read, BlockArgument) and isinstance(pair.written, BlockArgument)
        assert self.function.arg_attrs is not None
        attributes = list(self.function.arg_attrs)
        number = pair.written.index
        place = IntegerAttr(pair.read.index, i64)
        attributes[number] = DictionaryAttr({**attributes[number].data, STORED_IN: place})
        self.function.arg_attrs = ArrayAttr(attributes)
        self.taken.add(pair.written)


def _donations(function: FuncOp, outputs: Sequence[BlockArgument]) -> dict[SSAValue, SSAValue]:
    """The arguments that may be overwritten, each with the result that may do so."""
    found: dict[SSAValue, SSAValue] = {}
    for argument, attributes in zip(function.args, function.arg_attrs or (), strict=False):
        result = attributes.data.get(DONATED)
        if isinstance(result, IntegerAttr):
            found[argument] = outputs[result.value.data]
    return found


def _proved(merged: KernelOp, pairs: Sequence[_Pair]) -> list[int]:
    """The numbers of the pairs whose elements the kernel's loops read only where they write."""
    lowered = try_lowering(merged)
    operands: list[SSAValue] = list(merged.operands)
    memrefs = [lowered.body.block.args[operands.index(pair.read)] for pair in pairs]
    return [number for number, memref in enumerate(memrefs) if updates_in_place(lowered, memref)]


def _merge(kernel: KernelOp, pairs: Sequence[_Pair], *, guarded: bool) -> KernelOp:
    """The kernel with each pair's buffers as one that it updates; the kernel stays as it is."""
    read = {pair.read for pair in pairs}
    written = {pair.written: pair.read for pair in pairs}
    reads = [value for value in kernel.reads if value not in read]
    updates = [*kernel.updates, *(pair.read for pair in pairs)]
    writes = [value for value in kernel.writes if value not in written]
    operands = [*reads, *updates, *writes]
    block = Block(arg_types=[value.type for value in operands])
    values: dict[SSAValue, SSAValue] = {}
    for operand, old in reversed(list(zip(kernel.operands, kernel.block.args, strict=True))):
        new = block.args[operands.index(written.get(operand, operand))]
        new.name_hint = old.name_hint or new.name_hint
        values[old] = new
    # What is updated must be read before it is written.
    ops = sorted(kernel.block.ops, key=lambda op: not isinstance(op, ReadOp))
    block.add_ops([clone(op, values) for op in ops])
    merged = KernelOp(
        kernel.label,
        reads,
        writes,
        Region(block),
        kernel.absorbed_names,
        updates=updates,
        guarded=guarded,
    )
    merged.attributes |= kernel.attributes
    return merged
