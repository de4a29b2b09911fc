"""Reading texts and Python files named on the command line."""

import io
import json
import sys
from pathlib import Path

import pytest

from picograd.cli.files import UsageError, load_python, read_text
from picograd.errors import ShapeError


def test_reads_files_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.mlir"
    file.write_text("α", encoding="utf-8")
    assert read_text(str(file)) == "α"
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert read_text("-") == "from a pipe"


def test_unreadable_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_text(str(tmp_path / "none.mlir"))
    with pytest.raises(UsageError, match="directory"):
        read_text(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_text(str(tmp_path / "binary"))


def test_a_closed_standard_input_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="it is closed"):
        read_text("-")


def test_a_loaded_file_sees_its_neighbours_and_shadows_nobody(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("value = 41\n", encoding="utf-8")
    (tmp_path / "json.py").write_text("from neighbour import value\nmore = value + 1\n", "utf-8")
    assert load_python(str(tmp_path / "json.py")).more == 42
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("x = 1\ny = 1 / 0\n", ["ZeroDivisionError", "bad.py:2", "y = 1 / 0"]),
        ("x = (\n", ["SyntaxError", "bad.py:1"]),
        ("import sys\nsys.exit(0)\n", ["SystemExit: 0", "bad.py:2", "sys.exit(0)"]),
        ("x = 1\0\n", ["SyntaxError", "null bytes", "bad.py\n"]),
        ("import no_such_module_at_all\n", ["ModuleNotFoundError", "bad.py:1"]),
    ],
)
def test_a_file_that_raises_is_shown_at_its_own_line(
    tmp_path: Path, source: str, parts: list[str]
) -> None:
    file = tmp_path / "bad.py"
    file.write_text(source, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_python(str(file))
    for part in parts:
        assert part in f"{raised.value}\n"
    assert "None" not in str(raised.value)


def test_errors_of_picograd_pass_through(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(
        "from picograd.errors import ShapeError\nraise ShapeError('no')\n", encoding="utf-8"
    )
    with pytest.raises(ShapeError, match="no"):
        load_python(str(file))


def test_a_missing_file_and_a_wrong_suffix_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_python(str(tmp_path / "none.py"))
    (tmp_path / "model.txt").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"ends in \.py"):
        load_python(str(tmp_path / "model.txt"))
