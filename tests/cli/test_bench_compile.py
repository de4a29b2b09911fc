"""`picograd bench compile`: what is printed and written; never a time."""

import json
from pathlib import Path

import pytest

from picograd.cli import bench_compile
from picograd.cli.main import main
from picograd.study.benches.compile_times import STEPS, TINY, WAYS


def test_where_the_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_compile, "STEPS", TINY)
    file = tmp_path / "compile.json"
    words = ["bench", "compile", "--steps", "MLP", "--peers", "none", "--json", str(file)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for word in ("The training step of MLP", "tracing, and looking it up", *WAYS, "altogether"):
        assert word in shown
    found = json.loads(file.read_text())["compile"]["MLP"]
    assert set(found["first calls"]["picograd"]) == set(WAYS) and not found["problems"]
    cold, warm, again = (found["parts"][way] for way in WAYS)
    assert {"fuse", "unroll_tiles", "emission", "waiting for machine code", "loading"} <= set(cold)
    assert "fuse" not in warm and "loading" in warm and "loading" not in again
    assert all(seconds >= 0 for parts in (cold, warm, again) for seconds in parts.values())


def test_the_steps_are_those_of_the_rows() -> None:
    assert [workload for workload, _ in STEPS.values()] == [
        workload for workload, _ in TINY.values()
    ]


def test_peers_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "compile", "--peers", "tensorflow"])
    assert "tensorflow" in capsys.readouterr().err
