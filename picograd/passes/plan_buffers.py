"""Place every intermediate in one arena, so that buffers which never live together share memory.

Before:

```mlir
builtin.module {
  func.func @main(%x: memref<100xf32>, %y: memref<100xf32> {buffer.output}) {
    %h = buffer.alloc : memref<100xf32>
    buffer.kernel "exp" reads(%a = %x : memref<100xf32>) writes(%o = %h : memref<100xf32>) {
      %t = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %e = pico.unary exp %t : tensor<100xf32>
      buffer.write %e, %o : tensor<100xf32>, memref<100xf32>
    }
    buffer.kernel "sqrt" reads(%a = %h : memref<100xf32>) writes(%o = %y : memref<100xf32>) {
      %t = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %s = pico.unary sqrt %t : tensor<100xf32>
      buffer.write %s, %o : tensor<100xf32>, memref<100xf32>
    }
    func.return
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: memref<100xf32>, %y: memref<100xf32> {buffer.output}) {
    %arena = buffer.arena : memref<448xi8>
    %h = buffer.place %arena at 0 : memref<448xi8> to memref<100xf32>
    buffer.kernel "exp" reads(%a = %x : memref<100xf32>) writes(%o = %h : memref<100xf32>) {
      %t = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %e = pico.unary exp %t : tensor<100xf32>
      buffer.write %e, %o : tensor<100xf32>, memref<100xf32>
    }
    buffer.kernel "sqrt" reads(%a = %h : memref<100xf32>) writes(%o = %y : memref<100xf32>) {
      %t = buffer.read %a : memref<100xf32> -> tensor<100xf32>
      %s = pico.unary sqrt %t : tensor<100xf32>
      buffer.write %s, %o : tensor<100xf32>, memref<100xf32>
    }
    func.return
  }
}
```

Requires: nothing; what is placed already keeps its place.

Does not: touch arguments, results or constants, reorder kernels to save memory, or let a kernel
write over what it reads.

Source: greedy by size with best fit (Pisarchyk and Lee, "Efficient Memory Management for Deep
Neural Net Inference", 2020).
"""

from math import prod
from typing import ClassVar, cast

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.buffer import AllocOp, ArenaOp, KernelOp, PlaceOp
from picograd.dialects.dtypes import AnyMemRef, from_ir
from picograd.dialects.loop import LaunchOp
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup

# Every element that a GPU stores takes at least one 32-bit word: WGSL has no smaller ones.
_GPU_WORD = 4


@dataclass(frozen=True)
class PlanBuffers(Pass):
    """Place every intermediate in one arena."""

    name: ClassVar[str] = "plan_buffers"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.BUFFER

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = lookup(self.target)
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                place_in_arena(function, plan_function(function, machine))


