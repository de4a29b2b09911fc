"""A folder of a test's own for what is kept on disk, whatever becomes of picograd's sources."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from picograd.compiler.executable import clear_cache
from picograd.compiler.kept import programs, sources


@contextmanager
def own_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PICOGRAD_CACHE", str(folder))
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "1")
    # Whoever edits picograd while tests run is not what is tested here.
    monkeypatch.setattr(sources, "_STARTED", 2**63)
    monkeypatch.setattr(sources.OwnSources, "unchanged", lambda _: True)
    programs.own_sources.cache_clear()
    clear_cache()
    yield
    programs.own_sources.cache_clear()
    clear_cache()
