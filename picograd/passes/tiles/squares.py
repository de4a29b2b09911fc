"""Copies of tiles that are transposed: a loop over squares in place of one square after another.

Before, with vectors of 4 lanes:

    %0 = loop.load %x[%j + t0, %k + t1] to vector<12x4xf32>
    loop.store %0, %panel[%k + t1, t0]

After:

    loop.for %row = 0 to 12 step 4 {
      %0 = loop.load %x[%j + %row + t0, %k + t1] to vector<4x4xf32>
      loop.store %0, %panel[%k + t1, %row + t0]
    }

With vectors of 16 lanes each square becomes a hundred instructions, which wait for one another
within the square only: code for one serves them all, and takes a fraction of the time to compile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from xdsl.ir import Attribute, Block, Operation, SSAValue

from picograd.dialects.affine import Lane, Leaf, Linear, LinearLike, encode
from picograd.dialects.loop import (
    ForOp,
    KernelOp,
    LoadOp,
    StoreOp,
    YieldOp,
    constant_dim,
    element_type,
    tile_shape,
    tile_type,
)
from picograd.dialects.quick import create
from picograd.passes.rewriting.loops import copy_hint, insert_before
from picograd.passes.tiles.transposes import runs_along_first

OpT = TypeVar("OpT", bound=Operation)
Types: TypeAlias = Sequence[Attribute]


def loop_over_squares(kernel: KernelOp, width: int) -> None:
    """Do so in the bodies that copy tiles and do nothing else."""
    for op in list(kernel.walk()):
        for region in op.regions:
            for block in region.blocks:
                copy = _copy_in(block)
                if copy is not None:
                    _split(*copy, width)


def _copy_in(block: Block) -> tuple[LoadOp, StoreOp] | None:
    """The load and the store of a body that copies one tile with two axes, transposed."""
    ops = [op for op in block.ops if not isinstance(op, YieldOp)]
    if len(ops) != 2:
        return None
    load, store = ops
    if not isinstance(load, LoadOp) or not isinstance(store, StoreOp):
        return None
    if store.value is not load.result or store.memref is load.memref:
        return None
    transposed = runs_along_first(load, load.result) != runs_along_first(store, load.result)
    return (load, store) if transposed else None


def _split(load: LoadOp, store: StoreOp, width: int) -> None:
    """Let a loop walk along each axis that several vectors cover."""
    for axis, name in enumerate(("row", "column")):
        shape = list(tile_shape(load.result.type))
        if shape[axis] > width and shape[axis] % width == 0:
            loop = ForOp(constant_dim(name, shape[axis], width))
            shape[axis] = width
            insert_before(load, [loop])
            load, store = _move(load, store, loop.body.block, axis, shape)


def _move(
    load: LoadOp, store: StoreOp, body: Block, axis: int, shape: Sequence[int]
) -> tuple[LoadOp, StoreOp]:
    """Copy a part of the tile in a loop's body, which walks along one of its axes."""
    lanes: dict[Leaf, LinearLike] = {Lane(axis): Linear.of(body.args[0]) + Linear.of(Lane(axis))}

    def moved(op: OpT, before: list[SSAValue], indices: Sequence[Linear], given: Types) -> OpT:
        values, map = encode((index.substitute(lanes) for index in indices), 2)
        properties = {**op.properties, "map": map}
        return create(op.__class__, [*before, *values], given, properties, op.attributes)

    type = tile_type(element_type(load.result.type), shape)
    part = moved(load, [load.memref], load.indices, [type])
    copy_hint(part.result, load.result)
    stored = moved(store, [part.result, store.memref], store.indices, [])
    body.add_ops([part, stored, YieldOp()])
    for op in (store, load):
        op.detach()
        op.erase()
    return part, stored
