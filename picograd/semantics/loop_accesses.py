"""Loops, loads and stores as the loop evaluator needs them: looked at once, run over and over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import TypeAlias

import numpy as np
from xdsl.ir import Block, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.quick_dataclasses import dataclass
from picograd.semantics.loop_elements import Array


@dataclass(frozen=True)
class Access:
    """Where a load or a store goes."""

    memref: SSAValue
    indices: Sequence[Linear]
    shape: tuple[int, ...]
    """Of the tile that is moved."""
    value: SSAValue
    """What is loaded, or stored."""

    @classmethod
    def of(cls, op: loop.LoadOp | loop.StoreOp) -> Access:
        """What an op says, decoded."""
        value = op.result if isinstance(op, loop.LoadOp) else op.value
        return cls(op.memref, op.indices, tuple(loop.tile_shape(value.type)), value)


class Accesses(dict[loop.LoadOp | loop.StoreOp, Access]):
    """Where each op goes, decoded when it is first asked for: sequential loops ask often."""

    def __missing__(self, op: loop.LoadOp | loop.StoreOp) -> Access:
        return self.setdefault(op, Access.of(op))


class Dims(dict[loop.LoopOp, Sequence[loop.Dim]]):
    """The dimensions of loops, decoded in the same way."""

    def __missing__(self, op: loop.LoopOp) -> Sequence[loop.Dim]:
        return self.setdefault(op, op.dims)


class Results(dict[Block, Sequence[SSAValue]]):
    """What bodies yield."""

    def __missing__(self, block: Block) -> Sequence[SSAValue]:
        last = block.last_op
        return self.setdefault(block, tuple(last.values) if isinstance(last, loop.YieldOp) else ())


Spread: TypeAlias = tuple[SSAValue, tuple[slice | None, ...], SSAValue, tuple[int, ...]]


class Spreads(dict[loop.BroadcastOp, Spread]):
    """What a broadcast repeats, where its new axes go, its result and the shape of that."""

    def __missing__(self, op: loop.BroadcastOp) -> Spread:
        shape = tuple(loop.tile_shape(op.result.type))
        new = op.axes
        places = tuple(None if axis in new else slice(None) for axis in range(len(shape)))
        return self.setdefault(op, (op.value, (slice(None), *places), op.result, shape))


SMALL = 4096
"""Elements up to which copying takes less time than making a view that repeats them."""


def broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in a larger shape; NumPy takes its time even where there is nothing to do."""
    if array.shape == shape:
        return array
    if prod(shape) > SMALL:
        return np.broadcast_to(array, shape)
    result = np.empty(shape, array.dtype)
    result[...] = array
    return result


@lru_cache(maxsize=1024)
def constant_index(value: int, rank: int) -> Array:
    """An index that is the same for all iterations and all lanes of a tile of a rank."""
    return _read_only(np.full((1,) * (1 + rank), value, np.int64))


@lru_cache(maxsize=1024)
def lanes(axis: int, shape: tuple[int, ...]) -> Array:
    """The places along one axis of a tile, for all iterations."""
    axes = [1] * (1 + len(shape))
    axes[1 + axis] = shape[axis]
    return _read_only(np.arange(shape[axis], dtype=np.int64).reshape(axes))


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def all_inside(index: Array, extent: int) -> bool:
    """Whether all places along an axis are from 0 to less than its extent."""
    if index.size == 1:
        return 0 <= index.item() < extent
    # Seen as unsigned, a negative number is larger than any extent.
    return not index.size or int(np.maximum.reduce(index.view(np.uint64), axis=None)) < extent
