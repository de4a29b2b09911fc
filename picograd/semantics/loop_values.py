"""Values of the loop level as arrays, and index expressions over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Atom, Counter, FloorDiv, Lane, Linear, Mod
from picograd.semantics.loop_accesses import broadcast, constant_index, lanes
from picograd.semantics.loop_elements import Array
from picograd.semantics.loop_frames import Frame, rows_within


class LoopValues:
    """The value of every SSA value, by the frame that computed it."""

    def __init__(self, widen: bool) -> None:
        self.widen = widen
        self.values: dict[SSAValue, tuple[Frame, Array]] = {}

    def get(self, value: SSAValue, frame: Frame) -> Array:
        """The array of a value, as the iterations of a frame see it."""
        owner, array = self.values[value]
        if owner is frame or len(array) == 1:
            return array
        rows = rows_within(frame, owner)
        return array if rows is None else array[rows]

    def set(self, value: SSAValue, frame: Frame, array: Array) -> None:
        self.values[value] = (frame, array)

    def linear(self, expression: Linear, frame: Frame, shape: Sequence[int] = ()) -> Array:
        """An index expression for every iteration and every lane; axes may have length 1."""
        total: Array | None = None
        for atom, coefficient in expression.terms.items():
            term = self.atom(atom, frame, shape)
            term = term if coefficient == 1 else term * coefficient
            total = term if total is None else total + term
        if total is None:
            return constant_index(expression.constant, len(shape))
        return total + expression.constant if expression.constant else total

    def atom(self, atom: Atom, frame: Frame, shape: Sequence[int]) -> Array:
        if isinstance(atom, Lane):
            return lanes(atom.axis, tuple(shape))
        if isinstance(atom, FloorDiv):
            return self.linear(atom.expression, frame, shape) // atom.by
        if isinstance(atom, Mod):
            return self.linear(atom.expression, frame, shape) % atom.by
        if isinstance(atom, Counter):
            raise TypeError("a loop's counter has no place in the IR")
        array = frame.seen.get(atom)
        if array is None:
            array = frame.seen[atom] = self.get(atom, frame)
        return array.reshape(len(array), *(1,) * len(shape)) if shape else array

    def bounds(self, dim: loop.Dim, frame: Frame) -> tuple[Array, Array]:
        """First index and number of steps of a loop dimension, for every iteration of a frame."""
        lower = self.linear(dim.lower, frame)
        upper = self.linear(dim.uppers[0], frame)
        for other in dim.uppers[1:]:
            upper = np.minimum(upper, self.linear(other, frame))
        steps = np.maximum(0, -((lower - upper) // dim.step))
        size = (frame.size,)
        return broadcast(lower, size), broadcast(steps, size)

    def whole(self, value: SSAValue, frame: Frame) -> Array:
        """A value with one entry for every iteration of a frame."""
        array = self.get(value, frame)
        return broadcast(array, (frame.size, *array.shape[1:]))
