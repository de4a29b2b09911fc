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

ALIGNMENT = 64
"""Bytes to which every block is aligned: a cache line, and the widest vector."""

_LARGE = 1 << 21
"""Blocks from this size on, that of a huge page, are mapped by themselves, at a multiple of it."""

_CACHE_LIMIT = 1 << 28
"""Bytes of each size that a pool keeps for reuse; blocks beyond go back to the system."""


class Block:
    """A run of aligned bytes."""

    __slots__ = ("address", "bytes", "nbytes")

    def __init__(self, nbytes: int) -> None:
        if nbytes >= _LARGE:
            memory, alignment = np.frombuffer(_mapping(nbytes + _LARGE), np.uint8), _LARGE
        else:
            memory, alignment = np.empty(nbytes + ALIGNMENT, np.uint8), ALIGNMENT
        start = -memory.ctypes.data % alignment
        memory = memory[start : start + nbytes]
        self.bytes: NDArray[np.uint8] = memory
        self.address: int = memory.ctypes.data
        self.nbytes = nbytes

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The first bytes as an array, not copied."""
        return np.ndarray(shape, dtype, self.bytes)


def _mapping(nbytes: int) -> mmap.mmap:
    """Pages of the process's own; huge ones, if the system has them.

    Python maps memory that a forked child shares by default: the child's writes would be seen
    here, and such pages are never huge.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, nbytes)
    mapping = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping


def rounded(nbytes: int) -> int:
    """The size of the block that serves a request: at most an eighth more, so that sizes repeat."""
    nbytes = max(nbytes, 1)
    step = max(ALIGNMENT, 1 << max(0, nbytes.bit_length() - 4))
    return -(-nbytes // step) * step


class Shelf:
    """Free blocks of one size."""

    __slots__ = ("free", "give", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        # A full deque drops its oldest block, which goes back to the system.
        self.free: deque[Block] = deque(maxlen=_CACHE_LIMIT // size)
        self.give = self.free.append
        """Return a block that nobody uses any more."""

    def take(self) -> Block:
        """A block whose contents are undefined."""
        try:
            return self.free.pop()
        except IndexError:
            return Block(self.size)


class BlockPool:
    """Blocks by size. Each step is one operation of the interpreter: threads may share a pool."""

    def __init__(self) -> None:
        self._shelves: dict[int, Shelf] = {}

    def shelf(self, nbytes: int) -> Shelf:
        """Where blocks of at least `nbytes` bytes lie."""
        size = rounded(nbytes)
        return self._shelves.get(size) or self._shelves.setdefault(size, Shelf(size))
