"""When Python's garbage collector has to wait."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


class _Collector:
    """Python's collector, which is one for the whole process."""

    waits = False
    """Whether it has been stopped here, and will go on."""


@contextmanager
def without_garbage_collection() -> Generator[None]:
    """Compiling makes many objects that stay alive: collecting in between takes a third longer."""
    enabled = gc.isenabled()
    if enabled:
        _Collector.waits = True
        gc.disable()
    try:
        yield
    finally:
        if enabled:
            _Collector.waits = False
            gc.enable()


def collect_meanwhile() -> None:
    """Collect what waits now that there is nothing else to do: while machine code is being made.

    Otherwise the call that follows would begin with it.
    """
    if _Collector.waits:
        gc.collect(0)


_MUCH = 300_000
"""Objects that may wait: about 50 MiB, which the process would keep for good."""


def collect_much() -> None:
    """Collect garbage now if much of it may have gathered: once in the step of a large model."""
    if gc.get_count()[0] > _MUCH:
        gc.collect()
