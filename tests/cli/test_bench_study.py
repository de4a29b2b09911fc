"""`picograd bench modes`, `reductions`, `linear`: what is compared and written; never a time."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from picograd.cli.main import main
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pipelines import pipeline
from picograd.study.benches import ladder
from picograd.study.benches import linear as linear_bench
from picograd.study.benches import reductions as reductions_bench
from picograd.study.benches.ladder import Memory, Perceptron, Point, Size, Sweep, Workload
from picograd.study.benches.measure import ONE_THREAD, Spread, spreads
from picograd.study.benches.pass_lists import compare
from picograd.study.benches.products import linear_operands, linear_text


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in this process: the numbers do not matter here."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile no more often than it takes to see that it works."""
    monkeypatch.setattr(ladder, "PATIENCE", 0.0)
    monkeypatch.setattr(ladder, "QUICK", Sweep((3,), (1, 2)))


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
    point = ladder.measure_size("gpu", Size(2, 1), 1, ["graph", "compiled"])
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
    assert ladder.out_of_order([point(good, Spread(1.05, 0.95, 1.2, 5))]) == []
    found = ladder.out_of_order([point(good, Spread(1.3, 1.2, 1.4, 5))])
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


def test_mistakes_are_found_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "modes", "--quick", "--plot", "modes.pdf"]) == 2
    assert "SVG or as PNG" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["modes", "reductions", "linear"])
def test_devices_without_passes_are_refused(
    benchmark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", benchmark, "--device", "reference"])
    assert "choose from" in capsys.readouterr().err


def test_sizes_are_numbers_from_one_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "modes", "--widths", "0"])
    assert "1 or more" in capsys.readouterr().err


DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_bench_reductions(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reductions.json"
    words = ["bench", "reductions", "--device", device, "--rows", "3", "--columns", "1", "301"]
    assert main([*words, "--rounds", "1", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    result = json.loads(file.read_text("utf-8"))["reductions"]
    assert result["device"] == device and len(result["comparisons"]) == 6
    names = ["single pass", "tree"]
    if device == "cpu":
        names = ["single pass", "many accumulators", "and threads"]
    for comparison in result["comparisons"]:
        assert comparison["reduction"] in shown and comparison["columns"] in (1, 301)
        assert list(comparison["pass lists"]) == names
        for row in comparison["pass lists"].values():
            assert row["share of budget"] <= 1 and row["gigabytes a second"] > 0


@pytest.mark.parametrize("device", DEVICES)
def test_bench_linear(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "linear.json"
    words = ["bench", "linear", "--device", device, "--sizes", "1", "33x17x40", "--rounds", "1"]
    assert main([*words, "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    result = json.loads(file.read_text("utf-8"))["linear"]
    assert [c["inputs"] for c in result["comparisons"]] == [1, 17]
    assert "33 rows, from 17 to 40 features" in shown and "GFLOP/s" in shown
    for comparison in result["comparisons"]:
        assert list(comparison["pass lists"]) == ["naive", "tiled", "register-blocked"]
        for row in comparison["pass lists"].values():
            assert row["share of budget"] <= 1 and row["gigaflops"] > 0


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_lists_differ_in_the_decision_only(device: str) -> None:
    """Each list is the pipeline without some of its passes, in the same order."""
    lists = [linear_bench.pass_lists(device), reductions_bench.pass_lists(device)]
    for passes in (one for some in lists for one in some.values()):
        rest = iter(pipeline(device))
        assert all(any(step == other for other in rest) for step in passes)
    *_, linear = lists[0].values()
    *_, reductions = lists[1].values()
    assert linear == reductions == pipeline(device)


def test_a_wrong_result_is_not_timed() -> None:
    module = parse_module(linear_text(2, 3, 4), "text")
    operands = linear_operands(2, 3, 4)
    lists = {"all": pipeline("cpu")}
    with pytest.raises(ArithmeticError, match="all: wrong by 2 times"):
        compare(module, "cpu", lists, operands, lambda found: 2.0, 1)
    with pytest.raises(ArithmeticError, match="nan"):
        compare(module, "cpu", lists, operands, lambda found: float("nan"), 1)


@pytest.mark.parametrize("name", reductions_bench.REDUCTIONS)
def test_budgets_of_reductions_bite(name: str, rng: np.random.Generator) -> None:
    x = rng.uniform(1, 3, (3, 50))  # of one sign: nothing cancels
    reduction = reductions_bench.REDUCTIONS[name]
    exact = {"sum of all": x.sum(), "sum of each row": x.sum(1)}
    powers = np.exp(x)
    expected = np.asarray(exact.get(name, powers / powers.sum(1, keepdims=True)))
    assert reduction.share_of_budget(x, expected) < 1
    assert reduction.share_of_budget(x, expected * (1 + 1e-4)) > 1


@pytest.mark.parametrize("size", ["0", "3x4", "1x2x3x4", "axb"])
def test_shapes_that_are_none(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "linear", "--sizes", size])
    assert "expected" in capsys.readouterr().err
