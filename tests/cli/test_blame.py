"""`picograd blame`: 0 where everything agrees, 1 with the rewrite where not, 2 for a mistake."""

from pathlib import Path

import pytest
from xdsl.dialects import arith

from picograd.backends.llvm import emit_elements
from picograd.cli.main import main
from picograd.compiler.executable import clear_cache

MODEL = """
import picograd as torch

def layer(x=torch.randn(6, 5), w=torch.randn(4, 5)):
    scaled = x * 2 - 1
    return (scaled @ w.T).relu()
"""

IR = """func.func @main(%x: tensor<5xf32>, %z: tensor<5xf32>) -> tensor<5xf32> {
  %a = pico.binary sub %x, %z : tensor<5xf32>
  %b = pico.unary exp %a : tensor<5xf32>
  %y = pico.binary sub %b, %x : tensor<5xf32>
  func.return %y : tensor<5xf32>
}
"""

PASSES = '''
from dataclasses import dataclass
from typing import ClassVar

from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily


def swap(op, build):
    if op.kind.data is BinaryKind.SUB and "seen" not in op.attributes:
        new = BinaryOp("sub", op.b, op.a)
        new.attributes["seen"] = op.properties["kind"]
        return build(new)
    return None


def twist(op, build):
    if op.kind.data is BinaryKind.SUB and "seen" not in op.attributes:
        new = BinaryOp("sub", op.a, op.b)
        new.attributes["seen"] = op.properties["kind"]
        return build(new)
    return None


@dataclass(frozen=True)
class Wrong(Pass):
    """Turns a - b into b - a."""

    name: ClassVar[str] = "wrong"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (swap,)})


@dataclass(frozen=True)
class Right(Pass):
    """Turns a - b into a - b."""

    name: ClassVar[str] = "right"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (twist,)})
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "module.mlir").write_text(IR)
    (tmp_path / "mine.py").write_text(PASSES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["module.mlir", "--passes", "wrong,canonicalize", "--load", "mine.py"],
        ["model.py:layer", "--insert", "wrong after canonicalize", "--load", "mine.py"],
        ["model.py:layer", "--passes", "wrong", "--load", "mine.py", "--device", "cpu"],
    ],
)
def test_a_wrong_pass(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blame", *words]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("wrong is to blame: it changed what the program computes")
    assert "swap on pico.binary sub" in shown and "source:   mine.py:" in shown
    for title in ("before:", "after:", "first wrong value:", "inputs:", "help:"):
        assert f"  {title}" in shown
    assert "picograd reduce" in shown


def test_which_of_several(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["blame", "module.mlir", "--passes", "wrong", "--load", "mine.py", "--seed", "3"])
    shown = capsys.readouterr().out
    assert "rewrite:  number 1 of 2" in shown
    before, after = shown.split("before:")[1].split("after:")
    assert "%a = pico.binary sub %x, %z" in before and "%b - " not in before
    assert "%a = pico.binary sub %z, %x" in after


@pytest.mark.parametrize(
    "words",
    [
        ["module.mlir", "--passes", "right,canonicalize", "--load", "mine.py"],
        ["module.mlir"],
        ["module.mlir", "--device", "cpu"],
        pytest.param(["module.mlir", "--device", "gpu"], marks=pytest.mark.gpu),
        ["model.py:layer"],
        ["model.py:layer", "--insert", "right before outline_kernels", "--load", "mine.py"],
    ],
)
def test_nobody_to_blame(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blame", *words]) == 0
    assert capsys.readouterr().out.startswith("nobody is to blame: everything agrees on ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("blame", "nobody is to blame: the program is refused: {}\n"),
        ("reduce", "The program is refused: {}, so there is nothing to reduce.\n"),
    ],
)
def test_a_program_that_is_refused_is_said_to_be(
    tmp_path: Path, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sum.mlir"
    file.write_text(
        "func.func @main(%x: tensor<3xf32>) -> tensor<f32> {\n"
        "  %y = pico.reduce add %x axes [0] : tensor<3xf32> -> tensor<f32>\n"
        "  func.return %y : tensor<f32>\n}\n"
    )
    passes = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
    assert main([command, str(file), "--passes", passes, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == said.format("the CPU cannot run loop.reduce")


def test_a_wrong_device(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_cache()
    monkeypatch.setitem(emit_elements._BINARY, arith.MulfOp, "fadd")  # pyright: ignore
    assert main(["blame", "module.mlir", "--device", "cpu"]) == 1
    clear_cache()
    shown = capsys.readouterr().out
    assert shown.startswith("cpu is to blame")
    assert "code:" in shown and "loop.store" in shown and "store number 1" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.mlir"], "cannot read nothing.mlir"),
        (["module.mlir", "--passes", "frobnicate"], "unknown pass 'frobnicate'"),
        (["module.mlir", "--device", "reference"], "there is nothing to look at"),
        (["module.mlir", "--device", "tpu"], "no device called 'tpu'"),
        (["module.mlir", "--passes", "fuse"], "out of order"),
        (["model.py:other"], "defines no 'other'"),
    ],
)
def test_mistakes(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blame", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
