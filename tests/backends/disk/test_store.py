"""Entries on disk: whatever happens to them, what comes out is what went in, or nothing."""

import errno
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picograd.backends.disk import store as store_module
from picograd.backends.disk.settings import DEFAULT_LIMIT, limit, program_store
from picograd.backends.disk.store import Store
from picograd.errors import OptionError

A, B = "a" * 64, "b" * 64
posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions of POSIX")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache" / "programs", 1 << 20)


@pytest.fixture
def payload(rng: np.random.Generator) -> bytes:
    return rng.bytes(5000)


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("quiet")
def test_what_was_put_comes_back(store: Store, payload: bytes) -> None:
    assert store.get(A) is None
    assert store.put(A, payload) and store.put(B, b"")
    assert store.get(A) == payload and store.get(B) == b""
    assert store.put(A, payload[::-1]) and store.get(A) == payload[::-1]
    assert {entry.key for entry in store.held()} == {A, B}
    assert Store(store.folder, 1 << 20).get(A) == payload[::-1]


@posix
def test_only_its_owner_may_read_it(store: Store, payload: bytes) -> None:
    store.put(A, payload)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / A).stat().st_mode) == 0o600


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kept", [0, 1, 16, 17, 60, 100, 113, 114, 2000, 5100])
def test_a_truncated_entry_counts_as_missing(store: Store, payload: bytes, kept: int) -> None:
    store.put(A, payload)
    (store.folder / A).write_bytes((store.folder / A).read_bytes()[:kept])
    assert store.get(A) is None
    assert not (store.folder / A).exists()
    assert store.put(A, payload) and store.get(A) == payload


@pytest.mark.usefixtures("quiet")
def test_a_changed_byte_is_noticed(store: Store, payload: bytes, rng: np.random.Generator) -> None:
    store.put(A, payload)
    whole = (store.folder / A).read_bytes()
    for place in [*range(120), *rng.integers(0, len(whole), 50)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        (store.folder / A).write_bytes(damaged)
        assert store.get(A) is None
    (store.folder / A).write_bytes(whole + b"\0")
    assert store.get(A) is None


@pytest.mark.usefixtures("quiet")
def test_the_bytes_of_another_entry_are_noticed(store: Store, payload: bytes) -> None:
    store.put(A, payload)
    os.replace(store.folder / A, store.folder / B)
    assert store.get(B) is None and store.get(A) is None


@pytest.mark.usefixtures("quiet")
def test_the_longest_unused_go_first(tmp_path: Path, rng: np.random.Generator) -> None:
    store = Store(tmp_path, 10 * 4096 * 16)
    keys = [f"{number:064x}" for number in range(40)]
    for number, key in enumerate(keys):
        assert store.put(key, rng.bytes(4096 * 15))
        os.utime(tmp_path / key, (number, number))
    held = store.held()
    assert [entry.key for entry in held] == keys[-len(held) :]
    assert 8 <= len(held) <= 10
    assert store.get(held[0].key) is not None  # used now, so another one is the oldest
    assert store.held()[0].key == held[1].key
    assert store.evict(0) == len(held) and not store.held()


@pytest.mark.usefixtures("quiet")
def test_what_is_larger_than_half_of_the_room_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, 100_000)
    assert not store.put(A, bytes(50_001)) and store.get(A) is None
    assert store.put(B, bytes(50_000)) and store.get(B) == bytes(50_000)


