"""`picograd bench cpu`: who takes part, what is printed and written; never a time."""

import json
from pathlib import Path

import pytest

from picograd.cli.main import main
from picograd.study.benches.cpu import rows as bench_rows
from picograd.study.benches.cpu import session as bench_session
from picograd.study.benches.cpu.rows import Asked, Row
from picograd.study.benches.cpu.session import Effort
from picograd.study.benches.cpu.workloads import WORKLOADS

ROWS = (
    Row("a product", "matmul TN", (5, 9, 8), Asked(1.0, 0.95), Asked(0.9)),
    Row("a softmax", "softmax", (7, 5)),
    Row("a step", "MLP step", (4, 6, 5, 3), quick=False),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_rows, "ROWS", ROWS)
    memory = Row("memory of a step", "GPT step", (1, 4, 2, 3, 2, 5), quick=False)
    monkeypatch.setattr(bench_rows, "MEMORY", memory)
    effort = Effort(rounds=2, turn=1e-4, patience=1.0, pause=1e-3)
    monkeypatch.setattr("picograd.cli.bench_cpu.QUICK", effort)


def test_rows_beside_numpy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, plot = tmp_path / "cpu.json", tmp_path / "cpu.svg"
    words = ["bench", "cpu", "--quick", "--peers", "numpy", "--threads", "1,2"]
    assert main([*words, "--json", str(data), "--plot", str(plot)]) == 0
    shown = capsys.readouterr().out
    for word in ("On one thread", "On 2 threads", "a product", "95% and 1 ×", "GF/s", "GB/s"):
        assert word in shown
    assert "a step" not in shown and "sat out" not in shown
    result = json.loads(data.read_text("utf-8"))["cpu"]
    assert result["seed"] == 0 and "numpy" in result["versions"]
    assert {"processor", "LLVM", "python"} <= set(result["machine"])
    assert [(row["row"], row["threads"]) for row in result["rows"]] == [
        *(("a product", 1), ("a softmax", 1)),
        *(("a product", 2), ("a softmax", 2)),
    ]
    for row in result["rows"]:
        assert {"picograd", "numpy"} <= set(row["contenders"]) and not row["sat out"]
        for one in row["contenders"].values():
            assert one["share of budget"] <= 1 and 0 < one["low"] <= one["seconds"] <= one["high"]
        assert all(limit["a second"] > 0 for limit in row["limits"].values())
        assert row["share of limit"] > 0
    assert plot.read_text("utf-8").count('<g class="row">') == 4


def test_off_grid_and_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "cpu.json"
    words = ["bench", "cpu", "--quick", "--peers", "none", "--clock", "processor"]
    assert main([*words, "--off-grid", "--rows", "product", "--json", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "of 9 neighbours keep 85%" in shown
    assert "a product, rows 4" in shown and "a product, depth 6" in shown
    (row,) = json.loads(data.read_text("utf-8"))["cpu"]["rows"]
    assert len(row["shares of the rate"]) == 9
    assert main([*words, "--rows", "memory of"]) == 0
    shown = capsys.readouterr().out
    assert "memory of a step" in shown and "MiB" in shown and "sat out" not in shown


def test_who_is_wrong_or_fails_sits_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A workload that workers have no words for, and one whose exact result is another one's.
    monkeypatch.setitem(WORKLOADS, "nobody's", WORKLOADS["softmax"])
    monkeypatch.setitem(WORKLOADS, "softmax", WORKLOADS["cumsum"])
    rows = (Row("unknown", "nobody's", (2, 3)), Row("wrong", "softmax", (2, 3)))
    monkeypatch.setattr(bench_rows, "ROWS", rows)
    assert main(["bench", "cpu", "--quick", "--peers", "none"]) == 0
    shown = capsys.readouterr().out
    assert "unknown: picograd sat out: KeyError" in shown
    assert "wrong: picograd sat out: wrong" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--peers", "numpi"], "torch.compile"),
        (["--threads", "0"], "1 or more"),
        (["--rows", "convolution"], "a product; a softmax"),
        (["--plot", "cpu.pdf"], "SVG or as PNG"),
        (["--threads", "1,2", "--clock", "processor"], "--threads 1"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_session, "Conversation", None)
    try:
        status = main(["bench", "cpu", *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert said in " ".join(capsys.readouterr().err.split())
