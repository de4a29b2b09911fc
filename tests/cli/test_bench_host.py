"""`picograd bench host`."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from picograd.cli import bench_host
from picograd.cli.main import main
from picograd.study.benches import host


def test_rows_are_shown_beside_pytorch_where_it_is_installed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("picograd.cli.bench.on_one_thread", lambda argv: None)
    monkeypatch.setattr("picograd.study.benches.measure.SECONDS_A_TURN", 1e-4)
    file = tmp_path / "host.json"
    assert main(["bench", "host", "--rounds", "1", "--only", "y[0]", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "x * y[0] (a view)" in shown and "x.exp()" not in shown
    found: dict[str, Any] = json.loads(file.read_text())["host"]
    (row,) = found["eager"]
    assert row["ours"] > 0
    assert (row["ratio"] is not None) == (importlib.util.find_spec("torch") is not None)
    assert [one["name"] for one in found["compiled"]] == [
        "x * y + 1",
        "x * number",
        "x @ y, x.sum()",
    ]
    assert all(one["call"] > one["kernels"] > 0 for one in found["compiled"])


def test_without_pytorch_its_column_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (row,) = host.measure_eager(["x + y"], 1)
    assert row.peer is None and row.ratio is None
    assert bench_host._micro(row.peer) == "not installed"  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("name", host.eager_actions(host.picograd))
def test_every_row_runs(name: str) -> None:
    host.eager_actions(host.picograd)[name]()
