"""Races: iterations of one parallel loop that disturb one another.

The iterations of a `loop.parallel` may run in any order, or at once. So no two of them may touch
the same element of a buffer that both see, when one of them stores to it. Each run of a parallel
loop keeps, for every element of every buffer from outside, which iteration has stored to it and
which have loaded it. Loops inside of an iteration, parallel or not, belong to that iteration:
accesses of one iteration never race with each other here, but may in the run of a loop further
inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import numpy as np

from picograd.dialects import loop
from picograd.errors import SanitizerError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.access import Site, site_of
from picograd.semantics.loop_elements import Array
from picograd.semantics.loop_frames import Frame, Memory, rows_within

EVERYBODY = -2
"""In place of one iteration's number: several have done it, or all."""
_NOBODY = -1


@dataclass(frozen=True)
class Touch:
    """What the iterations of a frame access at once.

    `elements` are positions in the buffer's array, `rows` the frame's iterations that access them.
    """

    elements: Array
    rows: Array

    @classmethod
    def of(
        cls,
        array: Array,
        frame: Frame,
        places: tuple[Array, ...],
        inside: Array | None,
        shape: Sequence[int],
    ) -> Touch:
        """`places` are indices into the array; `inside` says which elements take part at all."""
        if not array.size:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))
        full = (frame.size, *shape)
        elements = np.broadcast_to(np.ravel_multi_index(places, array.shape), full)
        rows = np.broadcast_to(np.arange(frame.size).reshape([-1] + [1] * len(shape)), full)
        if inside is None:
            return cls(elements.reshape(-1), rows.reshape(-1))
        kept = np.broadcast_to(inside, full)
        return cls(elements[kept], rows[kept])


@dataclass(frozen=True)
class Clash:
    """Two iterations that race: the one that accesses now, and what another has done."""

    one: int
    other: int
    what: str
    index: tuple[int, ...]

    def told(self, site: Site, who: str) -> str:
        """The two, in words; `who` is what an iteration is called."""
        another = f"{who} {self.other}" if self.other >= 0 else f"another {who}"
        first = f"{who} {self.one}" if self.one >= 0 else f"every {who}"
        place = f"%{site.buffer}[{', '.join(map(str, self.index))}]"
        return f"{first} does {site.op}, {another} {self.what} {place}"


@dataclass
class _Seen:
    """Who has touched each element of a buffer, by the number of the iteration."""

    memory: Memory
    stored: Array
    loaded: Array


class Log:
    """Who has touched which elements since a point at which all were in step."""

    def __init__(self) -> None:
        self._seen: dict[object, _Seen] = {}

    def add(
        self, op: loop.LoadOp | loop.StoreOp, key: object, memory: Memory, touch: Touch, by: Array
    ) -> Clash | None:
        """Note an access; the race that it makes, if any.

        `key` names the buffer, `by` holds who accesses each of the elements.
        """
        if key not in self._seen:
            empty = (np.full(memory.array.size, _NOBODY, np.int64) for _ in range(2))
            self._seen[key] = _Seen(memory, *empty)
        seen, elements = self._seen[key], touch.elements
        before = seen.stored[elements]
        found = [(before, (before != _NOBODY) & (before != by), "stores to")]
        readers = seen.loaded[elements]
        if isinstance(op, loop.StoreOp):
            found.append((readers, (readers != _NOBODY) & (readers != by), "loads"))
            seen.stored[elements] = by
            # Where several iterations of this very access store, the last of them stands there now.
            now = seen.stored[elements]
            found.append((now, now != by, "stores to"))
        else:
            alone = (readers == _NOBODY) | (readers == by)
            seen.loaded[elements] = np.where(alone, by, EVERYBODY)
            seen.loaded[elements[seen.loaded[elements] != by]] = EVERYBODY
        for others, wrong, what in found:
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                index = np.unravel_index(int(elements[first]), memory.array.shape)[1:]
                return Clash(int(by[first]), int(others[first]), what, tuple(map(int, index)))
        return None


@dataclass
class _Run:
    """One run of a parallel loop, and the iterations of it that run now."""

    op: loop.ParallelOp
    frame: Frame | None = None
    first: int = 0
    log: Log = field(default_factory=Log)


class Races:
    """The parallel loops that are running, outermost first."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def enter(self, op: loop.ParallelOp) -> None:
        """A parallel loop begins."""
        self._runs.append(_Run(op))

    def run(self, frame: Frame, first: int) -> None:
        """Its iterations from number `first` on are about to run."""
        self._runs[-1].frame, self._runs[-1].first = frame, first

    def leave(self) -> None:
        """It has ended."""
        self._runs.pop()

    def access(
        self, op: loop.LoadOp | loop.StoreOp, memory: Memory, frame: Frame, touch: Touch
    ) -> None:
        """Note an access. Raises SanitizerError for a race."""
        for run in self._runs:
            assert run.frame is not None
            if not _is_outside(memory.frame, run.frame):
                continue
            rows = rows_within(frame, run.frame)
            by = run.first + (touch.rows if rows is None else rows[touch.rows])
            # The log keeps the buffer alive, so no other can have its number.
            clash = run.log.add(op, id(memory), memory, touch, by)
            if clash is not None:
                raise _race(site_of(op), run.op, clash)


def _is_outside(owner: Frame, frame: Frame) -> bool:
    """Whether a buffer was there before the iterations of a frame began."""
    current = frame.outer
    while current is not None:
        if current is owner:
            return True
        current = current.outer
    return False


def _race(site: Site, op: loop.ParallelOp, clash: Clash) -> SanitizerError:
    loops = ", ".join(dim.name or "?" for dim in op.dims)
    return SanitizerError(
        f"two iterations of the parallel loop {loops!r} race for an element of %{site.buffer}",
        code="PG612",
        expected="iterations that leave alone what others touch",
        found=clash.told(site, "iteration"),
        hint="parallel iterations run in any order: use a loop.for, or give each its own memory",
        where=f"kernel @{site.kernel}: {site.text}",
    )
