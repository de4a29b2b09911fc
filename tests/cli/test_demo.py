"""`picograd demo`: what it trains, what it says, and when it fails."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picograd.backends import runtime
from picograd.cli.demo import largest_difference, shortcomings
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.errors import DeviceError
from picograd.study.demos import convnet, digits
from picograd.study.demos.workload import Training

DIGITS = digits.WORKLOAD
EARLY_BUDGET, LOSS_BUDGET = DIGITS.early_budget, DIGITS.loss_budget

KEYS = {
    "device", "adapter", "test_accuracy", "loss_first", "loss_last", "compile_seconds",
    "train_seconds", "images_per_second", "kernels_unfused", "kernels", "bytes_unplanned",
    "bytes_planned",
}  # fmt: skip

TRAINING = Training(
    device="cpu",
    adapter="a processor",
    losses=np.linspace(2.3, 0.1, 150),
    score=0.97,
    compile_seconds=1.0,
    train_seconds=2.0,
    items_per_second=1e4,
    kernels_unfused=90,
    kernels=20,
    bytes_unplanned=1 << 20,
    bytes_planned=1 << 18,
)


def test_the_split_is_seeded_and_whole() -> None:
    first, again, other = (digits.split_digits(seed) for seed in (0, 0, 1))
    assert first.test_images.shape == (360, 64)
    assert first.train_images.shape == (1797 - 360, 64)
    np.testing.assert_array_equal(first.test_images, again.test_images)
    assert not np.array_equal(first.test_labels, other.test_labels)
    assert abs(float(first.train_images.mean())) < 0.05
    batches = list(first.batches(0, 0))
    assert len(batches) == first.steps_an_epoch == 22
    assert all(images.shape == (64, 64) for images, _ in batches)
    assert not np.array_equal(batches[0][1], next(first.batches(1, 0))[1])


def test_the_whole_demo_learns_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    words = ["demo", "--device", "cpu", "--json", str(file), "--dump", str(tmp_path / "dump")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for fact in ("accuracy on held-out images", "images a second", "intermediates with reuse"):
        assert fact in shown
    result = json.loads(file.read_text(encoding="utf-8"))
    assert set(result) == {"devices", "max_loss_difference", "loss_budget", "dump"}
    (device,) = result["devices"]
    assert set(device) == KEYS
    assert device["test_accuracy"] >= 0.96
    assert device["loss_last"] < device["loss_first"] / 10
    assert device["kernels"] < device["kernels_unfused"]
    assert device["bytes_planned"] < device["bytes_unplanned"]
    assert result["max_loss_difference"] is None
    assert list(Path(result["dump"]).rglob("*.mlir"))


@pytest.mark.gpu
def test_both_devices_agree_and_a_short_training_owes_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    words = ["demo", "--epochs", "1", "--json", str(file), "--dump", str(tmp_path / "dump")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "judged after 20 epochs only, not 1" in shown
    assert "FAILED" not in shown
    result = json.loads(file.read_text(encoding="utf-8"))
    assert [one["device"] for one in result["devices"]] == ["cpu", "gpu"]
    assert 0 <= result["max_loss_difference"] <= EARLY_BUDGET


def test_curves_that_differ_are_a_failure() -> None:
    other = replace(TRAINING, device="gpu")
    assert shortcomings(DIGITS, [TRAINING, other], whole=True) == []
    assert largest_difference([TRAINING]) is None
    late = TRAINING.losses.copy()
    late[120] += LOSS_BUDGET / 2
    assert shortcomings(DIGITS, [TRAINING, replace(other, losses=late)], whole=True) == []
    late[120] += LOSS_BUDGET
    assert len(shortcomings(DIGITS, [TRAINING, replace(other, losses=late)], whole=True)) == 1
    early = TRAINING.losses.copy()
    early[20] += 2 * EARLY_BUDGET
    (failure,) = shortcomings(DIGITS, [TRAINING, replace(other, losses=early)], whole=True)
    assert "first 100 steps" in failure
    assert largest_difference([TRAINING, replace(other, losses=early)]) == pytest.approx(2e-5)


def test_only_a_whole_training_owes_its_accuracy() -> None:
    poor = replace(TRAINING, score=0.95)
    (failure,) = shortcomings(DIGITS, [poor], whole=True)
    assert "95.00%" in failure and "96% is asked for" in failure
    assert shortcomings(DIGITS, [poor], whole=False) == []


def test_nan_is_a_failure_everywhere() -> None:
    broken = replace(TRAINING, device="gpu", losses=np.full(150, np.nan), score=float("nan"))
    assert len(shortcomings(DIGITS, [TRAINING, broken], whole=True)) == 3


def test_a_missing_gpu_is_said_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> runtime.Device:
        raise DeviceError("no adapter", hint="install one")

    monkeypatch.setitem(vars(runtime)["_makers"], "gpu", missing)
    monkeypatch.delitem(vars(runtime)["_devices"], "gpu", raising=False)
    assert main(["demo", "--epochs", "1", "--dump", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "SKIPPED 1 of 2 devices, gpu: no adapter" in shown
    assert "install one" in shown
    assert main(["demo", "--device", "gpu", "--dump", str(tmp_path)]) == EXIT_MISTAKE
    assert "no adapter" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "epochs", "most"), [("digits", 0, 20), ("convnet", 21, 20)])
def test_epochs_have_a_range(
    name: str, epochs: int, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", name, "--epochs", str(epochs)]) == EXIT_MISTAKE
    assert f"1 to {most}" in capsys.readouterr().err


def test_the_convnet_learns_within_a_few_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    words = ["demo", "convnet", "--device", "cpu", "--epochs", "4", "--json", str(file)]
    assert main([*words, "--dump", str(tmp_path / "dump")]) == 0
    shown = capsys.readouterr().out
    assert "A small convolutional network" in shown
    assert f"judged after {convnet.EPOCHS} epochs only, not 4" in shown
    (device,) = json.loads(file.read_text(encoding="utf-8"))["devices"]
    assert set(device) == KEYS
    assert device["test_accuracy"] >= 0.9
    assert device["kernels"] < device["kernels_unfused"] / 4
    loops = next((tmp_path / "dump").rglob("*lower_buffers_to_loops.mlir")).read_text()
    # Bias and the activation's input are part of the convolution's kernel.
    assert "loop.kernel @convolution(" in loops


@pytest.mark.gpu
def test_the_convnet_is_the_same_on_both_devices(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    words = ["demo", "convnet", "--epochs", "1", "--json", str(file)]
    assert main([*words, "--dump", str(tmp_path / "dump")]) == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert [one["device"] for one in result["devices"]] == ["cpu", "gpu"]
    assert 0 <= result["max_loss_difference"] <= EARLY_BUDGET


def test_a_convnet_owes_98_percent() -> None:
    (failure,) = shortcomings(convnet.WORKLOAD, [TRAINING], whole=True)
    assert "97.00%" in failure and "98% is asked for" in failure
