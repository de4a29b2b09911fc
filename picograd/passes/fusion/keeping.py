"""What a fusion would keep in memory: values computed long before anybody reads them.

Where a kernel of the backward pass needs only values of the forward pass, it could be part of a
kernel there; what it computes would then lie in memory all the way. That is a saving of traffic in
small programs, and the largest part of what a large one needs. So where much is alive at once, no
kernel moves from behind that place to before it if more would have to be kept for that.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from picograd.dialects.dtypes import nbytes_of, type_of
from picograd.passes.fusion.graph import Graph, Group, Place

_SMALL = 1024
"""So many of a value that counts are as large as all that are alive together."""


class Keeping:
    """The place in a graph's order where most bytes are alive, and what lies across it."""

    def __init__(self, graph: Graph, much: int) -> None:
        """`much` is how many bytes may be alive together before anything is refused."""
        self._graph = graph
        self._late_readers: dict[Place, set[int]] = {}
        peak, self._place = self._find_peak()
        self._least = peak / _SMALL
        if peak <= much:
            self._place = len(graph.kernels)  # nothing is behind it
        for number, kernel in enumerate(graph.kernels[self._place :], self._place):
            for value in kernel.inputs:
                self._late_readers.setdefault(graph.place_of(value), set()).add(number)

    def _find_peak(self) -> tuple[int, int]:
        """The most bytes that are alive together, and the first kernel after that."""
        last: dict[SSAValue, int] = {}
        for number, kernel in enumerate(self._graph.kernels):
            for value in kernel.inputs:
                last[value] = number
        ends: dict[int, int] = {}
        alive = most = place = 0
        for number, kernel in enumerate(self._graph.kernels):
            for value in kernel.outputs:
                nbytes = nbytes_of(type_of(value))
                alive += nbytes
                end = last.get(value, number)
                ends[end] = ends.get(end, 0) + nbytes
            if alive > most:
                most, place = alive, number + 1
            alive -= ends.pop(number, 0)
        return most, place

    def would_grow(self, a: Group, b: Group) -> bool:
        """Whether more had to be kept across the place if the two groups were one."""
        early, late = sorted((a, b), key=lambda group: min(group.members))
        if min(early.members) >= self._place or min(late.members) < self._place:
            return False
        if self._graph.depends_on_any(late, self._place):
            return False  # it stays behind the place, and what it is joined with goes there
        part = self._graph.part_of(late)
        made = sum(self._size(value) for value in part.outputs)
        spared = sum(
            self._size(value)
            for value in part.inputs
            if value[0] >= 0 and self._late_readers.get(value, set()) <= late.members
        )
        return made - spared > self._least

    def _size(self, value: Place) -> int:
        """The bytes of a kernel's result that the function's do not hold in any case."""
        kernel, number = value
        if self._graph.is_returned(value):
            return 0
        return nbytes_of(type_of(self._graph.kernels[kernel].outputs[number]))
