"""Aligned memory that is kept for reuse.

Fresh pages are expensive: the kernel clears each when it is first touched, which takes longer than
most kernels take to fill it. So blocks go back to a pool and come out of it warm. Large blocks ask
for huge pages.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import Any

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

    __slots__ = ("address", "bytes", "nbytes")

    def __init__(self, nbytes: int) -> None:
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
            return self.free.pop()
        except IndexError:
            return self._pool.make(self.size)


class BlockPool:
    """Blocks by size. Each step is one operation of the interpreter: threads may share a pool.

    What is kept is counted when a large block is made, and then cut down to `KEPT` bytes.
    """

    def __init__(self) -> None:
        self._shelves: dict[int, Shelf] = {}

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
        """Give blocks back to the system, large ones first, until at most `most` bytes are kept."""
        kept = self.kept
        for shelf in sorted(self._shelves.values(), key=lambda shelf: -shelf.size):
            while kept > most and shelf.free:
                try:
                    shelf.free.popleft()
                except IndexError:  # another thread has taken the last one
                    break
                kept -= shelf.size
