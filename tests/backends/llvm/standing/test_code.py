"""Machine code that is the same for all programs is made once on a machine, whatever happens."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picograd.backends.disk.settings import shared_store
from picograd.backends.llvm import background, codegen
from picograd.backends.llvm.standing.code import ENTRY_CODE, POOL_CODE, StandingCode
from picograd.backends.llvm.standing.text import Text, joined, module
from picograd.errors import CompileError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def adding(number: int) -> Callable[[], Text]:
    """A function that adds a number, and asks Python for nothing but its own kind of number."""
    body = f"""
define i64 @added(i64 %x) {{
  %y = add i64 %x, {number}
  ret i64 %y
}}
define ptr @boxed(i64 %x) {{
  %object = call ptr @PyLong_FromLong(i64 %x)
  ret ptr %object
}}
"""
    return lambda: Text(("added", "boxed"), ("declare ptr @PyLong_FromLong(i64)",), body)


def added(code: StandingCode, x: int) -> int:
    addresses = code.library().addresses
    boxed = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_int64)(addresses["boxed"])
    return boxed(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(addresses["added"])(x))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path))
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "1")
    return tmp_path / "shared"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What LLVM has been given."""
    texts: list[str] = []
    original = codegen.object_code

    def counted(text: str, **words: Any) -> bytes:
        texts.append(text)
        return original(text, **words)

    monkeypatch.setattr(codegen, "object_code", counted)
    return texts


def test_what_another_process_has_made_is_taken_from_disk(folder: Path, made: list[str]) -> None:
    assert added(StandingCode(adding(3)), 4) == 7 and len(made) == 1
    assert added(StandingCode(adding(3)), 4) == 7 and len(made) == 1
    other = StandingCode(adding(5))
    other.begin()
    assert added(other, 4) == 9 and len(made) == 2
    assert len(list(folder.iterdir())) == 2


def test_other_settings_of_llvm_are_another_entry(
    folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(codegen, "VERSION", version)
        assert added(StandingCode(adding(3)), 4) == 7
    assert len(made) == len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "swapped"])
def test_a_damaged_entry_counts_as_missing(
    damage: str, folder: Path, made: list[str], rng: np.random.Generator
) -> None:
    assert added(StandingCode(adding(1)), 1) == 2
    (entry,) = folder.iterdir()
    assert added(StandingCode(adding(2)), 1) == 3
    (other,) = set(folder.iterdir()) - {entry}
    data = bytearray(entry.read_bytes())
    place = int(rng.integers(len(data)))
    if damage == "flipped":
        data[place] ^= 1 + int(rng.integers(255))
    changed = {"cut": data[:place], "emptied": b"", "flipped": data, "swapped": other.read_bytes()}
    entry.write_bytes(changed[damage])
    assert added(StandingCode(adding(1)), 1) == 2 and len(made) == 3
    assert added(StandingCode(adding(1)), 1) == 2 and len(made) == 3


def test_a_place_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "1")
    with pytest.warns(UserWarning, match="does not keep compiled programs"):
        assert added(StandingCode(adding(3)), 4) == 7


def test_nothing_is_kept_where_nothing_shall_be(
    folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "0")
    assert shared_store() is None
    for _ in range(2):
        code = StandingCode(adding(3))
        code.begin()
        assert added(code, 4) == 7
    assert len(made) == 2 and not folder.exists()


@pytest.mark.usefixtures("folder")
def test_many_threads_get_one_library(made: list[str]) -> None:
    code, start = StandingCode(adding(2)), threading.Barrier(8)
    found: list[codegen.Library] = []

    def ask() -> None:
        start.wait(60)
        code.begin()
        found.append(code.library())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and found == [code.library()] * 8


def test_what_llvm_rejects_is_told_to_who_needs_it() -> None:
    wrong = StandingCode(lambda: Text(("added",), (), "define nothing"))
    wrong.begin()
    for _ in range(2):
        with pytest.raises(CompileError, match="LLVM rejected"):
            wrong.library()


@pytest.mark.usefixtures("folder")
def test_a_system_that_starts_no_thread(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background.Thread, "start", refused)
    code = StandingCode(adding(3))
    code.begin()
    assert made == []
    assert added(code, 4) == 7 and len(made) == 1


def test_joined_texts_declare_nothing_twice() -> None:
    one, other = adding(1)(), Text(("more",), (*adding(1)().declarations, "declare void @x()"), "")
    both = joined([one, other])
    assert both.exports == ("added", "boxed", "more")
    assert module(both).count("declare ptr @PyLong_FromLong") == 1
    assert set(ENTRY_CODE.library().addresses) | set(POOL_CODE.library().addresses)


SLOW = """
import os, sys, threading
from picograd.backends.llvm import codegen
from picograd.backends.llvm.standing.code import StandingCode, ENTRY_CODE
original, begun, go_on = codegen.object_code, threading.Event(), threading.Event()
def slow(text, **words):
    if threading.current_thread() is not threading.main_thread():
        begun.set()
        go_on.wait(60)
    return original(text, **words)
codegen.object_code = slow
ENTRY_CODE.begin()
begun.wait(60)
"""


def run(script: str) -> list[str]:
    """What a script prints while a thread makes the code; it must end well."""
    settings = {**os.environ, "PICOGRAD_DISK_CACHE": "0"}
    # From 3.12 on Python warns of every fork beside a thread.
    quiet = ["-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *quiet, "-c", SLOW + textwrap.dedent(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=settings
    )
    assert done.stderr == "" and done.returncode == 0
    return done.stdout.split()


@needs_fork
def test_a_child_that_is_forked_meanwhile_makes_its_own() -> None:
    assert run("""
        usual = sys.getswitchinterval()
        child = os.fork()
        if child == 0:
            assert sys.getswitchinterval() > usual  # nothing takes short turns here
            print(len(ENTRY_CODE.library().addresses), flush=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        go_on.set()
        print(len(ENTRY_CODE.library().addresses))
    """) == ["4", "4"]


def test_a_process_that_ends_meanwhile_waits_for_it() -> None:
    assert run("""
        import atexit
        threading.Timer(0.05, go_on.set).start()
        atexit.register(lambda: print(threading.active_count()))
    """) == ["1"]
