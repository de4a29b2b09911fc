"""`picograd opt --check`: a table of the passes, one error for a wrong one, the module as ever."""

from pathlib import Path

import pytest

from picograd.cli.checking import EXIT_WRONG
from picograd.cli.main import main

MODULE = """
func.func @main(%x: tensor<4x3xf32>, %w: tensor<3x2xf32>) -> tensor<4x2xf32> {
  %h = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %y = pico.unary tanh %h : tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
"""

WRONG_PASS = '''
from dataclasses import dataclass
from typing import ClassVar
from picograd.dialects.tensor import UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily

def tanh_to_sin(op, build):
    return build(UnaryOp("sin", op.x)) if op.kind.data == "tanh" else None

@dataclass(frozen=True)
class Cheaper(Pass):
    """Computes a sine where a hyperbolic tangent is meant."""
    name: ClassVar[str] = "cheaper"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        rewrite_greedily(op, {UnaryOp: (tanh_to_sin,)})
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "module.mlir"
    path.write_text(MODULE, encoding="utf-8")
    return str(path)


def test_a_row_for_each_pass(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    passes = "canonicalize,outline_kernels,fuse,lower_kernels_to_buffers"
    assert main(["opt", file, "--passes", passes, "--check"]) == 0
    checked = capsys.readouterr()
    table = checked.err.splitlines()
    assert table[0].split() == [
        "pass",
        "of",
        "its",
        "budget",
        "elements",
        "undetermined",
        "seconds",
    ]
    assert [line.split()[0] for line in table[1:5]] == passes.split(",")
    assert "unchanged" in table[1]
    assert table[5].startswith("validated in")
    assert main(["opt", file, "--passes", passes]) == 0
    assert capsys.readouterr().out == checked.out


def test_a_wrong_pass_ends_with_one_error(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "cheaper.py"
    own.write_text(WRONG_PASS, encoding="utf-8")
    folder = tmp_path / "wrong"
    words = ["opt", file, "--load", str(own), "--passes", "canonicalize,cheaper,cse", "--check"]
    assert main([*words, "--save", str(folder)]) == EXIT_WRONG
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("error:") == 1
    for part in ("pass cheaper changes what @main does", "%y", "expected:", "found:", "%x = [["):
        assert part in printed.err
    (saved,) = folder.iterdir()
    assert f"picograd blame {saved}" in printed.err
    assert "// passes: canonicalize,cheaper" in saved.read_text(encoding="utf-8")


def test_the_seed_is_that_of_the_inputs(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    shares: list[str] = []
    for seed in ("1", "1", "2"):
        assert main(["opt", file, "--passes", "outline_kernels", "--check", "--seed", seed]) == 0
        shares.append(capsys.readouterr().err.splitlines()[1].split()[1])
    assert shares[0] == shares[1] != shares[2]


def test_modules_of_every_level(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    way = (
        "outline_kernels,fuse",
        "lower_kernels_to_buffers,plan_buffers",
        "lower_buffers_to_loops",
        'tile_loops{sizes="i=2"},unroll_tiles',
    )
    for passes in way:
        assert main(["opt", file, "--passes", passes, "--check"]) == 0
        Path(file).write_text(capsys.readouterr().out, encoding="utf-8")


CRASH = WRONG_PASS.replace("return build", "1 // 0\n    return build")


@pytest.mark.parametrize("before", ["", "canonicalize,"])
def test_nothing_is_said_to_be_validated_after_a_crash(
    before: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "cheaper.py"
    own.write_text(CRASH, encoding="utf-8")
    passes = f"{before}cheaper"
    assert main(["opt", file, "--load", str(own), "--passes", passes, "--check"]) == EXIT_WRONG
    shown = capsys.readouterr().err
    assert "validated in" not in shown
    assert "ZeroDivisionError" in shown
    # The passes before it are right, and are told of.
    assert ("\ncanonicalize " in shown) == bool(before)
    assert shown.startswith("pass " if before else "picograd: error: [PG706]")


def test_without_passes_nothing_is_validated(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", file, "--check"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "nothing was validated: no pass has run"


@pytest.mark.parametrize("text", ["", "\n \n", "// only a comment\n"])
@pytest.mark.parametrize("options", [[], ["--check"], ["--run"]])
def test_a_file_without_ir(
    text: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.mlir"
    empty.write_text(text, encoding="utf-8")
    assert main(["opt", str(empty), *options]) == 2
    shown = capsys.readouterr().err
    assert "[PG601] there is no IR" in shown
    assert "expected: a module" in shown
    assert ("comments only" if "//" in text else "an empty text") in shown
    assert str(empty) in shown
