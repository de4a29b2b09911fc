"""Frames: the iterations that run a body together, and which of an outer frame they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import field
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from picograd.dialects.loop_syntax import memref_shape
from picograd.errors import ShapeError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.loop_elements import Array


@dataclass(frozen=True, eq=False)
class Frame:
    """The iterations that run a body together: their number, and their place in the outer frame.

    `rows[n]` is the outer iteration to which iteration n belongs; None stands for the same ones.
    """

    size: int
    outer: Frame | None = None
    rows: Array | None = None
    seen: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])
    """What was asked for here already: rows of frames around it, and indices defined in them."""


@dataclass(frozen=True)
class Memory:
    """A buffer: one copy of it for each iteration of the frame that allocated it."""

    frame: Frame
    array: Array


def rows_within(frame: Frame, owner: Frame) -> Array | None:
    """For each iteration of a frame, the iteration of an outer frame around it; None if equal."""
    if frame is owner:
        return None
    if owner not in frame.seen:
        assert frame.outer is not None, "a value is used outside the body that defines it"
        rows = rows_within(frame.outer, owner)
        own = frame.rows
        frame.seen[owner] = own if rows is None else rows if own is None else rows[own]
    return frame.seen[owner]


def subset(frame: Frame, active: Array) -> Frame | None:
    """The iterations for which `active` holds; None if there are none."""
    count = int(np.count_nonzero(active))
    if count == 0:
        return None
    if count == frame.size:
        return Frame(count, frame)
    return Frame(count, frame, np.flatnonzero(active))


def updated(array: Array, inner: Frame, new: Array) -> Array:
    """`array` with the entries of a subset of the iterations replaced."""
    if inner.rows is None:
        return new if new.shape == array.shape else np.broadcast_to(new, array.shape)
    result = array.copy()
    result[inner.rows] = new
    return result


def trip_counts(bounds: Sequence[tuple[Array, Array]]) -> Array:
    """How many iterations a loop has, for each outer iteration."""
    return np.prod([steps for _, steps in bounds], axis=0)


def seen_as(array: Array, argument: SSAValue) -> Array:
    """The elements of an array, not copied, with the axes that a kernel's argument has.

    Raises ShapeError where there are more or fewer.
    """
    shape = memref_shape(argument.type)
    if array.shape == shape:
        return array
    if array.size != prod(shape) or not array.flags.c_contiguous:
        raise ShapeError(
            "a kernel is given memory of another size than it looks at",
            code="PG105",
            expected=f"{prod(shape)} elements in a row, for {argument.type}",
            found=f"{array.size} elements, of shape {list(array.shape)}",
            hint="launch the kernel on a buffer with as many elements as its argument has",
        )
    return array.reshape(shape)
