"""What users do wrong, and what they are told: what was expected, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import picograd as torch
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.compiler.spelling import parse_passes
from picograd.errors import (
    AxisError,
    DeviceError,
    DTypeError,
    GradientError,
    LimitError,
    OptionError,
    ParseFailure,
    PicogradError,
    PipelineError,
    ShapeError,
    TraceError,
    VerificationError,
)
from picograd.passes import PASSES
from picograd.targets import lookup


@pytest.fixture(autouse=True)
def on_reference():
    torch.set_default_device("reference")
    yield
    torch.set_default_device(None)


def branch(x: torch.Tensor) -> torch.Tensor:
    return x if (x > 0).all() else -x


def parse(text: str) -> None:
    run_pipeline(parse_module(text, "model.mlir"), [])


FUNCTION = """func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {{
  {}
  func.return %y : tensor<3xf32>
}}"""
RESHAPE = "pico.reshape %y to [4] : tensor<3xf32> -> tensor<4xf32>"
LINE = FUNCTION.format("%y = pico.unary exp %x : tensor<3xf32>")

MISTAKES: dict[str, tuple[Callable[[], object], type[PicogradError], list[str]]] = {
    "shapes of operands": (
        lambda: torch.ones(2, 3) + torch.ones(2, 4),
        ShapeError,
        ["broadcast", "3", "4", "[2, 4]"],
    ),
    "shapes of a product": (
        lambda: torch.ones(2, 3) @ torch.ones(4, 5),
        ShapeError,
        ["inner sizes differ", "[2, 3]", "[4, 5]"],
    ),
    "dtype": (
        lambda: torch.ones(3).long().mean(),
        DTypeError,
        ["mean", "float", "int64"],
    ),
    "dtype of an index": (
        lambda: torch.ones(3).gather(0, torch.ones(2)),
        DTypeError,
        ["int32 or int64", "float32"],
    ),
    "devices": (
        lambda: torch.ones(3) + torch.ones(3, device="cpu"),
        DeviceError,
        ["different devices", "reference", "cpu", ".to("],
    ),
    "axis": (lambda: torch.ones(2, 3).sum(2), AxisError, ["axis 2", "-2", "1"]),
    "axis twice": (lambda: torch.ones(2, 3).sum((0, -2)), AxisError, ["twice", "0"]),
    "non-scalar backward": (
        lambda: (torch.ones(2, requires_grad=True) * 2).backward(),
        GradientError,
        ["one element", "[2]", "sum"],
    ),
    "traced bool": (
        lambda: torch.compile(branch)(torch.ones(3)),
        TraceError,
        ["while traced", "where", "test_bad_input.py"],
    ),
    "unknown pass": (
        lambda: parse_passes("canonicalise", PASSES),
        PicogradError,
        ["'canonicalise'", "did you mean 'canonicalize'"],
    ),
    "unknown option": (
        lambda: parse_passes("fuse{max=3}", PASSES),
        OptionError,
        ["fuse", "'max'", "max_ops", "max_buffers"],
    ),
    "value of an option": (
        lambda: parse_passes("fuse{max_ops=many}", PASSES),
        OptionError,
        ["max_ops: int", "many", "a whole number"],
    ),
    "passes out of order": (
        lambda: run_pipeline(parse_module(LINE), [*pipeline("cpu")[:3], PASSES["fuse"]()]),
        PipelineError,
        ["fuse", "kernel level", "tensor level", "outline_kernels"],
    ),
    "missing requirement": (
        lambda: compile_module(parse_module(LINE), "cpu", passes=pipeline("cpu")[::-1]),
        PipelineError,
        ["unroll_tiles", "out of order"],
    ),
    "malformed text": (
        lambda: parse(FUNCTION.format("%y = pico.unary exp %x tensor<3xf32>")),
        ParseFailure,
        ["Expected ':'", "model.mlir:2:26", "%x tensor<3xf32>\n", " ^^^^^^"],
    ),
    "unknown value": (
        lambda: parse(FUNCTION.format("%y = pico.unary exp %z : tensor<3xf32>")),
        ParseFailure,
        ["model.mlir:2:", "^", "z"],
    ),
    "unknown op": (
        lambda: parse(FUNCTION.format("%y = pico.unry exp %x : tensor<3xf32>")),
        ParseFailure,
        ["model.mlir:2:", "^", "pico.unry"],
    ),
    "wrong types in text": (
        lambda: parse(LINE.replace("  func", f"  %w = {RESHAPE}\n  func")),
        VerificationError,
        ["pico.reshape", "> ", "3 elements", "4 elements"],
    ),
    "unknown device": (
        lambda: torch.ones(3, device="tpu"),
        DeviceError,
        ["'tpu'", "'cpu'", "'gpu'"],
    ),
    "unknown target": (lambda: lookup("npu"), OptionError, ["'npu'", "'cpu'"]),
    "unknown field of a target": (lambda: lookup("cpu:speed=3"), OptionError, ["speed", "cores"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained(name: str) -> None:
    do, kind, words = MISTAKES[name]
    with pytest.raises(kind) as caught:
        do()
    message = str(caught.value)
    print(message)
    assert "Traceback" not in message
    # What an op's verifier says is its own text; everything else names the remedy.
    assert "help:" in message or kind is VerificationError
    assert "expected:" in message or "^" in message or kind is VerificationError
    for word in words:
        assert word in message, message


def concat_of(count: int) -> str:
    names = [f"%x{n}" for n in range(count)]
    types = ", ".join(["tensor<2xf32>"] * count)
    arguments = ", ".join(f"{name}: tensor<2xf32>" for name in names)
    return f"""func.func @main({arguments}) -> tensor<{2 * count}xf32> {{
      %y = pico.concat {", ".join(names)} axis 0 : {types} -> tensor<{2 * count}xf32>
      func.return %y : tensor<{2 * count}xf32>
    }}"""


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (concat_of(99), ["storage-buffers", "concat", "at most", "100", "split"]),
        (LINE.replace("<3x", "<900000000x"), ["binding-size", "@exp", "3600000000", "cpu"]),
    ],
    ids=["buffers", "binding"],
)
def test_a_kernel_beyond_the_adapters_limits(text: str, words: list[str]) -> None:
    with pytest.raises(LimitError) as caught:
        compile_module(parse_module(text), "gpu")
    message = str(caught.value)
    print(message)
    assert caught.value.expected and caught.value.found and caught.value.hint
    for word in words:
        assert word in message, message


@pytest.mark.gpu
def test_the_gpu_has_no_doubles() -> None:
    with pytest.raises(DTypeError) as caught:
        torch.tensor(np.ones(3), device="gpu")
    assert ".float()" in caught.value.hint and "float64" in caught.value.message
    assert "float32" in caught.value.expected


@pytest.mark.parametrize("words", [["opt", "--run"], ["dump", "--out", "unused"]])
def test_the_command_line_explains_it_too(
    words: list[str], tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(
        "import picograd\n\ndef f(x=picograd.ones(2)):\n    return x + picograd.ones(3)\n"
    )
    text = tmp_path / "broken.mlir"
    text.write_text("func.func @main(")
    target = f"{path}:f" if words[0] == "dump" else str(text)
    assert main([words[0], target, *words[1:]]) == EXIT_MISTAKE
    shown = capsys.readouterr().err
    assert shown.startswith("picograd: error: ")
    assert "Traceback" not in shown
    assert ("broadcast" in shown) if words[0] == "dump" else ("broken.mlir:1:" in shown)
