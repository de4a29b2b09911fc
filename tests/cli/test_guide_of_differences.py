"""The guide on differential runs: its commands find what it shows, its tests pass."""

import re
from pathlib import Path

import pytest

from picograd.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "differential-runs.md"


def test_the_guide_shows_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text("utf-8")
    blocks = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', text, re.DOTALL))
    for name in ("model.py", "forget_last.py", "swap_subtraction.py"):
        (tmp_path / name).write_text(blocks[name], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^picograd (diff .*)$", text, re.MULTILINE)
    assert len(commands) == 3
    plain, *wrong = ([word.strip('"') for word in _words(line)] for line in commands)
    assert main([*plain, "--devices", "reference,cpu"]) == 0
    capsys.readouterr()
    for words, title in zip(wrong, ("the wrong loop", "the wrong rewrite"), strict=True):
        assert main(words) == 1
        assert _rounded(capsys.readouterr().err) == _rounded(blocks[title])


def _rounded(text: str) -> str:
    """Numbers cut to three digits: processors with and without fused arithmetic differ after."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", text.strip())


def _words(line: str) -> list[str]:
    return re.findall(r'"[^"]*"|\S+', line)


def test_the_code_of_the_guide_runs() -> None:
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    exec(compile(block, PAGE.name, "exec"), {"__name__": "guide"})  # noqa: S102
