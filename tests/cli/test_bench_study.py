"""`picograd bench modes`: what is compared, and what is written; never a time."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from picograd.cli.main import main
from picograd.study import ladder_bench
from picograd.study.ladder_bench import Memory, Perceptron, Point, Size, Sweep, Workload
from picograd.study.measure import ONE_THREAD, Spread, spreads


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in this process: the numbers do not matter here."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile no more often than it takes to see that it works."""
    monkeypatch.setattr(ladder_bench, "PATIENCE", 0.0)
    monkeypatch.setattr(ladder_bench, "QUICK", Sweep((3,), (1, 2)))


def test_bench_modes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, plot = tmp_path / "modes.json", tmp_path / "modes.svg"
    words = ["bench", "modes", "--quick", "--modes", "cached", "graph", "compiled"]
    assert main([*words, "--json", str(data), "--plot", str(plot)]) == 0
    shown = capsys.readouterr().out
    result = json.loads(data.read_text("utf-8"))["modes"]
    assert result["device"] == "cpu" and isinstance(result["out of order"], list)
    sizes = [(point["size"]["width"], point["size"]["depth"]) for point in result["points"]]
    assert sizes == [(3, 1), (3, 2)]
    for point in result["points"]:
        assert list(point["modes"]) == ["training step", "forward"]
        for by_mode in point["modes"].values():
            assert list(by_mode) == ["cached", "graph", "compiled"]
            assert all(0 < s["low"] <= s["median"] <= s["high"] for s in by_mode.values())
        check_passes(point["passes"], point["memory"])
    for word in ("One training step", "One forward", "not kept", "3 × 2", "compiled"):
        assert word in shown
    assert plot.read_text("utf-8").count("<g ") == 6


def check_passes(passes: Mapping[str, object], memory: Mapping[str, Mapping[str, int]]) -> None:
    assert list(passes) == [*memory, "not kept"]
    assert memory["all passes"]["kernels"] < memory["no fusion"]["kernels"]
    assert memory["all passes"]["nbytes"] < memory["neither"]["nbytes"]
    assert memory["no fusion"]["nbytes"] < memory["neither"]["nbytes"]


@pytest.mark.gpu
def test_modes_on_the_gpu() -> None:
    point = ladder_bench.measure_size("gpu", Size(2, 1), 1, ["graph", "compiled"])
    assert list(point.modes["training step"]) == ["graph", "compiled"]
    check_passes(point.passes, {name: asdict(memory) for name, memory in point.memory.items()})


def test_the_workload_learns() -> None:
    workload = Workload("cpu", Size(16, 2))
    losses = [workload.train(workload.x, workload.labels).item() for _ in range(30)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert sum(1 for _ in Perceptron(Size(5, 3)).parameters()) == 8


def test_disorder_is_named_where_the_turns_do_not_overlap() -> None:
    def point(graph: Spread, compiled: Spread) -> Point:
        size = Size(4, 2)
        modes = {"reference": Spread(9, 9, 9, 1), "graph": graph, "compiled": compiled}
        return Point(size, {"forward": modes}, {}, {"all passes": Memory(1, 1)})

    good = Spread(1.0, 0.9, 1.1, 5)
    assert ladder_bench.out_of_order([point(good, Spread(1.05, 0.95, 1.2, 5))]) == []
    found = ladder_bench.out_of_order([point(good, Spread(1.3, 1.2, 1.4, 5))])
    assert found == ["4 × 2, forward: compiled takes longer than graph"]


def test_a_slow_contender_has_one_turn() -> None:
    calls = {"slow": 0, "fast": 0, "finished": 0}

    def count(name: str) -> None:
        calls[name] += 1

    found = spreads(
        {"slow": lambda: count("slow"), "fast": lambda: count("fast")},
        4,
        finish=lambda: count("finished"),
        patience=0.0,
    )
    assert found["slow"].turns == found["fast"].turns == 1
    assert found["slow"].low == found["slow"].high > 0
    found = spreads({"fast": lambda: count("fast")}, 4)
    assert found["fast"].turns == 4
    assert calls["finished"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plot", "modes.pdf"], "SVG or as PNG"),
        (["--device", "tpu"], "no device called 'tpu'"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "modes", "--quick", *words]) == 2
    assert message in capsys.readouterr().err


def test_sizes_are_numbers_from_one_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "modes", "--widths", "0"])
    assert "1 or more" in capsys.readouterr().err
