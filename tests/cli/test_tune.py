"""`picograd tune`: it measures, says what it found, and remembers it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import picograd
from picograd.backends.runtime import device
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.compiler.kept import sources, tuned
from picograd.passes.schedule.choices import Choices
from picograd.study.tuning import search
from picograd.study.tuning.trials import Bench, Trial
from tests.compiler.kept.own_disk import own_disk

MODEL = """
import picograd as torch

def layers(x=torch.ones(20, 30), w=torch.ones(30, 50), v=torch.ones(50, 7)):
    return ((x @ w).tanh() @ v).relu()
"""
PRODUCT = """
func.func @main(%x: tensor<20x30xf32>, %w: tensor<30x50xf32>) -> tensor<20x50xf32> {
  %y = pico.matmul %x, %w : tensor<20x30xf32>, tensor<30x50xf32> -> tensor<20x50xf32>
  func.return %y : tensor<20x50xf32>
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(search, "moves", lambda *_, **__: iter([Choices(rows=3, vectors=1)]))
    with own_disk(tmp_path, monkeypatch):
        yield tmp_path


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    return f"{path}:layers"


def say(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Let what has choices be so many times as fast as what has none."""

    def speed(trial: Trial) -> float:
        return ratio if trial.choices.made else 1.0

    def compared(self: Bench, best: Trial, other: Trial, rounds: int) -> float:
        return speed(other) / speed(best)

    monkeypatch.setattr(Bench, "ratio", compared)


def test_what_is_faster_is_shown_and_remembered(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, 1.25)
    file = tmp_path / "tuned.json"
    assert main(["tune", model, "--seconds", "20", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "matmul_tanh" in shown and "rows=3 vectors=1" in shown and "1.25" in shown
    assert "Remembered for 2 kernels" in shown
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["remembered"] and data["threads"] == picograd.get_num_threads()
    names = {each["kernel"]: each for each in data["kernels"]}
    assert set(names) == {"matmul_tanh", "matmul_relu"}
    assert names["matmul_tanh"]["best"] == "rows=3 vectors=1"
    assert set(tuned.remembered(device("cpu"))) == {each["digest"] for each in data["kernels"]}

    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert "Tuned schedules, 2 of 2" in shown and "rows=3 vectors=1" in shown

    # What turns out to be no better after all is forgotten.
    say(monkeypatch, 0.9)
    assert main(["tune", model, "--seconds", "20"]) == 0
    assert "No schedule was faster than the cost model's by 3%" in capsys.readouterr().out
    assert not tuned.remembered(device("cpu"))


def test_the_cache_is_cleared_of_schedules_too(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, 2.0)
    main(["tune", model, "--seconds", "20"])
    monkeypatch.setattr(tuned, "versions", lambda: "others")
    tuned._key.cache_clear()
    main(["cache"])
    assert "2 tuned schedules are of other machines or versions" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "removed 2 tuned schedules" in capsys.readouterr().out
    assert not tuned.tables()
    tuned._key.cache_clear()


def test_a_dry_run_remembers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, 2.0)
    path = tmp_path / "product.mlir"
    path.write_text(PRODUCT, encoding="utf-8")
    assert main(["tune", str(path), "--seconds", "20", "--dry-run"]) == 0
    assert "nothing is remembered, as asked" in capsys.readouterr().out
    assert not tuned.remembered(device("cpu"))


def test_it_measures(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", model, "--seconds", "0.5"]) == 0
    shown = capsys.readouterr().out
    assert "schedules tried" in shown and "cost model's" in shown and "matmul_relu" in shown


def test_a_function_may_be_called_like_an_emoji(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL.replace("layers", "ten"), encoding="utf-8")
    assert main(["tune", f"{path}:ten", "--seconds", "0.01"]) == 0
    assert f"{path.name}:ten: " in capsys.readouterr().out.replace("\n", "")


def test_mistakes_are_explained(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as several:
        several.setattr(picograd, "get_num_threads", lambda: 2)
        assert main(["tune", model, "--clock", "processor"]) == EXIT_MISTAKE
    assert "PICOGRAD_NUM_THREADS=1" in capsys.readouterr().err
    loops = tmp_path / "loops.mlir"
    loops.write_text("builtin.module { loop.kernel @k(%x: memref<2xf32>) { } }", encoding="utf-8")
    assert main(["tune", str(loops), "--seconds", "1"]) == EXIT_MISTAKE
    assert "do not show where schedules begin" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tune", model, "--seconds", "0"])


def test_what_cannot_be_remembered_is_a_mistake(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, 2.0)
    unreadable = sources.Unreadable("a file changed after this process had started")
    monkeypatch.setattr(tuned, "own_sources", lambda: unreadable)
    assert main(["tune", model, "--seconds", "20"]) == EXIT_MISTAKE
    printed = capsys.readouterr().err
    assert "cannot be remembered" in printed and "a file changed" in printed


def test_a_wrong_result_is_reported_and_fails(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, 2.0)
    judged = Bench.judge

    def wrong(self: Bench, trial: Trial) -> object:
        return replace(judged(self, trial), excesses=1)

    monkeypatch.setattr(Bench, "judge", wrong)
    assert main(["tune", model, "--seconds", "20"]) == 1
    shown = capsys.readouterr().out
    assert "A FAULT OF PICOGRAD'S: matmul_tanh computes something else with rows=3" in shown
    assert not tuned.remembered(device("cpu"))
