"""Aligned memory that is kept for reuse.

Fresh pages are expensive: the kernel clears each when it is first touched, which takes longer than
most kernels take to fill it. So blocks go back to a pool and come out of it warm. Large blocks ask
for huge pages.
"""

from __future__ import annotations

import mmap
from collections import deque
from heapq import heapify, heappop, heapreplace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.errors import DeviceError

ALIGNMENT = 64
"""Bytes to which every block is aligned: a cache line, and the widest vector."""

_LARGE = 1 << 21
"""Blocks from this size on, that of a huge page, are mapped by themselves, at a multiple of it."""

KEPT = 1 << 30
"""Bytes that a pool keeps for reuse; blocks beyond go back to the system."""


class Block:
    """A run of aligned bytes."""

    __slots__ = ("address", "bytes", "nbytes", "taken")

    def __init__(self, nbytes: int) -> None:
        self.taken = 0
        """When it was last taken, by the number of blocks that its pool had made then."""
        if nbytes >= _LARGE:
            memory = _pages(nbytes)
        else:
            memory = np.empty(nbytes + ALIGNMENT, np.uint8)
            start = -memory.ctypes.data % ALIGNMENT
            memory = memory[start : start + nbytes]
        self.bytes: NDArray[np.uint8] = memory
        self.address: int = memory.ctypes.data
        self.nbytes = nbytes

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The first bytes as an array, not copied."""
        return np.ndarray(shape, dtype, self.bytes)


def _pages(nbytes: int) -> NDArray[np.uint8]:
    """Pages of the process's own; huge ones, if the system has them, but for what fills none.

    Python maps memory that a forked child shares by default: the child's writes would be seen
    here, and such pages are never huge. Where the last page may be huge as well, all of it counts
    as used when its first byte is.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):
        mapping = mmap.mmap(-1, nbytes + _LARGE)
    else:
        mapping = mmap.mmap(-1, nbytes + _LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory = np.frombuffer(mapping, np.uint8)
    start = -memory.ctypes.data % _LARGE
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapping.madvise(mmap.MADV_HUGEPAGE, start, nbytes // _LARGE * _LARGE)
    return memory[start : start + nbytes]


def rounded(nbytes: int) -> int:
    """The size of the block that serves a request: at most an eighth more, so that sizes repeat."""
    nbytes = max(nbytes, 1)
    step = max(ALIGNMENT, 1 << max(0, nbytes.bit_length() - 4))
    return -(-nbytes // step) * step


class Shelf:
    """Free blocks of one size."""

    __slots__ = ("_pool", "free", "give", "size")

    def __init__(self, size: int, pool: BlockPool) -> None:
        self.size = size
        self._pool = pool
        # A full deque drops its oldest block, which goes back to the system.
        self.free: deque[Block] = deque(maxlen=KEPT // size)
        self.give = self.free.append
        """Return a block that nobody uses any more."""

    def take(self) -> Block:
        """A block whose contents are undefined. Raises DeviceError where there is no memory."""
        try:
            block = self.free.pop()
        except IndexError:
            block = self._pool.make(self.size)
        block.taken = self._pool.made
        return block

    def oldest(self) -> Age | None:
        """Where the block that lies here for longest stands among those of all shelves."""
        try:
            block = self.free[0]
        except IndexError:
            return None
        # No two shelves have the same size.
        return block.nbytes < _LARGE, block.taken, -block.nbytes, self


Age: TypeAlias = tuple[bool, int, int, Shelf]


class BlockPool:
    """Blocks by size. Each step is one operation of the interpreter: threads may share a pool.

    What is kept is counted when a large block is made, and then cut down to `KEPT` bytes.
    """

    def __init__(self) -> None:
        self._shelves: dict[int, Shelf] = {}
        self.made = 0
        """How many blocks there were so far, roughly where several threads make them: the time."""

    def shelf(self, nbytes: int) -> Shelf:
        """Where blocks of at least `nbytes` bytes lie."""
        size = rounded(nbytes)
        return self._shelves.get(size) or self._shelves.setdefault(size, Shelf(size, self))

    @property
    def kept(self) -> int:
        """Bytes of the blocks that wait for use."""
        return sum(shelf.size * len(shelf.free) for shelf in list(self._shelves.values()))

    def make(self, size: int) -> Block:
        """A new block. Raises DeviceError where there is no memory for it."""
        self.made += 1
        if size >= _LARGE:
            self.trim(KEPT - size)
        try:
            return Block(size)
        except (MemoryError, OSError):
            self.trim(0)
        try:
            return Block(size)
        except (MemoryError, OSError) as error:
            raise DeviceError(
                "there is no memory for a buffer on the cpu",
                code="PG306",
                expected=f"room for {size} bytes",
                found=error,
                hint="drop tensors that are no longer needed, or use smaller batches",
            ) from error

    def trim(self, most: int) -> None:
        """Give blocks back to the system until at most `most` bytes are kept.

        Large ones go first, and of these what nobody has taken for longest: were it the largest,
        two programs with large results would throw out one another's again and again.
        """
        kept = self.kept
        ages = [age for shelf in list(self._shelves.values()) if (age := shelf.oldest())]
        heapify(ages)
        while kept > most and ages:
            shelf = ages[0][-1]
            try:
                shelf.free.popleft()
                kept -= shelf.size
            except IndexError:  # another thread has taken the last one
                pass
            age = shelf.oldest()
            if age is None:
                heappop(ages)
            else:
                heapreplace(ages, age)
