"""`picograd diff`: agreement ends with 0, a difference with 1 and its place, a mistake with 2."""

from pathlib import Path

import pytest

from picograd.cli.main import main

MODEL = """
import picograd as torch

def layer(x=torch.randn(6, 5), w=torch.randn(4, 5)):
    scaled = x * 2 - 1
    return (scaled @ w.T).relu()
"""

WRONG = '''
from dataclasses import dataclass
from typing import ClassVar

from xdsl.rewriter import Rewriter

from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class SwapSubtraction(Pass):
    """Wrong: turns a - b into b - a."""

    name: ClassVar[str] = "swap_subtraction"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        for inner in [i for i in op.walk() if isinstance(i, BinaryOp)]:
            if inner.kind.data is BinaryKind.SUB:
                Rewriter.replace_op(inner, BinaryOp("sub", inner.b, inner.a))
'''


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "wrong.py").write_text(WRONG)
    return f"{tmp_path / 'model.py'}:layer"


@pytest.mark.parametrize("mode", ["compiled", "graph", "cached"])
def test_devices_that_agree(target: str, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", target, "--devices", "reference,cpu", "--mode", mode]) == 0
    table = capsys.readouterr().out
    assert "reference" in table and "cpu" in table and table.count("agrees") == 2


@pytest.mark.gpu
def test_all_devices_are_the_default(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", target]) == 0
    assert capsys.readouterr().out.count("agrees") == 3


def test_a_wrong_pass_of_the_users(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diff", target, "--devices", "cpu", "--load", str(tmp_path / "wrong.py")]
    assert main([*words, "--insert", "swap_subtraction before outline_kernels"]) == 1
    shown = capsys.readouterr()
    assert "DIFFERS" in shown.out
    assert "after the pass swap_subtraction the module means something else" in shown.err


def test_passes_may_be_left_out(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", target, "--devices", "cpu", "--passes-off", "fuse, plan_buffers"]) == 0
    assert "agrees" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "tpu"], "no device called 'tpu'"),
        (["--devices", "cpu", "--passes-off", "fuze"], "no pass 'fuze'"),
        (["--devices", "cpu", "--passes-off", "outline_kernels"], "cannot do without"),
        (["--devices", ","], "names no device"),
    ],
)
def test_mistakes(
    target: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", target, *words]) == 2
    assert message in capsys.readouterr().err


def test_a_sanitized_run_agrees(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", target, "--devices", "reference,cpu", "--sanitize"]) == 0
    assert "DIFFERS" not in capsys.readouterr().out
