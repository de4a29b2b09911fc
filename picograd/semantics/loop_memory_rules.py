"""What loads and stores do, for all iterations of a frame at once.

Local buffers start poisoned (NaN, the least integer, true), and an access out of bounds is an
error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.errors import IndexOutOfRange
from picograd.semantics.access import is_guarded, site_of
from picograd.semantics.loop_accesses import Accesses, all_inside, broadcast, constant_index
from picograd.semantics.loop_elements import Array, poisoned
from picograd.semantics.loop_frames import Frame, Memory, rows_within
from picograd.semantics.loop_races import Races, Touch
from picograd.semantics.loop_values import LoopValues


class MemoryRules(LoopValues):
    """The contents of every buffer, and a method for each kind of op that reads or writes them."""

    def __init__(self, widen: bool, races: Races | None) -> None:
        super().__init__(widen)
        self.races = races
        self.watching = races is not None
        self.memories: dict[SSAValue, Memory] = {}
        self.accesses = Accesses()

    def alloc(self, op: loop.AllocOp, frame: Frame) -> None:
        type = loop.memref_type(op.memref)
        shape = (frame.size, *type.get_shape())
        self.memories[op.memref] = Memory(frame, poisoned(shape, type, widen=self.widen))

    def places(
        self,
        op: loop.LoadOp | loop.StoreOp,
        frame: Frame,
        shape: Sequence[int],
    ) -> tuple[Array, tuple[Array, ...], Array | None]:
        """The buffer, where in it (the copy of the buffer first), and which places are inside.

        The last is None when all are; where it is false, the places are moved inside.
        """
        access = self.accesses[op]
        memory = self.memories[access.memref]
        one = memory.frame.size == 1
        rows = None if one else rows_within(frame, memory.frame)
        indices = [self.linear(index, frame, shape) for index in access.indices]
        extents = memory.array.shape[1:]
        inside: Array | None = None
        for axis, (index, extent) in enumerate(zip(indices, extents, strict=True)):
            if all_inside(index, extent):
                continue
            good = (index >= 0) & (index < extent)
            inside = good if inside is None else inside & good
            if not is_guarded(op):
                self.outside(op, axis, int(index[~good][0]))
            indices[axis] = np.clip(index, 0, max(0, extent - 1))
        if one:
            first = constant_index(0, len(shape))
        else:
            copies = np.arange(memory.frame.size) if rows is None else rows
            first = copies.reshape(len(copies), *(1,) * len(shape))
        if self.watching:
            touch = Touch.of(memory.array, frame, (first, *indices), inside, shape)
            self.note(op, memory, frame, touch)
        return memory.array, (first, *indices), inside

    def outside(self, op: loop.LoadOp | loop.StoreOp, axis: int, index: int) -> None:
        """Called for an access out of bounds that is not guarded."""
        raise site_of(op).violation(axis, index)

    def note(
        self, op: loop.LoadOp | loop.StoreOp, memory: Memory, frame: Frame, touch: Touch
    ) -> None:
        """Look at an access, if `watching`."""
        if self.races is not None:
            self.races.access(op, memory, frame, touch)

    def load(self, op: loop.LoadOp, frame: Frame) -> None:
        shape = self.accesses[op].shape
        array, places, inside = self.places(op, frame, shape)
        if array.size == 0 and inside is not None:
            values = np.zeros((1, *shape), array.dtype)
        else:
            values = array[places]
            if inside is not None:
                values = np.where(inside, values, array.dtype.type(0))
        # Indices without lanes leave axes of length 1, which must have the tile's full extent.
        self.set(self.accesses[op].value, frame, broadcast(values, (len(values), *shape)))

    def store(self, op: loop.StoreOp, frame: Frame) -> None:
        shape = self.accesses[op].shape
        array, places, inside = self.places(op, frame, shape)
        full = (frame.size, *shape)
        values = broadcast(self.get(self.accesses[op].value, frame), full)
        if inside is None:
            array[tuple(broadcast(place, full) for place in places)] = values
            return
        kept = np.broadcast_to(inside, full)
        array[tuple(np.broadcast_to(place, full)[kept] for place in places)] = values[kept]

    def checked_index(self, op: loop.CheckedIndexOp, frame: Frame) -> None:
        values = self.get(op.value, frame).astype(np.int64)
        size = op.size.value.data
        wrong = (values < 0) | (values >= size)
        if wrong.any():
            raise IndexOutOfRange.in_data(int(values[wrong][0]), size)
        self.set(op.result, frame, values)
