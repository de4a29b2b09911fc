"""Turn the loops that are mapped to lanes, and long reductions, into code on register tiles.

Before:

```mlir
builtin.module {
  loop.kernel @total(%x: memref<4x40xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %sum = loop.reduce add %k = 0 to 40 : f32 {
        %v = loop.load %x[%i, %k] : memref<4x40xf32>
        loop.yield %v : f32
      }
      loop.store %sum, %y[%i] : f32, memref<4xf32>
    }
  }
}
```

Options: vectorize_loops{reduce="k=16"}

After:

```mlir
builtin.module {
  loop.kernel @total(%x: memref<4x40xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %0 = loop.reduce add %k = 0 to 32 step 16 : vector<16xf32> {
        %v = loop.load %x[%i, %k + t0] : memref<4x40xf32> to vector<16xf32>
        loop.yield %v : vector<16xf32>
      }
      %1 = loop.fold add %0 : vector<16xf32> to f32
      %v_1 = loop.load %x[%i, t0 + 32] : memref<4x40xf32> to vector<8xf32>
      %2 = loop.fold add %v_1 : vector<8xf32> to f32
      %sum = arith.addf %1, %2 : f32
      loop.store %sum, %y[%i] : f32, memref<4xf32>
    }
  }
}
```

A loop mapped to lanes disappears: its induction variable becomes its lower bound plus a lane. A
reduction keeps an accumulator for each lane, folds them at the end, and takes what is left over as
one smaller tile.

Requires: for a loop, constant extents; for a reduction, a named combiner. Without `reduce`, the
facts of `target` choose which reductions become tiles, and their sizes.

Does not: touch bodies whose lanes would go different ways. These stay scalar, and say why in an
attribute `scalar`, which `scalar_hot_loops` reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, ModuleOp, StringAttr, UnitAttr
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Linear, floordiv
from picograd.dialects.loop import (
    Dim,
    FoldOp,
    KernelOp,
    LoopOp,
    ParallelOp,
    ReduceOp,
    YieldOp,
    combine,
    tile_rank,
    tile_type,
    yielded,
)
from picograd.passes.base import Level, Pass
from picograd.passes.choose_tiles import reduce_sizes
from picograd.passes.lane_analysis import NotVectorizable, analyze_lanes
from picograd.passes.loop_facts import LoopFacts
from picograd.passes.loop_rewriting import (
    check_names,
    clone_body,
    copy_hint,
    inner_first,
    kernels,
    parse_sizes,
    replace_op,
    take_ops,
)
from picograd.passes.vectorizer import Vectorizer
from picograd.targets import lookup

SCALAR = "scalar"
"""The attribute of a loop that could not become tiles: the reason."""

TAIL = "tail"
"""The attribute of a loop over what is left after the last full tile."""

HOT_TRIPS = 4
"""The most iterations of a loop that nobody minds being scalar."""

TILE_LIMIT = 4096
"""The most elements of one tile; a greater one would not fit into any registers."""


@dataclass(frozen=True)
class VectorizeLoops(Pass):
    """`reduce` names dimensions of reductions and the number of accumulators for each."""

    name: ClassVar[str] = "vectorize_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    establishes: ClassVar[frozenset[str]] = frozenset({"vectorized"})

    reduce: str = ""
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        named = parse_sizes("reduce", self.reduce)
        check_names("reduce", named, op)
        for kernel in kernels(op):
            for loop in inner_first(kernel, ParallelOp):
                if loop.mapping is not None and loop.mapping.data == "lanes":
                    vectorize_loop(loop)
            for reduction, sizes in reductions(kernel, named, self.target).items():
                vectorize_reduction(reduction, *sizes)


def reductions(
    kernel: KernelOp, named: dict[str, int], target: str
) -> dict[ReduceOp, tuple[str, int]]:
    """The scalar reductions that are to become tiles: the dimension and its tile size."""
    scalar = [
        reduction
        for reduction in inner_first(kernel, ReduceOp)
        if reduction.kind is not None and not tile_rank(reduction.outputs[0].type)
    ]
    if not named:
        chosen = reduce_sizes(scalar, lookup(target))
        return {reduction: chosen[reduction] for reduction in scalar if reduction in chosen}
    return {
        reduction: (dim.name, named[dim.name])
        for reduction in scalar
        for dim in reduction.dims
        if dim.name in named
    }


def vectorize_loop(op: ParallelOp) -> None:
    """Turn a parallel loop into tiles, or note why it stays."""
    dims = op.dims
    extents = [dim.extent if dim.is_constant and dim.step == 1 else None for dim in dims]
    known = [extent for extent in extents if extent is not None]
    try:
        if len(known) < len(extents):
            raise NotVectorizable("its extents are not constant")
        if prod(known) > TILE_LIMIT:
            raise NotVectorizable(f"a tile has at most {TILE_LIMIT} elements")
        if 0 in known:
            replace_op(op, [], [])
            return
        new = tiles(op, known)
    except NotVectorizable as reason:
        op.attributes[SCALAR] = StringAttr(str(reason))
        return
    replace_op(op, new, [])


def tiles(op: ParallelOp, extents: Sequence[int]) -> list[Operation]:
    """The body of a parallel loop as straight-line code on tiles."""
    indices: dict[SSAValue, Linear] = {}
    lanes: dict[SSAValue, frozenset[int]] = {}
    wide = [extent for extent in extents if extent > 1]
    axis = 0
    for dim, extent in zip(op.dims, extents, strict=True):
        indices[dim.variable] = dim.lower
        if extent > 1:
            indices[dim.variable] = dim.lower + Lane(axis)
            lanes[dim.variable] = frozenset({axis})
            axis += 1
    axes = analyze_lanes(op.body.block, lanes)
    block = Block()
    Vectorizer(wide, indices, axes, LoopFacts()).block(op.body.block, block)
    return take_ops(block)


def vectorize_reduction(op: ReduceOp, name: str, size: int) -> None:
    """Turn one dimension of a scalar reduction into tiles, or note why it stays."""
    try:
        _vectorize_reduction(op, name, size)
    except NotVectorizable as reason:
        op.attributes[SCALAR] = StringAttr(str(reason))


def _vectorize_reduction(op: ReduceOp, name: str, size: int) -> None:
    dims = op.dims
    dim = next(dim for dim in dims if dim.name == name)
    others = [other for other in dims if other is not dim]
    if dim.step != 1 or len(dim.uppers) != 1:
        raise NotVectorizable("it has a step or several upper bounds")
    if any(isinstance(inner, LoopOp) for inner in op.body.block.ops):
        raise NotVectorizable("it holds other loops")
    assert op.kind is not None
    kind = op.kind.data
    (upper,) = dim.uppers
    parts: list[SSAValue] = []
    new: list[Operation] = []

    def add(ops: Sequence[Operation], value: SSAValue) -> None:
        new.extend(ops)
        fold = FoldOp(kind, value)
        new.append(fold)
        parts.append(fold.result)

    extent = dim.extent
    if extent is not None:
        middle = upper - extent % size
        if extent >= size:
            add(*_tiled(op, replace(dim, uppers=(middle,), step=size), others, size))
        if extent % size:
            last = Dim(middle, (upper,), extent % size, dim.name)
            add(*_tiled(op, last, others, extent % size))
    else:
        middle = dim.lower + floordiv(upper - dim.lower, size) * size
        add(*_tiled(op, replace(dim, uppers=(middle,), step=size), others, size))
        rest = ReduceOp(
            kind,
            [replace(other, lower=middle) if other is dim else other for other in dims],
            [op.outputs[0].type],
            body=clone_body(op),
        )
        rest.attributes[TAIL] = UnitAttr()
        new.append(rest)
        parts.append(rest.outputs[0])
    if not parts:
        return
    total = parts[0]
    for part in [*parts[1:], *op.inits]:
        combined = combine(kind, total, part)
        new.append(combined)
        total = combined.results[0]
    total.name_hint = None
    replace_op(op, new, [copy_hint(total, op.outputs[0])])


def _tiled(
    op: ReduceOp, dim: Dim, others: Sequence[Dim], size: int
) -> tuple[list[Operation], SSAValue]:
    """Reduce tiles of `size` elements; a loop that runs once is straight-line code."""
    assert op.kind is not None
    variables = {each.name: each.variable for each in op.dims}
    axes = analyze_lanes(op.body.block, {variables[dim.name]: frozenset({0})})
    once = dim.is_constant and dim.extent == dim.step
    dims = [*others, *([] if once else [dim])]
    loop = ReduceOp(op.kind.data, dims, [tile_type(op.outputs[0].type, [size])]) if dims else None
    block = loop.body.block if loop is not None else Block()
    indices = {variables[dim.name]: dim.lower + Lane(0)}
    for each in loop.dims if loop is not None else []:
        lane = Lane(0) if each.name == dim.name else 0
        indices[variables[each.name]] = Linear.of(each.variable) + lane
    vectorizer = Vectorizer([size], indices, axes, LoopFacts())
    vectorizer.block(op.body.block, block)
    value = vectorizer.get(yielded(op.body.block)[0], (0,), block)
    if loop is None:
        return take_ops(block), value
    block.add_op(YieldOp(value))
    return [loop], loop.outputs[0]


def scalar_hot_loops(kernel: KernelOp) -> list[str]:
    """The loops that do arithmetic on floats one element at a time, each with its reason.

    A loop counts when it holds no other loop, runs more than once, and is not the tail of tiles.
    Speed is not checked by any test of meaning, so tests of schedules ask here.
    """
    facts = LoopFacts()
    return [
        f"{', '.join(dim.name for dim in loop.dims)}: {_reason(loop)}"
        for loop in inner_first(kernel, LoopOp)
        if _is_innermost(loop) and _has_scalar_arithmetic(loop) and _is_hot(loop, facts)
    ]


def _reason(loop: LoopOp) -> str:
    note = loop.attributes.get(SCALAR)
    return note.data if isinstance(note, StringAttr) else "nothing made tiles of it"


def _is_innermost(loop: LoopOp) -> bool:
    return not any(isinstance(op, LoopOp) for op in loop.walk() if op is not loop)


def _has_scalar_arithmetic(loop: LoopOp) -> bool:
    """Whether all arithmetic of a loop that is no tail is scalar, and there is some on floats."""
    if TAIL in loop.attributes or any(tile_rank(r.type) for op in loop.walk() for r in op.results):
        return False
    return any(
        op.name.startswith(("arith.", "math."))
        and not isinstance(op, arith.ConstantOp)
        and isinstance(op.results[0].type, AnyFloat)
        for op in loop.walk()
    )


def _is_hot(loop: LoopOp, facts: LoopFacts) -> bool:
    """Whether the loop runs at least a few times."""
    trips = [facts.trips(dim) for dim in loop.dims]
    return any(count is None or count > HOT_TRIPS for count in trips)
