"""Schedules that were found by measuring, on disk: for which kernels, and where they hold.

A table holds the choices for all kernels of one machine, by the digest of the kernel's loops. The
key of the table tells of the machine what passes know, which processor code is made for, and
picograd's own sources: another compiler has other cost models and other kernels. Cores are left
out, and threads, of which a result must not depend: what is chosen decides in which order sums are
added up.

Whoever adds to a table holds a lock, where the system has locks between processes, and puts a new
file in the place of the old one. A table that cannot be read is as good as none.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from picograd.backends.disk.settings import schedule_store
from picograd.backends.disk.store import Store
from picograd.backends.runtime import Device
from picograd.backends.switches import is_on
from picograd.compiler.kept.programs import own_sources
from picograd.compiler.kept.sources import Unreadable, versions
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target, lookup

try:
    import fcntl
except ImportError:  # Windows: two that write at once may lose what one of them found
    fcntl = None

LOG = logging.getLogger("picograd")

SWITCH = "PICOGRAD_TUNED"
"""Set to 0, the cost model decides as if nothing had been measured."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHOICES = re.compile(r"[a-z]+=[a-z0-9]+( [a-z]+=[a-z0-9]+)*")


@dataclass(frozen=True)
class Tuned:
    """What was found for a kernel."""

    kernel: str
    """What it was called where it was found, for people."""
    choices: str
    """As `choose_schedules` takes them: "rows=6 pack=both"."""
    before: float
    """Seconds with the cost model's own schedule."""
    after: float


def choices_for_device(device: Device) -> str:
    """The choices for all kernels of a device, as `choose_schedules` takes them; "" for none.

    Raises OptionError where PICOGRAD_TUNED says neither yes nor no.
    """
    if (
        device.name != "cpu"
        or not is_on(SWITCH, unset=True)
        or not schedule_store().folder.is_dir()
    ):
        return ""
    return _spelled(tuple((digest, found.choices) for digest, found in remembered(device).items()))


@lru_cache(maxsize=8)
def _spelled(choices: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{digest}: {chosen}" for digest, chosen in sorted(choices))


def remembered(device: Device) -> Mapping[str, Tuned]:
    """What was found for the kernels of this machine, by digest."""
    store, key = schedule_store(), _key_for(device)
    if key is None:
        return {}
    try:
        facts = (store.folder / key).stat()
    except OSError:
        return {}
    return _read(store, key, (facts.st_ino, facts.st_mtime_ns, facts.st_size))


@lru_cache(maxsize=8)
def _read(store: Store, key: str, state: tuple[int, int, int]) -> Mapping[str, Tuned]:
    """The table in a file, which is read again when its `state` has changed."""
    payload = store.get(key, using=False)
    return {} if payload is None else _unpacked(payload)


def remember(device: Device, found: Mapping[str, Tuned], forget: frozenset[str]) -> bool:
    """Add what was found to the table, and drop some kernels; whether it could be written.

    Why it could not is warned of, or logged.
    """
    store, key = schedule_store(), _key_for(device)
    if key is None:
        return False
    with _locked(store.folder):
        payload = store.get(key, using=False)
        table = {} if payload is None else _unpacked(payload)
        kept = {digest: old for digest, old in table.items() if digest not in forget}
        return store.put(key, _packed(kept | dict(found)))


def why_not() -> str:
    """Why nothing can be remembered, in words."""
    sources = own_sources()
    return str(sources) if isinstance(sources, Unreadable) else f"{schedule_store().folder}"


def tables() -> list[tuple[float, Mapping[str, Tuned]]]:
    """All tables there are, of other machines and compilers too, with when they were written."""
    store = schedule_store()
    found = [(held.used, store.get(held.key, using=False)) for held in store.held()]
    return [(used, _unpacked(payload)) for used, payload in found if payload is not None]


def _key_for(device: Device) -> str | None:
    """The key of this machine's table; None where the sources have no digest, which is logged."""
    sources = own_sources()
    if isinstance(sources, Unreadable):
        LOG.info("no tuned schedules are used: %s", sources)
        return None
    target = lookup(device.name)
    return _key(target, device.makes_code_for, sources.digest)


@lru_cache(maxsize=8)
def _key(target: Target, code_for: str, sources: str) -> str:
    facts = [str(replace(target, cores=1)), code_for, versions(), sources]
    return blake2b(json.dumps(facts).encode(), digest_size=32).hexdigest()


def _packed(table: Mapping[str, Tuned]) -> bytes:
    return json.dumps({digest: asdict(found) for digest, found in table.items()}).encode()


def _unpacked(payload: bytes) -> dict[str, Tuned]:
    """The entries of a table that make sense."""
    try:
        entries: Any = json.loads(payload)
        table = {str(digest): Tuned(**found) for digest, found in entries.items()}
    except (ValueError, TypeError, AttributeError):
        LOG.info("a table of tuned schedules cannot be read, and is not used")
        return {}
    return {digest: found for digest, found in table.items() if _makes_sense(digest, found)}


def _makes_sense(digest: str, found: Tuned) -> bool:
    texts: tuple[Any, Any] = (digest, found.choices)
    return (
        all(isinstance(text, str) for text in texts)
        and _DIGEST.fullmatch(digest) is not None
        and _CHOICES.fullmatch(found.choices) is not None
    )


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Nobody else adds to a table meanwhile, in other processes too; without a word if not."""
    lock = folder.with_suffix(".lock")
    if fcntl is None:
        yield
        return
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError:  # a read-only disk: the table cannot be written either, which is told then
        yield
        return
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
