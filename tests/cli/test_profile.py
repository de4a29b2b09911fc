"""`picograd profile`: a table of kernels, for functions, modules and IR."""

import json
from pathlib import Path

import pytest

from picograd.cli.main import EXIT_MISTAKE, main
from picograd.compiler.pipelines import pipeline
from picograd.passes.fuse import Fuse

MODEL = """
import picograd as torch

def layers(x=torch.ones(4, 3), w=torch.ones(3, 3)):
    return ((x @ w).tanh() @ w).tanh()
"""
EXP = """
func.func @main(%x: tensor<8x3xf32>) -> tensor<8x3xf32> {
  %y = pico.unary exp %x : tensor<8x3xf32>
  func.return %y : tensor<8x3xf32>
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    return path


def test_a_function_is_shown_kernel_by_kernel(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "profile.json"
    assert main(["profile", f"{model}:layers", "--runs", "3", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "in 2 launches, median of 3 runs" in shown
    assert shown.count("matmul_tanh") == 1
    assert "matmul, tanh" in shown
    assert "model.py:5" in shown
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["kernels"][0]["launches"] == 2
    assert data["launches"][0]["operations"] == 2 * 4 * 3 * 3 + 4 * 3
    assert data["threads"] >= 1


def test_launches_are_shown_in_order_and_as_many_as_wanted(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    way = ["profile", f"{model}:layers", "--runs", "1", "--in-order"]
    assert main(way) == 0
    assert capsys.readouterr().out.count("matmul_tanh") == 2
    assert main([*way, "--top", "1"]) == 0
    assert capsys.readouterr().out.count("matmul_tanh") == 1


def test_passes_of_ones_own_take_the_place_of_the_pipeline(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfused = [str(step) for step in pipeline("cpu") if not isinstance(step, Fuse)]
    way = ["profile", f"{model}:layers", "--runs", "1", "--passes", ",".join(unfused)]
    assert main(way) == 0
    assert "in 4 launches" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--device", "reference"], "PG312"), (["--runs", "0"], "PG801"), (["--top", "x"], "PG817")],
)
def test_mistakes_are_explained(
    words: list[str], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(["profile", f"{model}:layers", *words])
    except SystemExit as end:
        status = end.code
    assert status == EXIT_MISTAKE
    assert message in capsys.readouterr().err
