"""What emitter and program agree about: what the emitter gives, and the context of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass

if TYPE_CHECKING:
    from picograd.semantics.access import Site

ENTRY = "picograd_main"
"""The symbol of the native function that runs a whole graph."""

CONTEXT_FIELDS = (
    "arena",  # intermediates
    "scratch",  # local buffers of kernels, outside their threads' loops
    "thread_scratch",  # local buffers inside threads' loops: a block for each thread
    "thread_stride",  # bytes from one thread's block to the next
    "pool",  # the thread pool's state
    "threads",  # how many threads may take part
    "status",  # failure, offending index, size of the axis
    "violation",  # of checked execution: what left its memory, and spare memory
)
CONTEXT_NUMBERS = tuple(CONTEXT_FIELDS.index(name) for name in ("thread_stride", "threads"))
ARENA, SCRATCH, THREAD_SCRATCH, THREAD_STRIDE, POOL, THREADS, STATUS, VIOLATION = range(8)


@dataclass(frozen=True)
class Emitted:
    """LLVM IR text, and what a caller must provide."""

    text: str
    constants: tuple[NDArray[Any], ...]
    arena_bytes: int
    scratch_bytes: int
    thread_scratch_bytes: int
    launches: int
    parallel: bool
    names: tuple[str, ...] = ()
    """What the arguments, then the constants, are called."""
    sites: tuple[Site, ...] = ()
    """The accesses that the code checks, by the number that it reports."""
    codes: tuple[bytes, ...] = ()
    """The machine code, in parts, where it has been made already; the text may be left out."""
