"""Send results that are larger than the caches past them, straight to memory.

Before:

```mlir
builtin.module {
  loop.kernel @twice(%x: memref<4096xf32>, %y: memref<4096xf32>) {
    loop.parallel %i = 0 to 4096 step 32 {
      %v = loop.load %x[%i + t0] : memref<4096xf32> to vector<32xf32>
      %d = arith.addf %v, %v : vector<32xf32>
      loop.store %d, %y[%i + t0] : vector<32xf32>, memref<4096xf32>
    }
  }
}
```

Options: stream_stores{beyond=8192}

After:

```mlir
builtin.module {
  loop.kernel @twice(%x: memref<4096xf32>, %y: memref<4096xf32>) {
    loop.parallel %i = 0 to 4096 step 32 {
      %v = loop.load %x[%i + t0] {fetch_l1 = 512 : i64} : memref<4096xf32> to vector<32xf32>
      %d = arith.addf %v, %v : vector<32xf32>
      loop.store %d, %y[%i + t0] {stream} : vector<32xf32>, memref<4096xf32>
    }
  }
}
```

A store to a line that no cache holds reads the line first, only to overwrite all of it. Of a result
that has left the caches before anybody reads it, that is a third of all traffic. With the note the
CPU backend writes whole lines without reading them (LLVM's `!nontemporal`), and a fence at the end
of the function. What follows finds nothing in the caches, so that results which fit there are left
alone. What such a loop reads comes from memory as well, and is fetched AHEAD bytes before: the
hardware, which does that by itself, begins anew at each page. See U. Drepper, "What Every
Programmer Should Know About Memory" (2007), section 6.1.

Requires: nothing. Noted are stores of tiles that are whole lines of a buffer, one after another, in
a kernel that reads nothing of that buffer. The buffer is larger than `beyond` bytes; 0 takes the
last cache of `target`, of which SHARED bytes at most count.

Does not: reorder stores so that they fill lines, or look whether the next kernel reads the result
soon: it cannot, of a buffer that large.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import FixedBitwidthType, IntegerAttr, ModuleOp, UnitAttr, i64
from xdsl.ir import BlockArgument, SSAValue

from picograd.dialects.affine import Lane
from picograd.dialects.loop import (
    FETCH_L1,
    STREAM,
    ForOp,
    KernelOp,
    LoadOp,
    ParallelOp,
    StoreOp,
    memref_type,
    tile_rank,
    tile_shape,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.nest_shape import LINE_BYTES, begins_on_lines, place_in
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.passes.schedule.choices import choices_for
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup

AHEAD = 2048
"""How many bytes ahead is fetched: half a page, which takes somewhat longer than memory does."""

SHARED = 32 * 2**20
"""The most bytes of a last cache that count: it is shared by many cores, and a virtual machine
tells of all of it."""


@dataclass(frozen=True)
class StreamStores(Pass):
    """`beyond` is the size in bytes beyond which a buffer is too large for the caches."""

    name: ClassVar[str] = "stream_stores"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    beyond: int = 0
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.beyond < 0:
            raise OptionError(
                "stream_stores needs a size in bytes",
                code="PG703",
                expected="0 or more",
                found=self.beyond,
                hint="pass the size of the caches, or 0 for the target's",
            )
        target = lookup(self.target)
        beyond = self.beyond or last_cache(target)
        if target.kind != "cpu" or not beyond:
            return
        for kernel in kernels(op):
            chosen = choices_for(kernel).stores
            if chosen == "cached":
                continue
            large = _written_only(kernel, 0 if chosen == "streamed" else beyond)
            for store in kernel.walk():
                if isinstance(store, StoreOp) and store.memref in large and _fills_lines(store):
                    _note(store)
                    for load in _beside(store):
                        _fetch(load)


def _note(store: StoreOp) -> None:
    if STREAM not in store.attributes and applies(_note, store):
        store.attributes[STREAM] = UnitAttr()


def _fetch(load: LoadOp) -> None:
    if FETCH_L1 not in load.attributes and applies(_fetch, load):
        load.attributes[FETCH_L1] = IntegerAttr(AHEAD // _item_bytes(load.memref), i64)


def _beside(store: StoreOp) -> Iterator[LoadOp]:
    """The loads in the same loop that go through memory as the store does."""
    loop, written, block = store.parent_op(), place_in(store), store.parent_block()
    if not isinstance(loop, ParallelOp | ForOp) or written is None or block is None:
        return
    variable = loop.dims[-1].variable
    pace = written.coefficient(variable)
    if not pace:
        return
    for load in block.ops:
        if isinstance(load, LoadOp) and tile_rank(load.result.type) == 1:
            read = place_in(load)
            along = read is not None and (read.coefficient(Lane(0)), read.coefficient(variable))
            if along == (1, pace):
                yield load


def last_cache(target: Target) -> int:
    """The bytes of a core's caches, the last one's included."""
    return max(target.l2_bytes, min(target.l3_bytes, SHARED))


def _written_only(kernel: KernelOp, beyond: int) -> set[SSAValue]:
    """The buffers of a kernel that are larger than the caches, and that it only writes."""
    read = {op.memref for op in kernel.walk() if isinstance(op, LoadOp)}
    return {
        memref
        for memref in kernel.written - read
        if isinstance(memref, BlockArgument)
        and prod(memref_shape(memref.type)) * _item_bytes(memref) > beyond
    }


def _item_bytes(memref: SSAValue) -> int:
    """Bytes of an element in memory, where a bool has one."""
    element = memref_type(memref).element_type
    return max(8, element.bitwidth) // 8 if isinstance(element, FixedBitwidthType) else 8


def _fills_lines(store: StoreOp) -> bool:
    """Whether a store writes whole lines, one after another."""
    type, place = store.value.type, place_in(store)
    if tile_rank(type) != 1 or place is None or place.coefficient(Lane(0)) != 1 or store.clip:
        return False
    item = _item_bytes(store.memref)
    return tile_shape(type)[0] * item % LINE_BYTES == 0 and begins_on_lines(place, item)
