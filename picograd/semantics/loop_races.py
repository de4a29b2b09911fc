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
from dataclasses import dataclass, field

import numpy as np

from picograd.dialects import loop
from picograd.errors import SanitizerError
from picograd.semantics.access import site_of
from picograd.semantics.loop_elements import Array
from picograd.semantics.loop_frames import Frame, Memory, rows_within

_NOBODY, _SEVERAL = -1, -2


@dataclass
class _Seen:
    """Who has touched each element of a buffer, by the number of the iteration."""

    stored: Array
    loaded: Array


@dataclass
class _Run:
    """One run of a parallel loop, and the iterations of it that run now."""

    op: loop.ParallelOp
    frame: Frame | None = None
    first: int = 0
    seen: dict[int, tuple[Memory, _Seen]] = field(default_factory=dict[int, tuple[Memory, _Seen]])


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
        self,
        op: loop.LoadOp | loop.StoreOp,
        memory: Memory,
        frame: Frame,
        places: tuple[Array, ...],
        inside: Array | None,
        shape: Sequence[int],
    ) -> None:
        """Note an access of all iterations of a frame.

        `places` are the copy of the buffer and the indices; `inside` says which elements are
        accessed at all. Raises SanitizerError for a race.
        """
        if not memory.array.size:
            return
        full = (frame.size, *shape)
        flat = np.broadcast_to(np.ravel_multi_index(places, memory.array.shape), full)
        kept = None if inside is None else np.broadcast_to(inside, full)
        elements = flat.reshape(-1) if kept is None else flat[kept]
        lanes = flat.size // frame.size if frame.size else 0
        for run in self._runs:
            assert run.frame is not None
            if not _is_outside(memory.frame, run.frame):
                continue
            rows = rows_within(frame, run.frame)
            iterations = run.first + (np.arange(frame.size) if rows is None else rows)
            spread = np.repeat(iterations, lanes)
            if kept is not None:
                spread = spread[kept.reshape(-1)]
            _note(op, run, memory, elements, spread)


def _note(
    op: loop.LoadOp | loop.StoreOp, run: _Run, memory: Memory, elements: Array, by: Array
) -> None:
    _, seen = run.seen.setdefault(id(memory), (memory, _fresh(memory)))
    stored, loaded = seen.stored, seen.loaded
    before = stored[elements]
    other = (before != _NOBODY) & (before != by)
    if isinstance(op, loop.StoreOp):
        readers = loaded[elements]
        read = (readers != _NOBODY) & (readers != by)
        stored[elements] = by
        together = stored[elements] != by  # two iterations of this very access
        for wrong, found, what in (
            (other, before, "stores to"),
            (together, stored[elements], "stores to"),
            (read, readers, "loads"),
        ):
            if wrong.any():
                raise _race(op, run, memory, elements, by, found, wrong, what)
        return
    if other.any():
        raise _race(op, run, memory, elements, by, before, other, "stores to")
    readers = loaded[elements]
    fresh = readers == _NOBODY
    loaded[elements] = np.where(fresh | (readers == by), by, _SEVERAL)
    # Where several iterations of this access load one element, the last of them stands there now.
    shared = elements[(loaded[elements] != by)]
    loaded[shared] = _SEVERAL


def _fresh(memory: Memory) -> _Seen:
    return _Seen(*(np.full(memory.array.size, _NOBODY, np.int64) for _ in range(2)))


def _is_outside(owner: Frame, frame: Frame) -> bool:
    """Whether a buffer was there before the iterations of a frame began."""
    current = frame.outer
    while current is not None:
        if current is owner:
            return True
        current = current.outer
    return False


def _race(
    op: loop.LoadOp | loop.StoreOp,
    run: _Run,
    memory: Memory,
    elements: Array,
    by: Array,
    found: Array,
    wrong: Array,
    what: str,
) -> SanitizerError:
    position = int(np.flatnonzero(wrong)[0])
    index = np.unravel_index(int(elements[position]), memory.array.shape)[1:]
    site = site_of(op)
    loops = ", ".join(dim.name or "?" for dim in run.op.dims)
    one, other = int(by[position]), int(found[position])
    who = f"iteration {other}" if other >= 0 else "another iteration"
    return SanitizerError(
        f"two iterations of the parallel loop {loops!r} race for an element of %{site.buffer}",
        code="PG612",
        expected="iterations that leave alone what others touch",
        found=f"iteration {one} does {site.op}, {who} {what} %{site.buffer}"
        f"[{', '.join(map(str, map(int, index)))}]",
        hint="parallel iterations run in any order: use a loop.for, or give each its own memory",
        where=f"kernel @{site.kernel}: {site.text}",
    )
