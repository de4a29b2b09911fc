"""`picograd reduce`: a small module and a test where something is wrong, else a word."""

from pathlib import Path

import pytest

from picograd.cli.main import main

MODEL = """
import picograd as torch

torch.manual_seed(4)  # with a large mean there is nothing but zeros behind relu

def layer(x=torch.randn(6, 5), w=torch.randn(4, 5), b=torch.randn(4)):
    scaled = (x * 2 - 1) @ w.T + b
    return (scaled.softmax(1) - scaled.mean()).relu().sum()
"""

WRONG = '''
from dataclasses import dataclass
from typing import ClassVar

from picograd.dialects.tensor import BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily


def quotient_to_product(op, build):
    return build(BinaryOp("mul", op.a, op.b)) if op.kind.data == "div" else None


@dataclass(frozen=True)
class DivideWrongly(Pass):
    """Wrong: turns a / b into a * b."""

    name: ClassVar[str] = "divide_wrongly"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (quotient_to_product,)})
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL, "utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_function_becomes_one_op(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "reduce model.py:layer --load wrong.py --passes cse,divide_wrongly,dce -o out"
    assert main(words.split()) == 1
    printed = capsys.readouterr()
    assert "divide_wrongly: it changed what the program computes" in printed.out
    assert " to 1 op\n" in printed.out
    assert "blame:    quotient_to_product on pico.binary div" in printed.out
    assert "passes:   divide_wrongly\n" in printed.out
    assert "fewer ops: 1 op, " in printed.err
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "reduced.mlir",
        "reduced_test.py",
    ]
    # What was written is read again; the pass it needs is found beside it.
    assert main(["reduce", "out/reduced.mlir", "-o", "again"]) == 1
    printed = capsys.readouterr()
    assert "It is as small as it gets" in printed.out
    body = (folder / "out" / "reduced.mlir").read_text("utf-8").partition("builtin.module")[2]
    assert (folder / "again" / "reduced.mlir").read_text("utf-8").endswith(body)


def test_where_nothing_is_wrong_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reduce", "model.py:layer", "--passes", "canonicalize,cse", "-o", "out"]) == 0
    assert capsys.readouterr().out == "Nothing goes wrong, so there is nothing to reduce.\n"
    assert not (folder / "out").exists()


def test_ir_takes_seeded_inputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.mlir").write_text(
        """
        func.func @main(%x: tensor<5xf32>, %y: tensor<5xf32>) -> tensor<5xf32> {
          %e = pico.unary exp %x : tensor<5xf32>
          %z = pico.binary div %e, %y : tensor<5xf32>
          func.return %z : tensor<5xf32>
        }
        """,
        "utf-8",
    )
    words = "reduce model.mlir --load wrong.py --passes divide_wrongly --seed 3 -o out"
    assert main(words.split()) == 1
    assert "from 2 to 1 op\n" in capsys.readouterr().out
    assert "// seed: 3\n" in (folder / "out" / "reduced.mlir").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("reduce nothing.mlir --passes cse", "cannot read nothing.mlir"),
        ("reduce model.py:layer --passes unknown", "unknown pass"),
        ("reduce model.py:layer --passes cse --device tpu", "tpu"),
        ("reduce model.py:layer --passes=", "there is nothing to look at"),
        ("reduce model.py:layer --seconds soon", "no time"),
    ],
)
def test_mistakes_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    try:
        status = main(words.split())
    except SystemExit as error:  # argparse ends the program itself
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err
