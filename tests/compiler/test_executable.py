"""Compiling a module for each device, running it, and what the executable tells of itself."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, clear_cache, compile_module
from picograd.compiler.pipelines import pipeline
from picograd.errors import DeviceError, IndexOutOfRange, OptionError, PipelineError, ShapeError
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from tests.programs import softmax

Array = np.ndarray[Any, Any]

LINEAR = """builtin.module {
  func.func @main(%x: tensor<5x7xf32> {pico.name = "x"}, %w: tensor<7x9xf32>, %b: tensor<9xf32>)
      -> (tensor<5x9xf32>, tensor<f32>) {
    %hidden = pico.matmul %x, %w : tensor<5x7xf32>, tensor<7x9xf32> -> tensor<5x9xf32>
    %wide = pico.broadcast %b to [5, 9] : tensor<9xf32> -> tensor<5x9xf32>
    %sum = pico.binary add %hidden, %wide : tensor<5x9xf32>
    %zero = pico.constant dense<0.0> : tensor<5x9xf32>
    %y = pico.binary maximum %sum, %zero : tensor<5x9xf32>
    %e = pico.unary exp %y : tensor<5x9xf32>
    %loss = pico.reduce add %e axes [0, 1] : tensor<5x9xf32> -> tensor<f32>
    func.return %y, %loss : tensor<5x9xf32>, tensor<f32>
  }
}"""

TWO_PRODUCTS = """builtin.module {
  func.func @main(%x: tensor<5x7xf32>, %w: tensor<7x9xf32>, %v: tensor<9x3xf32>)
      -> tensor<5x3xf32> {
    %hidden = pico.matmul %x, %w : tensor<5x7xf32>, tensor<7x9xf32> -> tensor<5x9xf32>
    %e = pico.unary exp %hidden : tensor<5x9xf32>
    %y = pico.matmul %e, %v : tensor<5x9xf32>, tensor<9x3xf32> -> tensor<5x3xf32>
    func.return %y : tensor<5x3xf32>
  }
}"""

SOFTMAX = softmax(5, 19)

GATHER = """builtin.module {
  func.func @main(%x: tensor<5xf32>, %i: tensor<3xi64>) -> tensor<3xf32> {
    %y = pico.gather %x at %i axis 0 : tensor<5xf32>, tensor<3xi64> -> tensor<3xf32>
    func.return %y : tensor<3xf32>
  }
}"""

DEVICES = ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


def run(executable: Executable, *arrays: Array) -> list[Array]:
    place = executable.device
    outputs = executable.run([place.upload(array) for array in arrays])
    return [place.download(output) for output in outputs]


def linear_inputs(seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((5, 7), (7, 9), (9,)))
    return x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)


@pytest.mark.parametrize("name", DEVICES)
def test_a_matmul_with_bias_relu_and_loss(name: str) -> None:
    x, w, b = linear_inputs()
    y, loss = run(compile_module(parse_module(LINEAR), name), x, w, b)
    expected = np.maximum(x.astype(np.float64) @ w + b, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(loss, np.exp(expected).sum(), rtol=1e-5)
    assert y.dtype == np.float32 and loss.shape == ()


@pytest.mark.parametrize("name", DEVICES)
def test_a_softmax(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((5, 19)).astype(np.float32) * 4
    (y,) = run(compile_module(parse_module(SOFTMAX), name), x)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", DEVICES)
def test_an_executable_runs_again_and_results_are_buffers_of_their_own(name: str) -> None:
    executable = compile_module(parse_module(LINEAR), name)
    place = executable.device
    first_inputs, second_inputs = linear_inputs(1), linear_inputs(2)
    first = executable.run([place.upload(array) for array in first_inputs])
    before = [place.download(output) for output in first]
    second = run(executable, *second_inputs)
    again = [place.download(output) for output in first]
    for a, b, c in zip(before, again, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    for a, b in zip(before, run(executable, *first_inputs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", DEVICES)
def test_an_index_out_of_range_raises(name: str) -> None:
    executable = compile_module(parse_module(GATHER), name)
    x = np.arange(5, dtype=np.float32)
    (y,) = run(executable, x, np.array([4, 0, 2]))
    np.testing.assert_array_equal(y, [4, 0, 2])
    with pytest.raises(IndexOutOfRange):
        run(executable, x, np.array([4, 5, 2]))
    (y,) = run(executable, x, np.array([1, 1, 1]))
    np.testing.assert_array_equal(y, [1, 1, 1])


def test_the_ir_of_every_level() -> None:
    executable = compile_module(parse_module(LINEAR), "cpu")
    assert "pico.matmul" in executable.ir("tensor")
    assert "kernel.fused" in executable.ir("kernel")
    assert "buffer.kernel" in executable.ir("buffer")
    assert "loop.launch" in executable.ir("loop")
    assert "define" in executable.ir("target")
    for level in ("tensor", "kernel", "buffer", "loop"):
        parse_module(executable.ir(level))
    assert "%hidden" in executable.ir("tensor") and "%hidden" in executable.ir("buffer")


def test_levels_that_are_none_or_were_not_passed_through() -> None:
    executable = compile_module(parse_module(LINEAR), "reference")
    assert "pico.matmul" in executable.ir("tensor")
    with pytest.raises(OptionError, match="'loop'"):
        executable.ir("loop")
    with pytest.raises(OptionError, match="'assembly'"):
        executable.ir("assembly")


def test_the_report_counts_kernels_bytes_and_passes() -> None:
    report = compile_module(parse_module(TWO_PRODUCTS), "cpu").report
    assert report.kernels_unfused > report.kernels >= 1
    assert 5 * 9 * 4 <= report.bytes_planned <= report.bytes_unplanned
    assert report.compile_seconds >= sum(step.seconds for step in report.passes)
    assert [step.name for step in report.passes] == [step.name for step in pipeline("cpu")]
    assert "lower_buffers_to_loops" in str(report)


def test_equal_modules_are_compiled_once() -> None:
    clear_cache()
    first = compile_module(parse_module(SOFTMAX), "cpu")
    assert compile_module(parse_module(SOFTMAX.replace("%mb", "%other")), "cpu") is first
    assert compile_module(parse_module(SOFTMAX.replace("max", "min")), "cpu") is not first
    assert compile_module(parse_module(SOFTMAX), "reference") is not first
    assert compile_module(parse_module(SOFTMAX), "cpu", passes=pipeline("cpu")) is first
    other = pipeline("cpu").replace("fuse", "fuse{siblings=false}")
    assert compile_module(parse_module(SOFTMAX), "cpu", passes=other) is not first
    clear_cache()
    assert compile_module(parse_module(SOFTMAX), "cpu") is not first


def test_the_module_given_is_left_as_it_is() -> None:
    module = parse_module(LINEAR)
    before = str(module)
    compile_module(module, "cpu")
    assert str(module) == before


def test_a_module_without_results() -> None:
    module = parse_module("builtin.module { func.func @main(%x: tensor<2xf32>) { func.return } }")
    for name in ("reference", "cpu"):
        assert run(compile_module(module, name), np.zeros(2, np.float32)) == []


@pytest.mark.parametrize("name", DEVICES)
def test_results_without_elements(name: str) -> None:
    module = parse_module("""builtin.module {
      func.func @main(%x: tensor<0x3xf32>) -> (tensor<0x3xf32>, tensor<3xf32>) {
        %y = pico.unary neg %x : tensor<0x3xf32>
        %s = pico.reduce add %x axes [0] : tensor<0x3xf32> -> tensor<3xf32>
        func.return %y, %s : tensor<0x3xf32>, tensor<3xf32>
      }
    }""")
    y, s = run(compile_module(module, name), np.zeros((0, 3), np.float32))
    assert y.shape == (0, 3)
    np.testing.assert_array_equal(s, np.zeros(3))


def test_wrong_inputs_are_named() -> None:
    executable = compile_module(parse_module(SOFTMAX), "cpu")
    place = executable.device
    with pytest.raises(ShapeError, match="compiled for") as caught:
        executable.run([place.upload(np.zeros((5, 18), np.float32))])
    assert "tensor<5x19xf32>" in caught.value.expected
    assert "tensor<5x18xf32>" in caught.value.found


def test_no_such_device() -> None:
    with pytest.raises(DeviceError, match="'tpu'") as caught:
        compile_module(parse_module(SOFTMAX), "tpu")
    assert "'gpu'" in caught.value.expected
    with pytest.raises(DeviceError, match="'tpu'"):
        pipeline("tpu")


def test_passes_out_of_order() -> None:
    with pytest.raises(PipelineError, match="lower_buffers_to_loops is out of order"):
        compile_module(parse_module(SOFTMAX), "cpu", passes=[Canonicalize(), LowerBuffersToLoops()])


# Dumps


def check_dump(folder: Path, module: ModuleOp, suffixes: set[str]) -> None:
    files = sorted(file.name for file in folder.iterdir() if file.name[:2].isdigit())
    steps = pipeline("cpu")
    assert files[0] == "00-input.mlir"
    for number, step in enumerate(steps, 1):
        assert files[number] == f"{number:02d}-{step.name}.mlir"
    rest = files[len(steps) + 1 :]
    assert {file.rsplit(".", 1)[1] for file in rest} == suffixes
    assert (folder / "00-input.mlir").read_text().strip() == str(module)
    for file in files[: len(steps) + 1]:
        parse_module((folder / file).read_text(), file)
    index = (folder / "index.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\S+)\]\(\1\) \|[^|]*\| (\w*) \|(.*)$", index, re.MULTILINE)
    assert [name for name, _, _ in rows] == files
    for name, changed, _ in rows:
        marked = (folder / name).read_text().startswith("// unchanged")
        assert marked == (changed == "unchanged")
    assert {changed for _, changed, _ in rows} == {"", "changed", "unchanged"}
    kernels = [int(rest.split("|")[1]) for _, changed, rest in rows if changed]
    assert kernels[0] > kernels[-1] > 0


def test_dump_to_a_folder(tmp_path: Path) -> None:
    module = parse_module(SOFTMAX)
    compile_module(module, "cpu")  # being known must not keep the dump from being written
    compile_module(module, "cpu", dump=tmp_path / "dump")
    check_dump(tmp_path / "dump", module, {"ll", "s"})


CHAIN = """
func.func @main(%x: tensor<40x40xf32>) -> tensor<40x40xf32> {
  %hidden = pico.matmul %x, %x : tensor<40x40xf32>, tensor<40x40xf32> -> tensor<40x40xf32>
  %other = pico.matmul %hidden, %x : tensor<40x40xf32>, tensor<40x40xf32> -> tensor<40x40xf32>
  %third = pico.matmul %other, %x : tensor<40x40xf32>, tensor<40x40xf32> -> tensor<40x40xf32>
  %y = pico.matmul %third, %x : tensor<40x40xf32>, tensor<40x40xf32> -> tensor<40x40xf32>
  func.return %y : tensor<40x40xf32>
}
"""


def test_the_memory_plan_is_drawn(tmp_path: Path) -> None:
    compile_module(parse_module(CHAIN), "cpu", dump=tmp_path)
    picture = ElementTree.parse(tmp_path / "memory.svg").getroot()
    about = [title.text or "" for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    # Each of the three once without reuse and once with; the third lies where the first did.
    assert [text.split(":")[0] for text in about] == ["%hidden", "%other", "%third"] * 2
    assert "bytes from 0, kernels 0 to 1" in about[0]
    assert "from 12800" in about[2] and "from 0, kernels 2 to 3" in about[5]
    assert "memory.svg" in (tmp_path / "index.md").read_text("utf-8")


def test_a_folder_shows_its_last_dump_only(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    compile_module(parse_module(CHAIN), "cpu", dump=tmp_path)
    compile_module(parse_module(SOFTMAX), "reference", dump=tmp_path, passes=[Canonicalize()])
    names = {file.name for file in tmp_path.iterdir()}
    assert names >= {"notes.txt", "index.md", "01-canonicalize.mlir"}
    assert "memory.svg" not in names and "02-cse.mlir" not in names


def test_the_reference_runs_any_level() -> None:
    x = np.random.default_rng(3).standard_normal((5, 19)).astype(np.float32)
    (expected,) = run(compile_module(parse_module(SOFTMAX), "reference"), x)
    steps = pipeline("cpu")
    stop = next(n for n, step in enumerate(steps) if step.name == "lower_buffers_to_loops") + 1
    executable = compile_module(parse_module(SOFTMAX), "reference", passes=steps[:stop])
    assert "loop.kernel" in executable.ir("loop")
    np.testing.assert_allclose(run(executable, x)[0], expected, rtol=1e-5)


def test_devices_are_made_once() -> None:
    assert device("cpu") is device("cpu")
    assert device("reference").adapter.startswith("NumPy")
