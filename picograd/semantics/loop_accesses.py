"""Loads and stores as the loop evaluator needs them: looked at once, and run over and over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.semantics.loop_elements import Array


@dataclass(frozen=True)
class Access:
    """Where a load or a store goes."""

    memref: SSAValue
    indices: Sequence[Linear]
    shape: tuple[int, ...]
    """Of the tile that is moved."""

    @classmethod
    def of(cls, op: loop.LoadOp | loop.StoreOp) -> Access:
        """What an op says, decoded."""
        moved = op.result.type if isinstance(op, loop.LoadOp) else op.value.type
        return cls(op.memref, op.indices, tuple(loop.tile_shape(moved)))


class Accesses(dict[loop.LoadOp | loop.StoreOp, Access]):
    """Where each op goes, decoded when it is first asked for: sequential loops ask often."""

    def __missing__(self, op: loop.LoadOp | loop.StoreOp) -> Access:
        return self.setdefault(op, Access.of(op))


def broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in a larger shape; NumPy takes its time even where there is nothing to do."""
    return array if array.shape == shape else np.broadcast_to(array, shape)
