"""Tuned schedules on disk: who follows them, who does not, and what a bad table does."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import picograd as torch
from picograd.backends.disk.settings import schedule_store
from picograd.backends.runtime import Device, device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, clear_cache, compile_module
from picograd.compiler.kept import programs, sources, tuned
from picograd.compiler.kept.tuned import Tuned, choices_for_device, remember, remembered
from picograd.compiler.pipelines import pipeline
from picograd.errors import OptionError
from picograd.study.tuning.cut_kernels import cut_kernels
from picograd.targets import lookup
from picograd.targets.target import register
from tests.compiler.kept.own_disk import own_disk

PRODUCT = """
func.func @main(%x: tensor<20x30xf32>, %w: tensor<30x50xf32>) -> tensor<20x50xf32> {
  %y = pico.matmul %x, %w : tensor<20x30xf32>, tensor<30x50xf32> -> tensor<20x50xf32>
  %z = pico.unary tanh %y : tensor<20x50xf32>
  func.return %z : tensor<20x50xf32>
}"""
NOTE = 'schedule = "rows=3 vectors=1 pack=both"'
CHOICES = "rows=3 vectors=1 pack=both"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("PICOGRAD_TUNED", raising=False)
    with own_disk(tmp_path, monkeypatch):
        yield tmp_path / "tuned"


@pytest.fixture
def cpu() -> Device:
    return device("cpu")


@pytest.fixture
def digest() -> str:
    """That of the product's one kernel."""
    (kernel,) = cut_kernels(parse_module(PRODUCT), pipeline("cpu"))
    return kernel.digest


def found(choices: str = CHOICES) -> Tuned:
    return Tuned("matmul_tanh", choices, 2e-6, 1e-6)


def compiled(**settings: bool) -> Executable:
    """Compile as a new process would, with nothing in memory."""
    clear_cache()
    return compile_module(parse_module(PRODUCT), "cpu", **settings)  # type: ignore


def follows(executable: Executable) -> bool:
    return NOTE in executable.ir("loop")


def test_what_is_remembered_is_followed(
    cpu: Device, digest: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    plain = compiled()
    assert not follows(plain)
    assert remember(cpu, {digest: found()}, frozenset())
    assert remembered(cpu) == {digest: found()}
    first, again = compiled(), compiled()
    assert follows(first) and follows(again)
    # It is part of what a program is called on disk.
    assert first.report.load_seconds is None and again.report.load_seconds is not None
    assert compile_module(parse_module(PRODUCT), "cpu") is again
    inputs = [rng.standard_normal(s).astype(np.float32) for s in ((20, 30), (30, 50))]
    results = [
        cpu.download(each.run([cpu.upload(given) for given in inputs])[0])
        for each in (plain, first, again)
    ]
    assert results[1].tobytes() == results[2].tobytes()
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-5)
    # Who does not want it says so, and gets the program that was kept before.
    for settings in ({"tuned": False}, {"on_disk": False}):
        assert not follows(compiled(**settings))
    assert compiled(tuned=False).report.load_seconds is not None
    monkeypatch.setenv("PICOGRAD_TUNED", "0")
    assert not follows(compiled())
    monkeypatch.setenv("PICOGRAD_TUNED", "perhaps")
    with pytest.raises(OptionError, match="PICOGRAD_TUNED"):
        compiled()
    monkeypatch.delenv("PICOGRAD_TUNED")
    # A pipeline of one's own is followed as it is.
    own = pipeline("cpu").without("rematerialize")
    assert NOTE not in compile_module(parse_module(PRODUCT), "cpu", passes=own).ir("loop")


def test_validation_and_checked_runs_go_by_it_too(cpu: Device, digest: str) -> None:
    remember(cpu, {digest: found()}, frozenset())
    checked = compiled(check=True)
    assert follows(checked) and checked.report.validation is not None
    assert follows(compiled(sanitize=True))
    function = torch.compile(lambda x, w: (x @ w).tanh(), "cpu")
    function(torch.ones(20, 30), torch.ones(30, 50))
    assert NOTE in function.ir("loop")
    untuned = torch.compile(lambda x, w: (x @ w).tanh(), "cpu", tuned=False)
    untuned(torch.ones(20, 30), torch.ones(30, 50))
    assert NOTE not in untuned.ir("loop")


SCRIPT = """
import sys
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
executable = compile_module(parse_module(sys.stdin.read()), "cpu")
from_disk = executable.report.load_seconds is not None
print(from_disk, "picograd.passes" in sys.modules)
if not from_disk:
    print(executable.ir("loop"))
"""


def test_a_new_process_follows_it_without_loading_the_compiler(cpu: Device, digest: str) -> None:
    remember(cpu, {digest: found()}, frozenset())
    shown: list[str] = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT)],
            input=PRODUCT,
            capture_output=True,
            text=True,
            check=True,
            env=dict(os.environ),
        )
        shown.append(done.stdout)
    assert shown[0].startswith("False True") and NOTE in shown[0]
    assert shown[1].strip() == "True False"


