"""`picograd bench schedule`: the steps that are printed and written; never a time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from picograd.cli.main import main
from picograd.study.benches import schedules
from picograd.study.benches.measure import ONE_THREAD
from picograd.study.documentation.schedule_pages import LESS, SPEED, page_of, steps_in

TABLES = (SPEED, LESS)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in this process, with a program that is compiled and run in no time."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(schedules, "SECONDS_A_TURN", 1e-4)
    softmax = replace(schedules.SOFTMAX, sizes=(3, 20))
    monkeypatch.setattr(schedules, "SCHEDULES", {"softmax": softmax})


def test_tables_are_printed_and_put_on_pages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, page = tmp_path / "schedule.json", tmp_path / page_of("softmax")
    places = "".join(
        f"<!-- {region}: begin -->\nold\n<!-- {region}: end -->\n" for region in TABLES
    )
    page.write_text(f"Before.\n{places}After.\n")
    words = ["bench", "schedule", "--rounds", "1", "--docs", str(tmp_path), "--json", str(data)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    result = json.loads(data.read_text("utf-8"))["schedule"]["programs"]["softmax"]
    text = page.read_text("utf-8")
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    assert [list(result[part]) for part in ("steps", "less")] == [
        steps_in(text, region) for region in TABLES
    ]
    for name, step in (*result["steps"].items(), *result["less"].items()):
        assert name in shown and step["seconds"] > 0


def test_programs_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "schedule", "convolution"]) == 2
    assert "softmax" in capsys.readouterr().err


def test_a_page_without_a_place_is_found_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "schedule", "--docs", str(tmp_path)]) == 2
    assert page_of("softmax") in capsys.readouterr().err
