"""`picograd exercise`: from the stub to the solution, and what goes wrong on the way."""

from pathlib import Path

import pytest

from picograd.cli import exercise as command
from picograd.cli.grading import grade_file
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.study.exercises import EXERCISES
from picograd.study.grader.grade import ENDLESS, NO_GAIN, NOT_LOADED

SIMPLIFY = EXERCISES[0]
RULE = "    return None\n\n\ndef simplify_unary"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first exercise, started in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "start", "1"]) == 0
    return tmp_path / "exercises" / "1-simplify_algebra" / "simplify_algebra.py"


def shown(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["exercise", *words]) == status
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_the_way_through_an_exercise(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert file.read_text(encoding="utf-8") == SIMPLIFY.stub
    text = shown(capsys, "check", "1", status=1)
    assert "It gains nothing" in text and "nothing done" in text
    assert "started, 0 of 4 hints seen" in shown(capsys, "list")
    assert "not solved yet" in shown(capsys, "solution", "1", status=1)

    file.write_text(SIMPLIFY.solution, encoding="utf-8")
    assert "algebraic simplification: solved." in shown(capsys, "check", "simplify_algebra")
    assert "simplify_algebra: solved" in shown(capsys, "list")
    assert shown(capsys, "solution", "1") == SIMPLIFY.solution


def test_hints_come_one_at_a_time(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, len(SIMPLIFY.hints) + 2):
        text = shown(capsys, "hint", "1")
        seen = min(number, len(SIMPLIFY.hints))
        assert SIMPLIFY.hints[seen - 1] in text
        assert all(hint not in text for hint in SIMPLIFY.hints[: seen - 1])
        assert all(hint.splitlines()[0] in text for hint in SIMPLIFY.hints[: seen - 1])
    assert "the last one" in text
    assert "4 of 4 hints seen" in shown(capsys, "list")


def test_the_solution_is_shown_to_those_who_say_yes(capsys: pytest.CaptureFixture[str]) -> None:
    for one in EXERCISES:
        assert shown(capsys, "solution", str(one.number), "--yes") == one.solution


def test_mistakes_are_explained(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = {
        ("start", "1"): "has been started",
        ("check", "2"): "picograd exercise start 2",
        ("hint", "3"): "has not been started here",
        ("start", "9"): "there is no exercise '9'",
        ("start", "simplify"): "did you mean 'simplify_algebra'",
        ("check", "1", "--dir", "elsewhere"): "start 1 --dir elsewhere",
    }
    for words, message in mistakes.items():
        assert message in shown(capsys, *words, status=EXIT_MISTAKE)
    (file.parent / "progress.json").write_text("{")
    assert "only remembers which hints" in shown(capsys, "hint", "1", status=EXIT_MISTAKE)


@pytest.mark.parametrize(
    ("text", "reason", "says", "place"),
    [
        ("    while True:\n        time.sleep(1)\n", ENDLESS, "stopped after 9 seconds", ":61"),
        ("    return missing\n", "it raised an exception", "NameError", ":60"),
        ("    raise SystemExit(4)\n", "it raised an exception", "SystemExit: 4", ":60"),
        ("    return [0] * 10**11\n", "it raised an exception", "MemoryError", ":60"),
        ("    return None if\n", NOT_LOADED, "SyntaxError", ""),
        ("    return None\n\nname = 1\nraise OSError('gone')\n", NOT_LOADED, "OSError: gone", ""),
    ],
)
def test_a_pass_that_breaks_is_stopped_at_its_line(
    file: Path, text: str, reason: str, says: str, place: str
) -> None:
    stub = SIMPLIFY.stub
    assert stub.count(RULE) == 1
    changed = stub.replace(RULE, text + "\n\ndef simplify_unary") + "\n\nimport time\n"
    file.write_text(changed, encoding="utf-8")
    found = grade_file(SIMPLIFY, file, seconds=9 if reason == ENDLESS else 100)
    assert found.reason == reason, found
    assert says in found.detail
    assert str(file) + place in found.place if place else not found.place


def test_a_file_without_the_pass_is_explained(file: Path) -> None:
    file.write_text(SIMPLIFY.stub.replace('"simplify_algebra"', '"simplify"'), encoding="utf-8")
    found = grade_file(SIMPLIFY, file)
    assert found.reason == NOT_LOADED
    assert "defines no pass called simplify_algebra" in found.detail


def test_watching_checks_again_when_the_file_changes(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(seconds: float) -> None:
        file.write_text(SIMPLIFY.solution, encoding="utf-8")

    monkeypatch.setattr(command.time, "sleep", save)
    text = shown(capsys, "check", "1", "--watch")
    assert text.index(NO_GAIN.capitalize()[3:]) < text.index("waiting for") < text.index("solved.")
