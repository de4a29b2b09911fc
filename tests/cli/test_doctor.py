"""`picograd doctor`: what it shows, and what it says of a device that computes wrong results."""

import pytest

from picograd.cli import doctor
from picograd.cli.main import main
from picograd.compiler.self_test import PROGRAMS, Verdict


def test_versions_processor_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--devices", "reference,cpu"]) == 0
    shown = capsys.readouterr().out
    for word in ("Python", "llvmlite", "numpy", "vector_bits", "features", *PROGRAMS):
        assert word in shown
    assert shown.count("works") == 2 and "WRONG" not in shown


@pytest.mark.gpu
def test_adapters_and_limits_of_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--devices", "gpu"]) == 0
    shown = capsys.readouterr().out
    for word in ("adapter", "Vulkan", "workgroup_bytes", "works"):
        assert word in shown


def test_a_wrong_device_is_refused_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong_scan(device: object) -> list[Verdict]:
        return [Verdict(name, "expected 1, found 2" if name == "scan" else "") for name in PROGRAMS]

    monkeypatch.setattr(doctor, "self_test", wrong_scan)
    assert main(["doctor", "--devices", "cpu"]) == 1
    shown = capsys.readouterr()
    assert "REFUSED" in shown.out and "WRONG" in shown.out
    assert "computes wrong results" in shown.err and "scan: expected 1, found 2" in shown.err


def test_an_unknown_device_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--devices", "tpu"]) == 2
    assert "no device called 'tpu'" in capsys.readouterr().err
