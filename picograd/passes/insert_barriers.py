"""Put barriers between the workgroup-mapped loops that hand each other data.

Before:
```mlir
builtin.module {
  loop.kernel @reverse(%x: memref<3x64xf32>, %y: memref<3x64xf32>) {
    loop.parallel %i = 0 to 3 mapping grid {
      %row = loop.alloc : memref<64xf32, "workgroup">
      loop.parallel %j = 0 to 64 mapping workgroup {
        %v = loop.load %x[%i, %j] : memref<3x64xf32>
        loop.store %v, %row[%j] : f32, memref<64xf32, "workgroup">
      }
      loop.parallel %j_1 as j = 0 to 64 mapping workgroup {
        %v_1 = loop.load %row[-%j_1 + 63] : memref<64xf32, "workgroup">
        loop.store %v_1, %y[%i, %j_1] : f32, memref<3x64xf32>
      }
    }
  }
}
```

After:
```mlir
builtin.module {
  loop.kernel @reverse(%x: memref<3x64xf32>, %y: memref<3x64xf32>) {
    loop.parallel %i = 0 to 3 mapping grid {
      %row = loop.alloc : memref<64xf32, "workgroup">
      loop.parallel %j = 0 to 64 mapping workgroup {
        %v = loop.load %x[%i, %j] : memref<3x64xf32>
        loop.store %v, %row[%j] : f32, memref<64xf32, "workgroup">
      }
      loop.barrier
      loop.parallel %j_1 as j = 0 to 64 mapping workgroup {
        %v_1 = loop.load %row[-%j_1 + 63] : memref<64xf32, "workgroup">
        loop.store %v_1, %y[%i, %j_1] : f32, memref<3x64xf32>
      }
    }
  }
}
```

Requires: map_to_grid; passes that still add loops or buffers come before.

Does not: order different dispatches (those run one after the other), or workgroups of one dispatch
(nothing can: a kernel must not hand data from one workgroup to another).
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.loop import (
    AllocOp,
    BarrierOp,
    ForOp,
    IfOp,
    KernelOp,
    LoadOp,
    ParallelOp,
    StoreOp,
)
from picograd.passes.base import Level, Pass
from picograd.passes.mapping.nests import mapping_of
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class InsertBarriers(Pass):
    """A barrier wherever a thread may touch what another has touched since the last barrier.

    Workgroup-mapped loops that follow one another are meant to run one after the other; on the
    machine their threads drift apart. A loop that only touches other buffers needs no barrier.
    """

    name: ClassVar[str] = "insert_barriers"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    requires: ClassVar[frozenset[str]] = frozenset({"mapped"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            for place in unguarded(kernel):
                block = place.parent_block()
                assert block is not None
                if applies(unguarded, place):
                    block.insert_op_before(BarrierOp(), place)


@dataclass
class Touched:
    """The shared buffers read and written by some thread since the last barrier."""

    read: set[SSAValue] = field(default_factory=set[SSAValue])
    written: set[SSAValue] = field(default_factory=set[SSAValue])

    def conflicts(self, later: Touched) -> bool:
        """Whether one of the two writes what the other touches."""
        return bool(self.written & (later.read | later.written) or self.read & later.written)

    def add(self, other: Touched) -> None:
        self.read |= other.read
        self.written |= other.written

    def copy(self) -> Touched:
        return Touched(set(self.read), set(self.written))


def unguarded(kernel: KernelOp) -> list[Operation]:
    """The operations of group code in front of which a barrier is missing, in order."""
    found: dict[Operation, None] = {}
    for launch in kernel.body.block.ops:
        if isinstance(launch, ParallelOp):
            _visit(launch.body.block, Touched(), found)
    return list(found)


def _visit(block: Block, since: Touched, found: dict[Operation, None]) -> Touched:
    """Walk group code with what was touched before it; returns what is touched after it.

    A barrier stands as far outside as it can: before a loop, unless the loop's own steps conflict.
    """
    for op in block.ops:
        if isinstance(op, BarrierOp):
            since = Touched()
            continue
        if isinstance(op, ParallelOp) and mapping_of(op) == "grid":
            since = _visit(op.body.block, since, found)
            continue
        touched = touched_by(op)
        if op in found or since.conflicts(touched):
            found[op] = None
            since = Touched()
        if isinstance(op, ForOp):
            # What the end of one step touched meets the beginning of the next.
            once = _visit(op.body.block, since.copy(), found)
            since.add(_visit(op.body.block, once, found))
        elif isinstance(op, IfOp):
            for region in (op.then, op.otherwise):
                since.add(_visit(region.block, since.copy(), found))
        else:
            since.add(touched)
    return since


def touched_by(op: Operation) -> Touched:
    """The buffers shared between threads that an operation, or one inside it, reads and writes."""
    touched = Touched()
    for inner in op.walk():
        if isinstance(inner, LoadOp) and is_shared(inner.memref):
            touched.read.add(inner.memref)
        elif isinstance(inner, StoreOp) and is_shared(inner.memref):
            touched.written.add(inner.memref)
    return touched


def is_shared(memref: SSAValue) -> bool:
    """Whether several threads see a buffer: workgroup memory, and what the kernel is given."""
    owner = memref.owner
    if not isinstance(owner, AllocOp):
        return True
    return owner.space == "workgroup" or isinstance(owner.parent_op(), KernelOp)