def test_half_written_files_of_dead_processes_go(store: Store, payload: bytes) -> None:
    store.put(A, payload)
    old, new = store.folder / ".old.part", store.folder / ".new.part"
    for part in (old, new):
        part.write_bytes(payload)
    os.utime(old, (1, 1))
    assert [entry.key for entry in store.held()] == [A]
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_cannot_be_written_is_told_once(
    store: Store, payload: bytes, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(A, payload)

    def fails(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "replace", fails)
        with pytest.warns(UserWarning, match=os.strerror(number)) as told:
            assert not [store.put(B, payload) for _ in range(3)].count(True)
    assert len(told) == 1
    assert [file.name for file in store.folder.iterdir()] == [A]
    assert store.get(A) == payload


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path: Path, payload: bytes) -> None:
    (tmp_path / "file").write_text("no folder")
    store = Store(tmp_path / "file" / "programs", 1 << 20)
    with pytest.warns(UserWarning, match="set PICOGRAD_CACHE to another folder") as told:
        assert not store.put(A, payload) and store.get(A) is None
    assert len(told) == 1
    assert store.held() == []


@posix
def test_a_read_only_disk_still_gives_what_it_holds(
    store: Store, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(A, payload)

    def fails(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store_module.os, "utime", fails)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.get(A) == payload


@posix
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(
    store: Store, payload: bytes, mode: int
) -> None:
    store.put(A, payload)
    store.folder.chmod(mode)
    with pytest.warns(UserWarning, match="can be written by other users") as told:
        assert store.get(A) is None and not store.put(B, payload) and store.held() == []
    assert len(told) == 1
    store.folder.chmod(0o755)
    assert store.get(A) == payload
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


@posix
def test_a_file_that_others_may_write_to_is_refused(store: Store, payload: bytes) -> None:
    store.put(A, payload)
    (store.folder / A).chmod(0o620)
    with pytest.warns(UserWarning, match="can be written by other users"):
        assert store.get(A) is None


@posix
def test_what_belongs_to_another_user_is_refused(
    store: Store, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(A, payload)
    owner = os.geteuid()
    monkeypatch.setattr(store_module.os, "geteuid", lambda: owner + 1)
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert store.get(A) is None and not store.put(B, payload)


@posix
def test_links_are_not_followed(tmp_path: Path, store: Store, payload: bytes) -> None:
    store.put(A, payload)
    os.replace(store.folder / A, tmp_path / "elsewhere")
    (store.folder / A).symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="reading"):
        assert store.get(A) is None
    (tmp_path / "link").symlink_to(store.folder)
    with pytest.warns(UserWarning, match="is no folder"):
        assert Store(tmp_path / "link", 1 << 20).get(A) is None


_WRITES_AND_READS = """
import os, sys
from pathlib import Path
import numpy as np
from picograd.backends.disk.store import Store

forks = sys.argv[2] == "fork"
child = os.fork() if forks else None
store, rng = Store(Path(sys.argv[1]), 1 << 18), np.random.default_rng(os.getpid())
for _ in range(300):
    key = f"{rng.integers(8):064x}"
    if rng.integers(2):
        assert store.put(key, key.encode() * int(rng.integers(1, 300)))
    found = store.get(key)
    assert found is None or found == key.encode() * (len(found) // 64)
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_processes_may_write_at_once(way: str, tmp_path: Path) -> None:
    if way == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    words = [sys.executable, "-W", "error", "-c", _WRITES_AND_READS, str(tmp_path / "p"), way]
    running = [subprocess.Popen(words) for _ in range(1 if way == "fork" else 2)]
    assert [process.wait(timeout=120) for process in running] == [0] * len(running)
    assert not list((tmp_path / "p").glob(".*")) and list((tmp_path / "p").iterdir())


@pytest.mark.parametrize(
    ("text", "size"), [("", DEFAULT_LIMIT), ("12", 12), ("500M", 500 << 20), ("2 GiB", 2 << 30)]
)
def test_sizes_that_are_known(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_CACHE_LIMIT", text)
    assert limit() == size


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "3 parsecs"])
def test_other_sizes_are_mistakes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_CACHE_LIMIT", text)
    with pytest.raises(OptionError, match="PICOGRAD_CACHE_LIMIT"):
        limit()


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "1")
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path))
    found = program_store()
    assert found is not None and found.folder == tmp_path / "programs"
    assert program_store() is found
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "off")
    assert program_store() is None
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "perhaps")
    with pytest.raises(OptionError):
        program_store()
