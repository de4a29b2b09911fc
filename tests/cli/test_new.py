"""`picograd new pass`: what it writes works, and nothing is overwritten."""

import subprocess
import sys
from pathlib import Path

import pytest

from picograd.cli.main import EXIT_MISTAKE, main
from picograd.cli.own_passes import load_passes
from picograd.passes import Level
from picograd.study.pass_docs import read_pass_docs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new pass of each level."""
    made = tmp_path_factory.mktemp("new") / "passes"
    for level in Level:
        name = f"try_{level}"
        assert main(["new", "pass", name, "--level", str(level), "--dir", str(made)]) == 0
    return made


def test_three_files_are_written_for_each(folder: Path) -> None:
    names = {file.name for file in folder.iterdir()}
    for level in Level:
        assert {f"try_{level}.py", f"test_try_{level}.py", f"try_{level}.md"} <= names
    assert len(names) == 12


def test_the_tests_that_are_written_pass(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout
    assert "15 passed" in done.stdout


@pytest.mark.parametrize("level", list(Level))
def test_the_passes_are_named_typed_and_documented(folder: Path, level: Level) -> None:
    step = load_passes([str(folder / f"try_{level}.py")])[f"try_{level}"]
    assert step.__name__ == f"Try{level.capitalize()}"
    assert step.level_in == step.level_out == level
    page = (folder / f"try_{level}.md").read_text(encoding="utf-8")
    docs = read_pass_docs(step)
    assert page.startswith(f"# try_{level}\n\n{docs.summary}\n")
    assert docs.example() in page
    for file in (each for each in folder.iterdir() if each.is_file()):
        text = file.read_text(encoding="utf-8")
        assert "my_pass" not in text and "MyPass" not in text
        assert all(len(line) <= 100 for line in text.splitlines())


def test_a_new_pass_runs_in_a_pipeline(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "import picograd as torch\n"
        "def f(x=torch.ones(3)):\n"
        "    h = torch.maximum(x * 2, torch.tensor(0.0))\n"
        "    return torch.maximum(h, torch.tensor(0.0))\n"
    )
    words = ["--load", str(folder / "try_tensor.py"), "--insert", "try_tensor after canonicalize"]
    out = tmp_path / "dump"
    assert main(["dump", f"{model}:f", "--out", str(out), *words]) == 0
    (after,) = out.glob("*try_tensor*")
    assert "unchanged" not in after.name
    assert after.read_text(encoding="utf-8").count("pico.binary maximum") == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dce", "there is a pass called 'dce' already"),
        ("3x", "lower-case letters"),
        ("MyPass", "lower-case letters"),
        ("my-pass", "lower-case letters"),
        ("lambda", "no word of Python's"),
        ("match", "no word of Python's"),
        ("json", "no module of Python's"),
        ("test_it", "not with test_"),
        ("", "lower-case letters"),
    ],
)
def test_names_are_checked(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "pass", name, "--dir", str(tmp_path)]) == EXIT_MISTAKE
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.md").write_text("precious")
    assert main(["new", "pass", "mine", "--dir", str(tmp_path)]) == EXIT_MISTAKE
    assert "would overwrite files" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.md"]
