"""The study of staged and tiled matmuls on a GPU: both pipelines are right; what they share."""

import json
from pathlib import Path

import numpy as np
import pytest

from picograd.passes.map_to_grid import MapToGrid
from picograd.passes.stage_operands import StageOperands
from picograd.study.benches.gpu_matmul import main, pipelines, share_of_budget, time_matmul


def test_the_pipelines_differ_in_the_passes_that_make_blocks_only() -> None:
    tiled, untiled = pipelines()["tiled"], pipelines()["untiled"]
    assert any(isinstance(step, StageOperands) for step in tiled)
    assert not any(isinstance(step, StageOperands) for step in untiled)
    assert [step for step in tiled if step in untiled] == list(untiled)
    assert any(isinstance(step, MapToGrid) for step in untiled)


def test_the_budget_bites(rng: np.random.Generator) -> None:
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((9, 30), (30, 7), 7))
    exact = np.maximum(x.astype(np.float64) @ w + b, 0)
    assert share_of_budget([x, w, b], exact.astype(np.float32)) < 1
    assert share_of_budget([x, w, b], (exact * (1 + 1e-4)).astype(np.float32)) > 1


@pytest.mark.gpu
@pytest.mark.parametrize("size", [1, 33, 100])
def test_both_pipelines_compute_the_matmul(size: int) -> None:
    for name, steps in pipelines().items():
        timing = time_matmul(size, name, steps, seconds=0)
        assert timing.share_of_budget <= 1
        assert timing.milliseconds > 0


@pytest.mark.gpu
def test_the_command_line_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "timings.json"
    main(["64", "--json", str(file), "--blocks", "i=32 j=32 k=8", "--tiles", "j=4 i=4"])
    timings = json.loads(file.read_text(encoding="utf-8"))
    assert [timing["pipeline"] for timing in timings] == ["tiled", "untiled"]
    assert "untiled" in capsys.readouterr().out
