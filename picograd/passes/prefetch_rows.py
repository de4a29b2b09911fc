"""Fetch the next row into the cache while this row, which several loops read, is computed.

Before:

```mlir
builtin.module {
  loop.kernel @shifted(%x: memref<9x64xf32>, %y: memref<9x64xf32>) {
    %least = arith.constant 0xff800000 : f32
    %start = loop.broadcast %least along [0] : f32 to vector<8xf32>
    loop.parallel %i = 0 to 9 {
      %lanes = loop.for %j = 0 to 64 step 8 carry (%so_far = %start : vector<8xf32>) {
        %v = loop.load %x[%i, %j + t0] : memref<9x64xf32> to vector<8xf32>
        %m = arith.maximumf %so_far, %v : vector<8xf32>
        loop.yield %m : vector<8xf32>
      }
      %max = loop.fold max %lanes : vector<8xf32> to f32
      %all = loop.broadcast %max along [0] : f32 to vector<8xf32>
      loop.parallel %k = 0 to 64 step 8 {
        %v_1 = loop.load %x[%i, %k + t0] : memref<9x64xf32> to vector<8xf32>
        %d = arith.subf %v_1, %all : vector<8xf32>
        %e = arith.mulf %d, %d : vector<8xf32>
        loop.store %e, %y[%i, %k + t0] : vector<8xf32>, memref<9x64xf32>
      }
    }
  }
}
```

Options: prefetch_rows{target="cpu:l1_bytes=2048,l2_bytes=2048"}

After:

```mlir
builtin.module {
  loop.kernel @shifted(%x: memref<9x64xf32>, %y: memref<9x64xf32>) {
    %least = arith.constant 0xff800000 : f32
    %start = loop.broadcast %least along [0] : f32 to vector<8xf32>
    loop.parallel %i = 0 to 9 {
      %lanes = loop.for %j = 0 to 64 step 8 carry (%so_far = %start : vector<8xf32>) {
        %v = loop.load %x[%i, %j + t0] : memref<9x64xf32> to vector<8xf32>
        %m = arith.maximumf %so_far, %v : vector<8xf32>
        loop.yield %m : vector<8xf32>
      }
      %max = loop.fold max %lanes : vector<8xf32> to f32
      %all = loop.broadcast %max along [0] : f32 to vector<8xf32>
      loop.parallel %k = 0 to 64 step 8 {
        %v_1 = loop.load %x[%i, %k + t0] {fetch_l1 = 64 : i64} : memref<9x64xf32> to vector<8xf32>
        %d = arith.subf %v_1, %all : vector<8xf32>
        %e = arith.mulf %d, %d : vector<8xf32>
        loop.store %e, %y[%i, %k + t0] : vector<8xf32>, memref<9x64xf32>
      }
    }
  }
}
```

The first loop over a row waits for memory, the others find the row in the cache and leave memory
idle. With the note, each piece of the access is preceded by a fetch of the piece so many elements
further on: of the next row. It goes with the loop over the row that computes most, which hides it
best. A fetch changes nothing but the contents of caches: it may lead beyond the buffer, and a
machine without it leaves the note alone.

The same holds for a tile of several rows that a sum is combined with: the loop that computes the
sum leaves memory idle, and the tile is waited for. While the loop runs for this tile, the next is
fetched. So it is with sums that wait in memory until their next block.

A loop that leads down the columns of a matrix, and computes much with each row, fetches what it
needs of a row some turns later: `schedule/column_fetches.py` tells when.

Hardware fetches ahead of a single loop along a row by itself, but stops at the end of a page and
knows nothing of loops that come back. See U. Drepper, "What Every Programmer Should Know About
Memory" (2007), section 6.3, on software prefetching.

Requires: nothing. Rows are fetched into the first cache if this row and the next of all buffers
that are read take at most half of it, else into the second (`fetch_l2`) if they fit there, else not
at all. Neither are rows of buffers that stay in the second cache anyway. Tiles beside a sum go to
the second cache: what the sum reads flows through the first.

Does not: fetch for loops that hold deeper ones, or for tiles whose elements lie apart in memory;
nor what is only written, for which nobody waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Lane
from picograd.dialects.loop import (
    FETCH_L1,
    FETCH_L2,
    ForOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    tile_rank,
    tile_shape,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.nest_shape import Access, place_in
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.passes.schedule.choices import choices_for
from picograd.passes.schedule.column_fetches import down_columns, is_of_kernel, item_bytes
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup


@dataclass(frozen=True)
class PrefetchRows(Pass):
    """`target` names the machine whose caches decide which rows are worth fetching."""

    name: ClassVar[str] = "prefetch_rows"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = lookup(self.target)
        if target.kind != "cpu":
            return
        for kernel in kernels(op):
            if choices_for(kernel).prefetch == "off":
                continue
            for loop in kernel.walk():
                if isinstance(loop, ParallelOp | ForOp):
                    for access, cache, ahead in chain(
                        fetches(loop, target),
                        beside_sums(loop, target),
                        down_columns(loop, target),
                    ):
                        if cache not in access.attributes and applies(_note, access):
                            _note(access, cache, ahead)


def _note(access: Access, cache: str, ahead: int) -> None:
    access.attributes[cache] = IntegerAttr(ahead, i64)


@dataclass(frozen=True)
class _Visit:
    """An access to a row, in a loop over the row or in the remainder behind it."""

    access: Access
    loop: Operation | None
    nbytes: int
    """Bytes that the loop passes over."""
    ahead: int
    """Elements from this row to the next."""


def fetches(loop: ParallelOp | ForOp, target: Target) -> list[tuple[Access, str, int]]:
    """The accesses in a loop over rows that are to fetch ahead: into which cache, and how far."""
    inner = [op for op in loop.body.block.ops if isinstance(op, LoopOp)]
    if len(inner) < 2 or any(isinstance(op, LoopOp) for each in inner for op in each.body.walk()):
        return []
    rows: dict[SSAValue, list[_Visit]] = {}
    for visit in _visits(loop):
        rows.setdefault(visit.access.memref, []).append(visit)
    chosen: list[_Visit] = []
    total = 0
    for memref, all_visits in rows.items():
        if isinstance(all_visits[0].access, StoreOp):
            continue  # what is read of it has just been written
        visits = [visit for visit in all_visits if isinstance(visit.access, LoadOp)]
        nbytes = max((visit.nbytes for visit in visits if visit.loop is not None), default=0)
        whole = prod(memref_shape(memref.type)) * item_bytes(visits[0].access)
        if nbytes and whole > target.l2_bytes:
            total += nbytes
            chosen += _hidden_best(visits)
    if 2 * total > target.l2_bytes:
        return []
    cache = FETCH_L1 if 4 * total <= target.l1_bytes else FETCH_L2
    return [(visit.access, cache, visit.ahead) for visit in chosen]


def beside_sums(loop: ParallelOp | ForOp, target: Target) -> Iterator[tuple[Access, str, int]]:
    """The tiles of several rows that are read beside a loop with running values, one for each turn
    of the outer loop: which cache is to get the next one, and how far away that is.
    """
    inner = [op for op in loop.body.block.ops if isinstance(op, LoopOp)]
    if len(inner) != 1 or not isinstance(inner[0], ForOp) or not inner[0].results:
        return
    if any(isinstance(op, LoopOp) for op in inner[0].body.walk()):
        return
    row = loop.dims[-1]
    # What only the first and the last block of a sum read stands in branches.
    outside = [op for op in loop.body.block.ops if not isinstance(op, LoopOp)]
    for access in chain.from_iterable(op.walk() for op in outside):
        if not isinstance(access, LoadOp):
            continue
        place, shape = place_in(access), tile_shape(access.result.type)
        if len(shape) != 2 or place is None or place.coefficient(Lane(1)) != 1:
            continue
        whole = prod(memref_shape(access.memref.type)) * item_bytes(access)
        ahead = place.coefficient(row.variable) * row.step
        if ahead >= shape[1] and whole > target.l2_bytes:
            yield access, FETCH_L2, ahead


def _hidden_best(visits: list[_Visit]) -> Iterable[_Visit]:
    """One visit to each piece of a row: in the loop that computes most, and in the remainder."""
    loops = dict.fromkeys(visit.loop for visit in visits if visit.loop is not None)
    busiest = max(loops, key=_arithmetic)
    here = [visit for visit in visits if visit.loop is None or visit.loop is busiest]
    return {tuple(visit.access.indices): visit for visit in reversed(here)}.values()


def _arithmetic(loop: Operation) -> int:
    return sum(not isinstance(op, LoadOp | StoreOp | YieldOp) for op in loop.walk())


def _visits(loop: ParallelOp | ForOp) -> Iterator[_Visit]:
    """The accesses of the kernel's buffers, by whole tiles, that move on by rows with a loop."""
    facts = LoopFacts()
    row = loop.dims[-1]
    for op in loop.body.block.ops:
        inner = op if isinstance(op, LoopOp) else None
        for access in op.walk():
            if not isinstance(access, LoadOp | StoreOp) or not is_of_kernel(access.memref):
                continue
            type = access.result.type if isinstance(access, LoadOp) else access.value.type
            place = place_in(access)
            if tile_rank(type) != 1 or place is None or place.coefficient(Lane(0)) != 1:
                continue
            (lanes,) = tile_shape(type)
            ahead = place.coefficient(row.variable) * row.step
            length = lanes
            if inner is not None:
                last = inner.dims[-1]
                trips = facts.trips(last)
                if trips is None or place.coefficient(last.variable) * last.step != lanes:
                    continue
                length = trips * lanes
            if ahead >= length:
                yield _Visit(access, inner, length * item_bytes(access), ahead)
