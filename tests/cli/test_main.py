"""The command's front door: help, mistakes, bugs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from picograd.cli.main import EXIT_MISTAKE, build_parser, main, report_bug


def picograd(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "picograd", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def test_help_names_every_command() -> None:
    text = build_parser().format_help()
    for command in ("demo", "dump", "opt", "bench", "new", "exercise"):
        assert f"    {command} " in text


@pytest.mark.parametrize(
    "command",
    ["demo", "dump", "opt", "bench", "bench demo", "bench gemm", "new", "new pass", "exercise"],
)
def test_every_help_ends_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    _, examples = capsys.readouterr().out.split("examples:\n")
    assert all(line.startswith(f"  picograd {command}") for line in examples.splitlines())


def test_an_option_that_does_not_parse_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["opt", "--seed", "many"])
    assert caught.value.code == EXIT_MISTAKE
    printed = capsys.readouterr().err
    assert printed.startswith("picograd: error: [PG817] `picograd opt` cannot be followed")
    assert "  expected: picograd opt [-h] [--passes PASSES]" in printed
    assert "  found:    argument --seed: 'many' is no seed" in printed


def test_an_unknown_command_is_a_mistake() -> None:
    done = picograd("optt")
    assert done.returncode == EXIT_MISTAKE
    assert done.stderr.startswith("picograd: error: [PG817] `picograd` cannot be followed")
    assert "invalid choice: 'optt'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_prints_its_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", "no-such-file.mlir"]) == EXIT_MISTAKE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("picograd: error: [PG814] cannot read no-such-file.mlir\n")
    assert "No such file" in captured.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m picograd opt --list | head -n 1",
        shell=True,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout != ""


def _bug() -> None:
    raise ZeroDivisionError("a bug of ours")


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_a_bug_is_reported_as_one(
    wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PICOGRAD_TRACEBACK", wanted)
    try:
        _bug()
    except ZeroDivisionError as error:
        report_bug(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: a bug of ours" in shown
    assert ("Traceback" in shown) == (wanted == "1")
    assert ("this is a bug in picograd" in shown) == (wanted == "0")


def test_no_adapter_is_explained_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "module.mlir"
    path.write_text("func.func @main(%x: tensor<3xf32>) { func.return }")
    hidden = {name: "/nonexistent" for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES")}
    done = picograd("opt", str(path), "--run", "--device", "gpu", **hidden)
    assert done.returncode == EXIT_MISTAKE
    assert "no GPU adapter" in done.stderr and "Traceback" not in done.stderr
    assert "expected:" in done.stderr and "mesa-vulkan-drivers" in done.stderr


def test_a_bug_in_the_command_shows_no_traceback(tmp_path: Path) -> None:
    """`entry` is what a shell starts; what escapes from a command ends in the report."""
    program = "from picograd.cli import main, opt; opt.parse_passes = None; main.entry()"
    done = subprocess.run(
        [sys.executable, "-c", program, "opt", "--passes", "dce"],
        check=False, capture_output=True, text=True, input="",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("picograd: [PG901] this is a bug in picograd: TypeError")
    assert "Traceback" not in done.stderr and "PICOGRAD_TRACEBACK=1" in done.stderr