def test_nothing_is_read_where_nothing_was_tuned(
    cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> None:
        raise AssertionError("the sources were read")

    monkeypatch.setattr(tuned, "own_sources", never)
    assert choices_for_device(cpu) == ""
    assert choices_for_device(device("reference")) == ""


def test_tables_are_those_of_a_machine_whatever_cores_it_may_use(cpu: Device, digest: str) -> None:
    remember(cpu, {digest: found()}, frozenset())
    own = lookup("cpu")
    try:
        register("cpu", own.override(cores=own.cores + 3))
        assert remembered(cpu)
        register("cpu", own.override(l2_bytes=own.l2_bytes * 2))
        assert not remembered(cpu) and choices_for_device(cpu) == ""
        assert [len(table) for _, table in tuned.tables()] == [1]
    finally:
        register("cpu", own)
    assert remembered(cpu)


def test_another_version_of_picograd_begins_anew(
    cpu: Device, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(cpu, {digest: found()}, frozenset())
    other = programs.own_sources()
    assert isinstance(other, sources.OwnSources)
    changed = object.__new__(sources.OwnSources)
    changed.digest = "other"
    monkeypatch.setattr(tuned, "own_sources", lambda: changed)
    assert not remembered(cpu)


def test_sources_that_cannot_be_told_turn_it_off(
    cpu: Device, digest: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remember(cpu, {digest: found()}, frozenset())
    unreadable = sources.Unreadable("a file changed after this process had started")
    monkeypatch.setattr(tuned, "own_sources", lambda: unreadable)
    with caplog.at_level(logging.INFO, "picograd"):
        assert not remembered(cpu) and choices_for_device(cpu) == ""
    assert "no tuned schedules are used: a file changed" in caplog.text
    assert not remember(cpu, {digest: found()}, frozenset()) and "changed" in tuned.why_not()


def spoiled(kind: str, digest: str) -> bytes:
    entry = {"kernel": "k", "choices": CHOICES, "before": 1.0, "after": 1.0}
    bad: dict[str, bytes] = {
        "no JSON": b"{",
        "no table": json.dumps([1, 2]).encode(),
        "no entry": json.dumps({digest: 5}).encode(),
        "no field": json.dumps({digest: {"kernel": "k"}}).encode(),
        "other field": json.dumps({digest: entry | {"more": 1}}).encode(),
        "no choices": json.dumps({digest: entry | {"choices": "rows=3; import os"}}).encode(),
        "no text": json.dumps({digest: entry | {"choices": 7}}).encode(),
        "no digest": json.dumps({"matmul_tanh": entry, "*": entry}).encode(),
    }
    return bad[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "no JSON",
        "no table",
        "no entry",
        "no field",
        "other field",
        "no choices",
        "no text",
        "no digest",
    ],
)
def test_a_table_that_makes_no_sense_is_ignored(kind: str, cpu: Device, digest: str) -> None:
    remember(cpu, {digest: found()}, frozenset())
    (held,) = schedule_store().held()
    assert schedule_store().put(held.key, spoiled(kind, digest))
    assert choices_for_device(cpu) == "" and not remembered(cpu)
    assert remember(cpu, {digest: found()}, frozenset()) and len(remembered(cpu)) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "folder"])
def test_a_damaged_file_is_ignored(damage: str, cpu: Device, digest: str, folder: Path) -> None:
    remember(cpu, {digest: found()}, frozenset())
    (file,) = folder.iterdir()
    data = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    else:
        spoilt = {"truncated": data[:-9], "flipped": data[:-9] + b"x" + data[-8:], "empty": b""}
        file.write_bytes(spoilt[damage])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a folder cannot be read as a file, which is told once
        assert choices_for_device(cpu) == ""


def test_choices_that_a_kernel_lacks_are_no_matter(cpu: Device) -> None:
    remember(cpu, {"0" * 64: found()}, frozenset())
    assert choices_for_device(cpu) == f"{'0' * 64}: {CHOICES}"
    assert not follows(compiled())


def test_kernels_are_added_replaced_and_dropped(cpu: Device) -> None:
    one, two = "1" * 64, "2" * 64
    remember(cpu, {one: found("rows=1")}, frozenset())
    remember(cpu, {two: found("rows=2")}, frozenset())
    remember(cpu, {one: found("rows=5")}, frozenset())
    assert {key: each.choices for key, each in remembered(cpu).items()} == {
        one: "rows=5",
        two: "rows=2",
    }
    assert choices_for_device(cpu) == f"{one}: rows=5; {two}: rows=2"
    remember(cpu, {}, frozenset({one}))
    assert list(remembered(cpu)) == [two]


WRITER = """
import sys
from picograd.backends.runtime import device
from picograd.compiler.kept import sources
from picograd.compiler.kept.tuned import Tuned, remember
sources._STARTED = 2**63
for number in range(8):
    digest = f"{int(sys.argv[1]) * 8 + number:064x}"
    assert remember(device("cpu"), {digest: Tuned("k", "rows=1", 1.0, 1.0)}, frozenset())
"""


def test_processes_that_write_at_once_lose_nothing(cpu: Device) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(n)], env=dict(os.environ))
        for n in range(2)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert len(remembered(cpu)) == 16


def test_a_folder_that_others_may_write_is_not_trusted(
    cpu: Device, digest: str, folder: Path
) -> None:
    remember(cpu, {digest: found()}, frozenset())
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="does not keep tuned schedules"):
        assert choices_for_device(cpu) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not remember(cpu, {digest: found()}, frozenset())
