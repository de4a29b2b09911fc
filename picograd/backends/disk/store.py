"""A folder of checksummed entries, which many processes may read and write at once.

Nothing that goes wrong here is an error: a program that cannot be kept is compiled again. A disk
that is full or read-only, or a folder that others could write to, is warned of, once; a damaged
entry is removed and counts as missing.

An entry is one file, named by its key:

    entry ::= "picograd entry 1\\n" key "\\n" checksum payload

The checksum covers key and payload, so that neither a truncated file nor one under another's name
is taken for whole. A file is written beside its place and then moved there, so nobody sees a part.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from picograd.quick_dataclasses import dataclass

_MAGIC = b"picograd entry 1\n"
_CHECKSUM_BYTES = 32
_PART = ".part"
_ABANDONED_SECONDS = 3600.0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class _Refused(Exception):
    """Why a folder or file is not to be trusted, in words."""


@dataclass(frozen=True)
class Held:
    """An entry as a folder lists it."""

    key: str
    nbytes: int
    """What it takes on the disk."""
    used: float
    """When it was last read or written, in seconds since 1970."""


class Store:
    """Entries in one folder, of at most `limit` bytes together: the longest unused go first."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        holds: str = "compiled programs",
        *,
        warned: set[str] | None = None,
    ) -> None:
        """`holds` says what the entries are, for people; `warned` of what they have been told."""
        self.folder = folder
        self.holds = holds
        self.limit = limit
        self._unchecked = limit  # bytes written since the folder was last measured; at first, do
        self._warned: set[str] = set() if warned is None else warned

    def get(self, key: str, *, using: bool = True) -> bytes | None:
        """What was put under the key; None where there is nothing, or nothing to rely on.

        It counts as used now, unless it is only looked at.
        """
        try:
            self._require_own_folder()
            file = os.open(self.folder / key, _READ)
        except FileNotFoundError:
            return None
        except (OSError, _Refused) as error:
            self._warn("reading", error)
            return None
        try:
            _require_own(os.fstat(file), self.folder / key)
            if using:
                with suppress(OSError):  # a read-only disk: it only looks unused
                    os.utime(file if os.utime in os.supports_fd else self.folder / key)
            with os.fdopen(file, "rb", closefd=False) as stream:
                payload = _payload(key, stream.read())
        except (OSError, _Refused) as error:
            self._warn("reading", error)
            return None
        finally:
            os.close(file)
        if payload is None:
            self._remove(self.folder / key)
        return payload

    def put(self, key: str, payload: bytes) -> bool:
        """Keep the payload under the key, in place of what is there; whether that was possible."""
        if len(payload) > self.limit // 2:
            return False
        part = self.folder / f".{key[:16]}-{os.getpid()}-{secrets.token_hex(4)}{_PART}"
        try:
            self._make_folder()
            self._require_own_folder()
            file = os.open(part, _WRITE, 0o600)
            with os.fdopen(file, "wb") as stream:
                stream.write(_MAGIC + key.encode() + b"\n" + _checksum(key, payload))
                stream.write(payload)
            os.replace(part, self.folder / key)
        except (OSError, _Refused) as error:
            self._warn("writing", error)
            self._remove(part)
            return False
        self._unchecked += len(payload)
        if self._unchecked > self.limit // 16:
            self.evict()
        return True

    def held(self) -> list[Held]:
        """All entries, the longest unused first."""
        return sorted(self._files(), key=lambda entry: entry.used)

    def evict(self, limit: int | None = None) -> int:
        """Remove the longest unused entries beyond the limit; how many they were."""
        self._unchecked = 0
        entries = self.held()
        excess = sum(entry.nbytes for entry in entries) - (self.limit if limit is None else limit)
        removed = 0
        for entry in entries:
            if excess <= 0:
                break
            self._remove(self.folder / entry.key)
            excess -= entry.nbytes
            removed += 1
        return removed

    def _files(self) -> Iterator[Held]:
        """The entries that there are; files that a process left half-written go, when old."""
        try:
            self._require_own_folder()
            with os.scandir(self.folder) as found:
                for file in found:
                    with suppress(FileNotFoundError):  # another process removed it meanwhile
                        facts = file.stat(follow_symlinks=False)
                        if not file.name.endswith(_PART):
                            blocks = 512 * getattr(facts, "st_blocks", 0)
                            yield Held(file.name, max(facts.st_size, blocks), facts.st_mtime)
                        elif facts.st_mtime < time.time() - _ABANDONED_SECONDS:
                            self._remove(self.folder / file.name)
        except FileNotFoundError:
            return
        except (OSError, _Refused) as error:
            self._warn("listing", error)

    def _make_folder(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _require_own_folder(self) -> None:
        facts = os.lstat(self.folder)
        if not stat.S_ISDIR(facts.st_mode):
            raise _Refused(f"{self.folder} is no folder")
        _require_own(facts, self.folder)
        if stat.S_IMODE(facts.st_mode) & 0o077:
            os.chmod(self.folder, 0o700)  # others may have been able to read it

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._warn("removing", error)

    def _warn(self, doing: str, error: Exception) -> None:
        """Say once what is wrong; things are made anew for as long as it is."""
        told = f"{type(error).__name__} {getattr(error, 'errno', '')}"
        if told in self._warned:
            return
        self._warned.add(told)
        warnings.warn(
            f"picograd does not keep {self.holds} in {self.folder}: {doing}: {error}. "
            "They are made again in every process; set PICOGRAD_CACHE to another folder, or "
            "PICOGRAD_DISK_CACHE=0 to keep nothing and hear nothing of it.",
            stacklevel=4,
        )


def _require_own(facts: os.stat_result, path: Path) -> None:
    """Who can write machine code here can run it as us."""
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        raise _Refused(f"{path} belongs to another user")
    if os.name == "posix" and facts.st_mode & _OTHERS_WRITE:
        raise _Refused(f"{path} can be written by other users")


def _checksum(key: str, payload: bytes) -> bytes:
    state = blake2b(key.encode() + b"\n", digest_size=_CHECKSUM_BYTES)
    state.update(payload)
    return state.digest()


def _payload(key: str, data: bytes) -> bytes | None:
    """The payload of a file's bytes; None where they are not whole, or another key's."""
    header = _MAGIC + key.encode() + b"\n"
    start = len(header) + _CHECKSUM_BYTES
    payload = data[start:]
    whole = data.startswith(header) and data[len(header) : start] == _checksum(key, payload)
    return payload if whole else None
