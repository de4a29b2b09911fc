"""Memory that tensors no longer need, kept for the next tensor of about the same size."""

from __future__ import annotations

import threading
from collections import defaultdict, deque

from picograd.backends.wgsl.runtime import Gpu, Memory


class MemoryPool:
    """Free memory by size class.

    Work on a GPU queue runs in order, so memory may be handed out again as soon as the call that
    used it has been *submitted*; nobody has to wait. `give_back` only appends to a deque, so it is
    safe in a finalizer, whichever thread and lock the garbage collector happens to interrupt.
    """

    def __init__(self, gpu: Gpu, keep_bytes: int = 1 << 30) -> None:
        self._gpu = gpu
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()
        self._returned: deque[Memory] = deque()
        self._free: defaultdict[int, list[Memory]] = defaultdict(list)
        self._free_bytes = 0
        self.created = 0

    def take(self, nbytes: int) -> Memory:
        """Memory of at least `nbytes` bytes with undefined contents. Raises LimitError."""
        size = size_class(nbytes)
        with self._lock:
            self._collect()
            free = self._free[size]
            if free:
                self._free_bytes -= size
                return free.pop()
            self.created += 1
        # A size class may lie above the device's limit where the request itself does not.
        most = self._gpu.limits.max_buffer_bytes // 256 * 256
        return self._gpu.create_memory(min(size, max(nbytes, most)))

    def give_back(self, memory: Memory) -> None:
        """Let a later `take` have the memory."""
        self._returned.append(memory)

    def empty(self) -> None:
        """Destroy the memory that waits for the next `take`."""
        with self._lock:
            self._collect()
            for memories in self._free.values():
                for memory in memories:
                    self._gpu.destroy(memory)
            self._free.clear()
            self._free_bytes = 0

    def _collect(self) -> None:
        while self._returned:
            memory = self._returned.popleft()
            if self._free_bytes + memory.nbytes > self._keep_bytes:
                self._gpu.destroy(memory)
                continue
            self._free[memory.nbytes].append(memory)
            self._free_bytes += memory.nbytes


def size_class(nbytes: int) -> int:
    """`nbytes` rounded up to one of four steps an octave, from 256 on: wastes a quarter at most."""
    if nbytes <= 256:
        return 256
    step = 1 << max(8, (nbytes - 1).bit_length() - 3)
    return (nbytes + step - 1) // step * step
