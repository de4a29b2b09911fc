"""`picograd bench`: that the contenders do the same work, and what is reported of them."""

import json
from pathlib import Path

import numpy as np
import pytest

import picograd
from picograd.cli.main import main
from picograd.compiler.pipelines import pipeline
from picograd.study.benches.digits import numpy_twin
from picograd.study.benches.gemm import ScheduleError, prepare, scheduled_by_hand
from picograd.study.benches.measure import ONE_THREAD
from picograd.study.demos.digits import Trainer, split_digits


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in this process: the numbers do not matter here."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


def test_numpy_and_picograd_make_the_same_steps() -> None:
    trainer = Trainer("cpu", seed=3)
    numpy = numpy_twin(trainer.model)
    step = picograd.compile(trainer.step, device="cpu")
    for (images, labels), _ in zip(split_digits(3).batches(0, 3), range(10), strict=False):
        loss = step(picograd.tensor(images), picograd.tensor(labels))
        assert abs(loss.item() - numpy.step(images, labels)) < 1e-5


def test_the_matrix_products_are_equal() -> None:
    (x, w, b), contenders = prepare(512)
    wide = [array.astype(np.float64) for array in (x, w, b)]
    expected = np.maximum(wide[0] @ wide[1] + wide[2], 0)
    assert len(contenders) == 3
    for name, (run, result) in contenders.items():
        run()
        np.testing.assert_allclose(result(), expected, rtol=1e-4, atol=1e-3, err_msg=name)


def test_a_size_without_a_schedule_is_explained() -> None:
    with pytest.raises(ScheduleError, match="512"):
        scheduled_by_hand(77)


@pytest.mark.usefixtures("one_thread")
def test_bench_demo_reports_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    assert main(["bench", "demo", "--rounds", "1", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    result = json.loads(file.read_text(encoding="utf-8"))["demo"]
    assert list(result) == ["compiled", "eager (cached)", "NumPy"]
    assert result["compiled"]["ratio"] == 1
    for name, row in result.items():
        assert name in shown
        assert row["seconds"] > 0


@pytest.mark.usefixtures("one_thread")
def test_bench_gemm_reports_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    words = ["bench", "gemm", "--sizes", "512", "--rounds", "1", "--json", str(file)]
    assert main(words) == 0
    assert "n = 512" in capsys.readouterr().out
    result = json.loads(file.read_text(encoding="utf-8"))["gemm"]["512"]
    assert list(result) == ["derived", "scheduled by hand", "NumPy"]
    assert all(row["seconds"] > 0 for row in result.values())


@pytest.mark.usefixtures("one_thread")
def test_bench_compares_passes_of_the_users_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert "with own passes" in prepare(512, pipeline("cpu").after("canonicalize", "dce"))[1]
    assert main(["bench", "gemm", "--rounds", "1", "--passes", "fuze"]) == 2
    assert "did you mean 'fuse'" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["demo", "modes", "linear", "schedule", "host", "cpu"])
def test_there_is_one_round_at_least(benchmark: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", benchmark, "--rounds", "0"])
    assert "1 or more" in capsys.readouterr().err
