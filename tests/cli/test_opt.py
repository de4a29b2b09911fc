"""`picograd opt`: text in, passes, text out, and what it says about mistakes."""

import io
from pathlib import Path

import numpy as np
import pytest

from picograd.cli.main import EXIT_MISTAKE, main
from picograd.cli.opt import describe_pass
from picograd.cli.runs import rest_of_pipeline, seeded_inputs
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.passes import PASSES, Level, level_of

MODULE = """
func.func @main(%x: tensor<4x3xf32> {pico.name = "x"}, %w: tensor<3x2xf32> {pico.name = "w"})
    -> tensor<4x2xf32> {
  %unused = pico.unary exp %x : tensor<4x3xf32>
  %hidden = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
  %y = pico.unary tanh %hidden : tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
"""

PASS_FILE = '''
from dataclasses import dataclass
from typing import ClassVar
from picograd.passes import Level, Pass

@dataclass(frozen=True)
class RenameMain(Pass):
    """Gives the entry another name."""
    name: ClassVar[str] = "rename_main"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    to: str = "entry"

    def apply(self, ctx, op):
        from xdsl.dialects.builtin import StringAttr
        for function in op.ops:
            function.properties["sym_name"] = StringAttr(self.to)
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "module.mlir"
    path.write_text(MODULE, encoding="utf-8")
    return str(path)


def test_without_passes_it_prints_the_module(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", file]) == 0
    printed = capsys.readouterr().out
    assert str(parse_module(printed)) == str(parse_module(MODULE))


def test_passes_run_in_order_and_pipes_work(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["opt", file, "--passes", "dce, outline_kernels"]) == 0
    printed = capsys.readouterr().out
    assert "unused" not in printed
    assert level_of(parse_module(printed)) == Level.KERNEL
    monkeypatch.setattr("sys.stdin", io.StringIO(printed))
    assert main(["opt", "--passes", "fuse"]) == 0
    assert capsys.readouterr().out.count("kernel.fused") == 1


def test_print_after_all_shows_every_pass(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", file, "--passes", "dce,dce", "--print-after-all"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("func.func @main") == 2
    assert "// after dce: unchanged" in shown


def test_print_after_change_leaves_the_unchanged_out(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["opt", file, "--passes", "dce,dce", "--print-after-change"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("func.func @main") == 1
    assert "// after dce: unchanged" in shown


def test_list_describes_every_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", "--list"]) == 0
    printed = capsys.readouterr().out
    for step in PASSES.values():
        assert describe_pass(step) in printed
    assert "sizes: str" in printed
    assert "tensor → kernel level" in printed


def test_loaded_passes_are_listed_and_run(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.py"
    own.write_text(PASS_FILE, encoding="utf-8")
    assert main(["opt", "--load", str(own), "--list"]) == 0
    assert "rename_main" in capsys.readouterr().out
    words = ["opt", file, "--load", str(own), "--passes", 'rename_main{to="other"}']
    assert main(words) == 0
    assert "func.func @other" in capsys.readouterr().out


def test_inputs_follow_the_seed_and_skip_outputs() -> None:
    module = parse_module(MODULE)
    first, again, other = (seeded_inputs(module, seed) for seed in (1, 1, 2))
    assert list(first) == ["x", "w"]
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    passes = "outline_kernels", "lower_kernels_to_buffers"
    run_pipeline(module, [PASSES[name]() for name in passes])
    for name, array in seeded_inputs(module, 1).items():
        np.testing.assert_array_equal(array, first[name])


@pytest.mark.parametrize("device", ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("level", [Level.TENSOR, Level.BUFFER, Level.LOOP])
def test_run_gives_the_same_at_every_level_and_on_every_device(
    device: str, level: Level, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["opt", file, "--run", "--seed", "5"]) == 0
    expected = capsys.readouterr().out
    module = parse_module(MODULE)
    passes = pipeline("gpu" if device == "gpu" else "cpu")
    if level != Level.TENSOR:
        reached = [step.level_out for step in passes].index(level)
        run_pipeline(module, passes[: reached + 1])
    lowered = tmp_path / "lowered.mlir"
    lowered.write_text(str(module), encoding="utf-8")
    assert main(["opt", str(lowered), "--run", "--seed", "5", "--device", device]) == 0
    printed = capsys.readouterr().out
    for before, after in zip(expected.splitlines(), printed.splitlines(), strict=True):
        if before.startswith((" ", "[")):
            numbers = [
                np.array(line.replace("[", "").replace("]", "").split(), float)
                for line in (before, after)
            ]
            np.testing.assert_allclose(*numbers, rtol=1e-4, atol=2e-6)
        elif not before.startswith("out"):
            assert before == after


def test_the_rest_of_the_pipeline_starts_at_the_modules_level() -> None:
    module = parse_module(MODULE)
    assert rest_of_pipeline(module, "cpu") == pipeline("cpu")
    run_pipeline(module, [PASSES["outline_kernels"]()])
    assert rest_of_pipeline(module, "cpu")[0].level_in == Level.KERNEL


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--passes", "fues"], ["unknown pass 'fues'", "did you mean 'fuse'?"]),
        (["--passes", "fuse{max=3}"], ["pass fuse has no option 'max'"]),
        (["--passes", "fuse"], ["pass fuse is out of order", "outline_kernels"]),
        (["--passes", "tile_loops,fuse"], ["pass tile_loops is out of order"]),
        (["--run", "--device", "tpu"], ["tpu", "'cpu'", "help:"]),
    ],
)
def test_mistakes_are_explained(
    words: list[str], parts: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["opt", file, *words]) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert shown.startswith("picograd: error: ")
    assert "Traceback" not in shown
    for part in parts:
        assert part in shown


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("func.func @main(%x: tensor<3xf32>) {\n  pico.unary\n}", ["module.mlir:3:1", "^"]),
        (MODULE.replace("tanh", "tahn"), ["module.mlir:6:", "tahn", "^^^^"]),
        (MODULE.replace("pico.matmul", "pico.matmull"), ["module.mlir:5:", "pico.matmull", "^"]),
        (MODULE.replace("%unused = pico.unary exp %x : tensor<4x3xf32>",
                        "%t = pico.permute %x by [1, 0] : tensor<4x3xf32> -> tensor<4x3xf32>"),
         ["pico.permute", "3x4"]),
    ],
)  # fmt: skip
def test_malformed_ir_is_shown_with_a_caret(
    text: str, parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "module.mlir"
    path.write_text(text, encoding="utf-8")
    assert main(["opt", str(path)]) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    for part in parts:
        assert part in shown


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("func.func private @main(tensor<3xf32>) -> tensor<3xf32>", "the module has no entry"),
        ("func.func @main(%x: tensor<?xf32>) { func.return }", "without a fixed shape"),
        ("func.func @main(%x: i32) { func.return }", "an argument that is no array"),
    ],
)
def test_what_cannot_run_is_a_mistake_and_no_bug(
    text: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "module.mlir"
    path.write_text(text, encoding="utf-8")
    assert main(["opt", str(path), "--run"]) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert part in shown and "expected:" in shown and "found:" in shown


TOO_FAR = """
loop.kernel @k(%x: memref<8xf32>, %y: memref<8xf32>) {
  loop.parallel %i = 0 to 8 {
    %v = loop.load %x[%i + 1] : memref<8xf32>
    loop.store %v, %y[%i] : f32, memref<8xf32>
  }
}
func.func @main(%x: memref<8xf32>, %y: memref<8xf32> {buffer.output}) {
  loop.launch @k(%x, %y) : memref<8xf32>, memref<8xf32>
  func.return
}
"""


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_sanitized_run_names_what_left_its_memory(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.mlir", tmp_path / "bad.mlir"
    good.write_text(TOO_FAR.replace("%i + 1", "%i"))
    bad.write_text(TOO_FAR)
    assert main(["opt", str(good), "--run", "--device", device, "--sanitize"]) == 0
    capsys.readouterr()
    assert main(["opt", str(bad), "--run", "--device", device, "--sanitize"]) == EXIT_MISTAKE
    message = capsys.readouterr().err
    assert "loop.load accesses %x out of bounds on axis 0" in message
    assert "found:    8" in message


def test_nothing_is_sanitized_that_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "module.mlir").write_text(MODULE)
    assert main(["opt", str(tmp_path / "module.mlir"), "--sanitize"]) == EXIT_MISTAKE
    assert "add --run" in capsys.readouterr().err
