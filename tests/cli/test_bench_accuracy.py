"""`picograd bench accuracy`."""

import json
from pathlib import Path

import pytest

from picograd.cli.main import main


def test_the_functions_asked_for_are_shown_and_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "accuracy.json"
    words = ["bench", "accuracy", "--functions", "exp", "pow 7", "--every", "1000003"]
    assert main([*words, "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "exp" in shown and "pow 7" in shown and "tanh" not in shown
    rows = json.loads(file.read_text())["accuracy"]
    assert [row["name"] for row in rows] == ["exp", "pow 7"]
    assert all(0 < row["worst"] <= row["promised"] and row["wrong"] == 0 for row in rows)


def test_numbers_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "accuracy", "--every", "0"])
    assert "expected a number of 1 or more" in capsys.readouterr().err
