"""Replay files: what is written is read back, bit by bit, and everything else is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from picograd.check.generation.programs import random_samples
from picograd.check.generation.sketch import DTYPES, NARROW_DTYPES
from picograd.check.oracle import Case
from picograd.check.replay import Expected, Replay, installed_versions, is_replay, read
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects import dtypes
from picograd.dialects.dtypes import DType
from picograd.dialects.literals import literal_text
from picograd.errors import OptionError, ParseFailure, ShapeError

MODULE = """
func.func @main(%x: tensor<2xf32>, %n: tensor<i64>) -> tensor<2xf32> {
  %y = pico.unary neg %x : tensor<2xf32>
  return %y : tensor<2xf32>
}
"""


def case_of(text: str, *inputs: np.ndarray, passes: str = "", **options: object) -> Case:
    return Case(parse_module(text), inputs, as_passes(passes), **options)  # pyright: ignore


def the_case() -> Case:
    x = np.array([1.5, -0.0], np.float32)
    return case_of(MODULE, x, np.array(7), passes="canonicalize,cse", device="cpu", sanitize=True)


def same(a: Case, b: Case) -> bool:
    return (
        str(a.module) == str(b.module)
        and [(x.dtype, x.shape, x.tobytes()) for x in a.inputs]
        == [(x.dtype, x.shape, x.tobytes()) for x in b.inputs]
        and (a.passes, a.device, a.sanitize) == (b.passes, b.device, b.sanitize)
    )


def test_everything_is_read_back(tmp_path: Path) -> None:
    failure = Expected(Fault.VALUES, "cse", "result 0 is 1\n  and should be 2\n\n  really")
    replay = Replay(the_case(), failure, "--seed 7 --only 12", ("my_pass.py", "other.py"))
    replay.write(tmp_path / "folder" / "case.mlir")
    text = (tmp_path / "folder" / "case.mlir").read_text("utf-8")
    again = read(text)
    assert same(again.case, replay.case)
    assert (again.failure, again.seed, again.loads) == (failure, replay.seed, replay.loads)
    assert again.versions == installed_versions()
    assert set(again.versions) >= {"picograd", "xdsl", "numpy", "llvmlite"}
    assert is_replay(text)


def test_it_is_ir_to_everybody_else() -> None:
    case = the_case()
    assert str(parse_module(str(Replay(case)))) == str(case.module)


def test_a_person_can_read_it() -> None:
    lines = str(Replay(the_case(), Expected(Fault.CRASH, "cpu", "why"), "seed 1")).splitlines()
    assert lines[:5] == [
        "// picograd replay 1",
        "// passes: canonicalize,cse",
        "// device: cpu",
        "// sanitize: true",
        "// seed: seed 1",
    ]
    assert "// failure: CRASH in cpu" in lines
    assert "//   why" in lines
    assert "// input: dense<[1.5, -0.0]> : tensor<2xf32>" in lines
    assert "// input: dense<7> : tensor<i64>" in lines


@pytest.mark.parametrize("dtype", [*DTYPES, *NARROW_DTYPES], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4), (70,), (5000,)], ids=str)
def test_arrays_of_any_bits_come_back(
    dtype: DType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    bits = rng.integers(0, 256, (int(np.prod(shape)), dtype.itemsize), np.uint8)
    if dtype.is_bool:
        bits &= 1
    array = np.frombuffer(bits.tobytes(), dtype.numpy).reshape(shape)
    kind = dtypes.from_numpy(array.dtype).ir
    sizes = "".join(f"{size}x" for size in shape)
    text = f"""func.func @main(%x: tensor<{sizes}{kind}>) -> tensor<{sizes}{kind}> {{
      return %x : tensor<{sizes}{kind}>
    }}"""
    case = case_of(text, array)
    assert same(read(str(Replay(case))).case, case)


def test_nan_keeps_its_payload_and_what_is_short_is_decimal() -> None:
    payload = np.array([0x7FC01234, 0xFF800001, 0x3F800000], np.uint32).view(np.float32)
    assert literal_text(payload) == 'dense<"0x3412C07F010080FF0000803F"> : tensor<3xf32>'
    assert literal_text(np.array([0.1, 1e-45, 3e38], np.float32)) == (
        "dense<[0.1, 1.0e-45, 3.0e+38]> : tensor<3xf32>"
    )


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_modules_of_every_level_and_their_pipelines_come_back(device: str) -> None:
    (sample,) = random_samples(1, 5, dtypes=(dtypes.float32,))
    steps = pipeline(device)
    for length in (0, 5, 7, 10, len(steps)):
        module = sample.module.clone()
        run_pipeline(module, steps[:length])
        case = Case(module, tuple(sample.inputs), Pipeline(steps[length:]), device)
        assert same(read(str(Replay(case))).case, case)


def test_options_with_commas_and_blanks_come_back() -> None:
    passes = 'tile_loops{sizes="i=2 j=3" target="gpu:storage_buffers=3,workgroup_bytes=4096"}'
    case = case_of(MODULE, np.zeros(2, np.float32), np.array(1), passes=passes)
    assert read(str(Replay(case))).case.passes == case.passes


@pytest.mark.parametrize(
    ("pattern", "by", "says"),
    [
        ("// picograd replay 1", "// picograd replay 9", "first line"),
        ("// passes.*\n", "", "passes"),
        ("// device.*\n", "", "device"),
        ("sanitize: true", "sanitize: perhaps", "perhaps"),
        ("// versions", "// colours", "colours"),
        ("failure: CRASH", "failure: BOREDOM", "BOREDOM"),
        (r"dense<7>", "dense<seven>", "literal"),
        (r"dense<7> : tensor<i64>", "7 : i64", "literal"),
    ],
)
def test_what_is_malformed_is_refused(pattern: str, by: str, says: str) -> None:
    text = str(Replay(the_case(), Expected(Fault.CRASH, "cpu")))
    with pytest.raises(ParseFailure, match=says) as raised:
        read(re.sub(pattern, by, text, count=1), "case.mlir")
    assert raised.value.where == "case.mlir"
    assert "fuzzing.md" in raised.value.hint


def test_inputs_must_be_those_of_the_function() -> None:
    text = str(Replay(the_case()))
    with pytest.raises(ShapeError, match="not those that the function takes"):
        read(text.replace("// input: dense<7> : tensor<i64>\n", ""))
    with pytest.raises(ShapeError, match="tensor<3xf32>"):
        read(text.replace("dense<[1.5, -0.0]> : tensor<2xf32>", "dense<1.0> : tensor<3xf32>"))


def test_a_pass_that_is_not_known_is_refused() -> None:
    with pytest.raises(OptionError, match="my_pass"):
        read(str(Replay(the_case())).replace("canonicalize", "my_pass"))
