"""The command that shows and removes compiled programs on disk."""

import os
from pathlib import Path

import pytest

from picograd.backends.disk.settings import shared_store
from picograd.backends.disk.store import Store
from picograd.backends.runtime import Image
from picograd.cli.main import main
from picograd.compiler.kept import programs
from picograd.compiler.kept.programs import Kept
from picograd.compiler.report import Report
from picograd.dialects.dtypes import float32, tensor_type


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path))
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "1")
    return Store(tmp_path / "programs", 1 << 30)


def fill(store: Store, count: int) -> None:
    for number in range(count):
        report = Report("cpu", 9, number, 0, 0, 1.25, ())
        types = [tensor_type((number, 3), float32)] * 6
        kept = Kept(Image({}, (b"code",)), types, types[:1], {}, report)
        key = f"{number:064x}"
        store.put(key, programs._packed(kept, {"module": "m"}))
        os.utime(store.folder / key, (1e9 + number, 1e9 + number))


def test_it_shows_what_there_is(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert str(store.folder) in shown.replace("\n", "") and "1 GiB" in shown
    fill(store, 30)
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert "The 20 last used" in shown and "2001-09-09" in shown and "1.25 s" in shown
    assert "29x3xfloat32" in shown and "10x3xfloat32" in shown and " 9x3xfloat32" not in shown
    assert "and 3 more" in shown
    before = [entry.key for entry in store.held()]
    assert main(["cache", "show", "--all"]) == 0
    assert " 9x3xfloat32" in capsys.readouterr().out
    assert [entry.key for entry in store.held()] == before  # looking is not using


def test_it_removes_everything(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, 3)
    shared = shared_store()
    assert shared is not None and shared.put("a" * 64, b"code")
    assert main(["cache", "clear"]) == 0
    told = capsys.readouterr().out
    assert "removed 3 programs" in told and "removed what all programs share" in told
    assert not store.held() and not shared.held()


def test_where_nothing_is_kept_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "0")
    assert main(["cache"]) == 2
    assert "PICOGRAD_DISK_CACHE" in capsys.readouterr().err
