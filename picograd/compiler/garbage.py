"""When Python's garbage collector has to wait."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Generator[None]:
    """Compiling makes many objects that stay alive: collecting in between takes a third longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_MUCH = 300_000
"""Objects that may wait: about 50 MiB, which the process would keep for good."""


def collect_much() -> None:
    """Collect garbage now if much of it may have gathered: once in the step of a large model."""
    if gc.get_count()[0] > _MUCH:
        gc.collect()
