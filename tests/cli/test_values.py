"""Values of options are refused before a command begins, with what they must be."""

from pathlib import Path

import pytest

from picograd.cli.commands import EXIT_MISTAKE
from picograd.cli.main import main

MODULE = "func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> { func.return %x : tensor<3xf32> }"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "module.mlir"
    path.write_text(MODULE, encoding="utf-8")
    (tmp_path / "full").mkdir()
    return path


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("blame module.mlir --passes cse --seed -3", "'-3' is no seed"),
        ("opt module.mlir --run --seed 1.5", "'1.5' is no seed"),
        ("fuzz --cases 1 --seed ²", "'²' is no seed"),
        ("reduce module.mlir --passes cse --seconds -4", "'-4' is no time"),
        ("reduce module.mlir --passes cse --isolate 0", "'0' is no time"),
        ("reduce module.mlir --passes cse --seconds nan", "'nan' is no time"),
        ("reduce module.mlir --passes cse --seconds soon", "'soon' is no time"),
        ("reduce module.mlir --passes cse -o module.mlir", "'module.mlir' is a file"),
        ("reduce module.mlir --passes cse -o module.mlir/x", "module.mlir is no folder"),
        ("fuzz --cases 1 -o module.mlir", "'module.mlir' is a file"),
        ("fuzz --cases 1 --json full", "'full' is a folder"),
        ("fuzz --cases 1 --json none/x.json", "there is no such folder"),
        ("opt module.mlir --passes cse --check --save module.mlir", "'module.mlir' is a file"),
    ],
)
def test_nonsense_is_refused(
    module: Path, words: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert "[PG817]" in shown and part in shown


def test_minutes_are_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "--minutes", "nan"]) == EXIT_MISTAKE
    assert "greater than 0" in capsys.readouterr().err


def test_a_place_without_permission_is_refused(
    module: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda place, mode: False)
    with pytest.raises(SystemExit):
        main(["reduce", str(module), "--passes", "cse", "-o", "new/folder"])
    assert "no permission at" in capsys.readouterr().err


def test_a_folder_may_be_new(module: Path) -> None:
    assert main(["reduce", str(module), "--passes", "cse", "-o", "new/folder"]) == 0


def test_what_the_system_says_of_a_file_is_no_bug(
    module: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "out.mlir")

    monkeypatch.setattr("picograd.cli.reduce.read_given", refuse)
    assert main(["reduce", str(module), "--passes", "cse"]) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert "[PG814] cannot use out.mlir" in shown and "No space left on device" in shown
