"""What is saved of a reduced case brings the failure back, bit by bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from picograd.check import replay
from picograd.check.oracle import Case, examine
from picograd.check.reduce.report import as_mlir, as_pytest, in_words
from picograd.cli.own_passes import load_passes
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.passes import Pass
from tests.check.reduce.wrong_passes import Crash, DropResult, WrongShape, WrongValue, failing

PASS = '''
from dataclasses import dataclass
from typing import ClassVar

from picograd.dialects.tensor import BinaryOp
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class Swap(Pass):
    """Puts the operands of differences in an order."""

    name: ClassVar[str] = "swap"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        for inner in list(op.walk()):
            if isinstance(inner, BinaryOp) and inner.kind.data == "sub":
                inner.operands = ORDER
'''
WRONG = PASS.replace("ORDER", "[inner.b, inner.a]")
RIGHT = PASS.replace("ORDER", "[inner.a, inner.b]")

TEXT = """
func.func @main(%x: tensor<3xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {
  %z = pico.binary sub %x, %y : tensor<3xf32>
  func.return %z : tensor<3xf32>
}
"""


@pytest.fixture
def wrong(tmp_path: Path) -> tuple[Path, Case]:
    file = tmp_path / "passes" / "swap.py"
    file.parent.mkdir()
    file.write_text(WRONG, encoding="utf-8")
    inputs = (
        np.array([0.1, -0.0, np.float32(1e-45)], np.float32),
        np.array([np.inf, 3.0, 1 / 3], np.float32),
    )
    return file, Case(
        parse_module(TEXT), inputs, as_passes("swap", load_passes([str(file)])), "reference"
    )


def test_the_module_is_saved_with_all_that_the_failure_needs(
    wrong: tuple[Path, Case], tmp_path: Path
) -> None:
    file, case = wrong
    failure = examine(case)
    assert failure is not None
    text = as_mlir(case, failure, seed="7", loads=[str(file)], folder=tmp_path / "out")
    assert "// loads: ../passes/swap.py\n" in text and "// seed: 7\n" in text
    again = replay.read(text, known=load_passes([str(file)])).case
    for one, other in zip(again.inputs, case.inputs, strict=True):
        assert one.tobytes() == other.tobytes()
    found = examine(again)
    assert found is not None and found.alike(failure) and found.excess == failure.excess


@pytest.mark.parametrize("step", [WrongValue(), WrongShape(), Crash(), DropResult()])
def test_the_failure_is_told_without_advice_to_save_it(step: Pass) -> None:
    case, failure = next(failing(Pipeline((step,)), ops=20, seed=3))
    header = as_mlir(case, failure).partition("// input:")[0]
    assert f"// failure: {failure.fault.name} in {step.name}\n//   pass {step.name} " in header
    assert "help:" not in header and "PICOGRAD_CHECK" not in header


def test_the_saved_test_fails_until_the_pass_is_mended(
    wrong: tuple[Path, Case], tmp_path: Path
) -> None:
    file, case = wrong
    failure = examine(case)
    assert failure is not None
    test = tmp_path / "reduced_test.py"
    test.write_text(as_pytest(case, failure, loads=[str(file)], folder=tmp_path), "utf-8")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")

    before = run()
    assert before.returncode == 1, before.stdout
    assert "it changed what the program computes (swap)" in before.stdout
    file.write_text(RIGHT, encoding="utf-8")
    after = run()
    assert after.returncode == 0, after.stdout


def test_people_read_module_inputs_and_values(wrong: tuple[Path, Case]) -> None:
    _, case = wrong
    failure = examine(case)
    assert failure is not None
    text = in_words(case, failure)
    assert "passes:   swap\n" in text and "  %x = [" in text
    assert "expected: -inf ± 0 (result 0 at [0])\nfound:    inf" in text