@dataclass(frozen=True)
class PlannedBuffer:
    """One intermediate: `size` bytes at `offset`, alive from kernel `first` to kernel `last`."""

    name: str
    size: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where a function's intermediates live. Sizes include padding to the target's alignment."""

    buffers: tuple[PlannedBuffer, ...]
    bytes_unplanned: int
    bytes_planned: int

    def __str__(self) -> str:
        lines = [
            f"{len(self.buffers)} buffers, {self.bytes_unplanned} bytes, in {self.bytes_planned}"
        ]
        for item in self.buffers:
            place = f"{item.offset:>10} {item.size:>10}"
            lines.append(f"{place}  kernels {item.first} to {item.last}  %{item.name}")
        return "\n".join(lines)


def plan(module: ModuleOp, target: str | Target = "cpu") -> MemoryPlan:
    """The plan of the entry function of a module at buffer level, before or after the pass ran.

    The entry is `@main`, or else the first function.
    """
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    main = [op for op in functions if op.sym_name.data == "main"]
    buffers = plan_function((main or functions)[0], lookup(target)).values()
    return MemoryPlan(
        tuple(buffers),
        bytes_unplanned=sum(item.size for item in buffers),
        bytes_planned=max((item.offset + item.size for item in buffers), default=0),
    )


def plan_function(
    function: FuncOp, target: Target, *, again: bool = False
) -> dict[Operation, PlannedBuffer]:
    """Each alloc or place of a function with the place that it gets, in the order of the ops.

    What is placed keeps its place, unless all is to be placed `again`.
    """
    lifetimes = _lifetimes(function)
    fixed: dict[Operation, PlannedBuffer] = {}
    open_: dict[Operation, PlannedBuffer] = {}
    for op, (first, last) in lifetimes.items():
        value = op.results[0]
        size = _round_up(_storage_bytes(value, target), target.buffer_alignment)
        offset = op.offset.value.data if isinstance(op, PlaceOp) else 0
        item = PlannedBuffer(value.name_hint or "buffer", size, offset, first, last)
        (fixed if isinstance(op, PlaceOp) and not again else open_)[op] = item
    placed = dict(fixed)
    for op, item in sorted(open_.items(), key=lambda pair: -pair[1].size):
        offset = _best_fit(item, [other for other in placed.values() if _overlap(item, other)])
        placed[op] = PlannedBuffer(item.name, item.size, offset, item.first, item.last)
    return {op: placed[op] for op in lifetimes}


def place_in_arena(function: FuncOp, planned: dict[Operation, PlannedBuffer]) -> None:
    """Replace the allocs of a function by places in one arena."""
    allocs = [op for op in planned if isinstance(op, AllocOp) and applies(place_in_arena, op)]
    if not allocs:
        return
    nbytes = max(item.offset + item.size for item in planned.values())
    arena = _arena_of_at_least(function, nbytes)
    for op in allocs:
        place = PlaceOp(arena, planned[op].offset, op.result.type)
        place.result.name_hint = op.result.name_hint
        Rewriter.replace_op(op, place)


def plan_again(function: FuncOp, target: Target) -> None:
    """Place all that has a place anew, in an arena as large as that takes.

    Passes that change which launches a buffer lives through use it, at buffer and at loop level.
    """
    planned = plan_function(function, target, again=True)
    placed = {op: item for op, item in planned.items() if isinstance(op, PlaceOp)}
    arenas = [op for op in function.body.block.ops if isinstance(op, ArenaOp)]
    if len(arenas) != 1:
        return
    arena = ArenaOp(max((item.offset + item.size for item in placed.values()), default=0))
    arena.result.name_hint = arenas[0].result.name_hint
    Rewriter.replace_op(arenas[0], arena)
    for op, item in placed.items():
        op.properties["offset"] = IntegerAttr(item.offset, i64)


def _arena_of_at_least(function: FuncOp, nbytes: int) -> ArenaOp:
    """A new arena, in place of a smaller one from an earlier run."""
    block = function.body.block
    old = [op for op in block.ops if isinstance(op, ArenaOp)]
    arena = ArenaOp(max([nbytes, *(op.nbytes for op in old)]))
    arena.result.name_hint = "arena"
    first = block.first_op
    assert first is not None
    Rewriter.insert_op(arena, InsertPoint.before(first))
    for op in old:
        op.result.replace_all_uses_with(arena.result)
        Rewriter.erase_op(op)
    return arena


def _lifetimes(function: FuncOp) -> dict[Operation, tuple[int, int]]:
    """For each alloc and place the first and the last kernel that touches it, both included.

    So a kernel's operands are all alive while it runs, and none of them overlap. A buffer that no
    kernel touches lives nowhere: its last kernel is before its first.
    """
    lives: dict[Operation, tuple[int, int]] = {}
    number = 0
    for op in function.body.block.ops:
        if isinstance(op, AllocOp | PlaceOp):
            lives[op] = (0, -1)
        elif isinstance(op, KernelOp | LaunchOp):
            for owner in {value.owner for value in op.operands}:
                if isinstance(owner, AllocOp | PlaceOp):
                    first, last = lives[owner]
                    lives[owner] = (first if last >= first else number, number)
            number += 1
    return lives


def _storage_bytes(value: SSAValue, target: Target) -> int:
    type = cast(AnyMemRef, value.type)
    itemsize = from_ir(type.element_type).itemsize
    if target.kind == "gpu":
        itemsize = max(itemsize, _GPU_WORD)
    return prod(type.get_shape()) * itemsize


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _overlap(a: PlannedBuffer, b: PlannedBuffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def _best_fit(item: PlannedBuffer, alive: list[PlannedBuffer]) -> int:
    """The offset of the smallest gap between `alive` that holds the item, else the end of them.

    Sizes are multiples of the alignment, so every gap starts at one.
    """
    best: tuple[int, int] | None = None
    end = 0
    for other in sorted(alive, key=lambda b: b.offset):
        gap = other.offset - end
        if gap >= item.size and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, other.offset + other.size)
    return end if best is None else best[1]
