"""What a nest of loops looks like to a cost model: strides of its accesses, and contractions.

A contraction is a reduction whose body multiplies (or otherwise meets) an operand that depends on
one parallel loop with an operand that depends on another: a matmul, a convolution, a distance. It
is what blocking, packing and two-dimensional register tiles pay for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from xdsl.dialects.builtin import FixedBitwidthType
from xdsl.ir import Attribute, SSAValue

from picograd.dialects.affine import FloorDiv, Lane, Linear, Mod
from picograd.dialects.loop import (
    Dim,
    LoadOp,
    LoopOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    element_type,
    memref_type,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.loops.facts import LoopFacts
from picograd.quick_dataclasses import dataclass

Access = LoadOp | StoreOp

LINE_BYTES = 64
"""What a cache holds and fetches at a time."""


def local_stride(access: Access, variable: SSAValue) -> int:
    """How far in memory a step of a loop leads, inside one block of a blocked layout.

    `x floordiv 8` stands still inside a block, and `x mod 8` moves as x does.
    """
    stride, total = 1, 0
    shape = memref_shape(access.memref.type)
    for extent, index in zip(reversed(shape), reversed(access.indices), strict=True):
        total += stride * _local_coefficient(index, variable)
        stride *= extent
    return total


def place_in(access: Access) -> Linear | None:
    """The place of an access in its buffer, counted in elements; None where it is not affine."""
    place, stride = Linear.of(0), 1
    shape = memref_shape(access.memref.type)
    for extent, index in zip(reversed(shape), reversed(access.indices), strict=True):
        if any(isinstance(atom, FloorDiv | Mod) for atom in index.terms):
            return None
        place = place + index * stride
        stride *= extent
    return place


def begins_on_lines(place: Linear, item: int) -> bool:
    """Whether a tile at a place begins with a line of the cache, wherever the loops around lead."""
    line = LINE_BYTES // item
    start = LoopFacts().expand(place.substitute({Lane(0): 0}))
    return all(step % line == 0 for step in (start.constant, *start.terms.values()))


def _local_coefficient(expression: Linear, variable: SSAValue) -> int:
    total = 0
    for atom, coefficient in expression.terms.items():
        if atom is variable:
            total += coefficient
        elif isinstance(atom, Mod):
            total += coefficient * _local_coefficient(atom.expression, variable)
    return total


def layout_block(accesses: Sequence[Access], variable: SSAValue) -> int | None:
    """The block size of a blocked layout in which a loop walks; None without one.

    Where there are several, the largest that all are made of: inside of it nobody meets an end.
    """
    sizes = [
        size
        for access in accesses
        for index in access.indices
        for size in _blocks_of(index, variable)
    ]
    return gcd(*sizes) if sizes else None


def _blocks_of(expression: Linear, variable: SSAValue) -> Iterator[int]:
    """What a loop's variable itself is divided by; quotients may be divided further."""
    for atom in expression.terms:
        if isinstance(atom, Mod | FloorDiv):
            if variable in atom.expression.terms:
                yield atom.by
            yield from _blocks_of(atom.expression, variable)


def element_bits(type: Attribute) -> int:
    """Bits of an element in a vector register; a bool follows what it is computed with."""
    element = element_type(type)
    bits = element.bitwidth if isinstance(element, FixedBitwidthType) else 32
    return bits if bits > 1 else 32


@dataclass(frozen=True)
class Nest:
    """A parallel loop without parallel loops inside, and what its body accesses."""

    loop: ParallelOp
    dims: tuple[Dim, ...]
    loads: tuple[LoadOp, ...]
    stores: tuple[StoreOp, ...]
    reductions: tuple[ReduceOp, ...]
    """Reductions that hold no others."""

    @property
    def accesses(self) -> tuple[Access, ...]:
        return (*self.loads, *self.stores)

    @property
    def bits(self) -> int:
        """Bits of the smallest element that is accessed."""
        types = [memref_type(access.memref).element_type for access in self.accesses]
        return min((element_bits(type) for type in types), default=32)


def nest_of(loop: ParallelOp) -> Nest | None:
    """The nest of a parallel loop; None if it holds parallel loops itself."""
    inner = [op for op in loop.walk() if op is not loop]
    if any(isinstance(op, ParallelOp) for op in inner):
        return None
    reductions = tuple(
        op
        for op in inner
        if isinstance(op, ReduceOp)
        and not any(isinstance(deeper, LoopOp) for deeper in op.body.walk())
    )
    return Nest(
        loop,
        tuple(loop.dims),
        tuple(op for op in inner if isinstance(op, LoadOp)),
        tuple(op for op in inner if isinstance(op, StoreOp)),
        reductions,
    )


@dataclass(frozen=True)
class Contraction:
    """A nest around a reduction in which two operands meet."""

    nest: Nest
    reduction: ReduceOp
    lane: Dim
    """The parallel dimension along which the output is contiguous."""
    row: Dim
    """The parallel dimension on which the other operand depends."""
    batch: tuple[Dim, ...]
    right: tuple[LoadOp, ...]
    """Loads in the reduction that depend on `lane`."""
    left: tuple[LoadOp, ...]
    """Loads in the reduction that depend on `row` and not on `lane`."""


def contraction_of(nest: Nest, facts: LoopFacts) -> Contraction | None:
    """The contraction in a nest, if there is exactly one reduction and two operands meet in it."""
    if len(nest.reductions) != 1 or len(nest.dims) < 2:
        return None
    (reduction,) = nest.reductions
    if reduction.kind is None or any(facts.extent(dim) == 0 for dim in reduction.dims):
        return None  # nothing meets in a sum of no terms
    loads = [op for op in reduction.body.block.ops if isinstance(op, LoadOp)]
    for lane in _lane_candidates(nest, loads):
        right = tuple(load for load in loads if _depends(load, lane))
        others = [load for load in loads if not _depends(load, lane)]
        rows = [
            dim
            for dim in nest.dims
            if dim is not lane
            and any(_depends(load, dim) for load in others)
            and not all(_depends(load, dim) for load in right)
        ]
        if not right or not rows:
            continue
        row = max(rows, key=lambda dim: facts.extent(dim) or 0)
        left = tuple(load for load in others if _depends(load, row))
        batch = tuple(dim for dim in nest.dims if dim not in (lane, row))
        return Contraction(nest, reduction, lane, row, batch, right, left)
    return None


def _lane_candidates(nest: Nest, loads: Sequence[LoadOp]) -> list[Dim]:
    """Dimensions along which the output is contiguous, before those along which an operand is."""
    outputs = [
        dim for dim in nest.dims if any(local_stride(s, dim.variable) == 1 for s in nest.stores)
    ]
    inputs = [
        dim
        for dim in nest.dims
        if dim not in outputs and any(local_stride(o, dim.variable) == 1 for o in loads)
    ]
    return outputs + inputs


def _depends(access: Access, dim: Dim) -> bool:
    return any(dim.variable in index.values() for index in access.indices)
