"""Passes kept in files outside the package."""

import argparse
from pathlib import Path

import pytest

from picograd.cli.files import UsageError
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline, load_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.spelling import parse_passes
from picograd.errors import PicogradError
from picograd.passes import PASSES

FILE = """
from dataclasses import dataclass
from typing import ClassVar
from picograd.passes import Level, Pass

@dataclass(frozen=True)
class Mine(Pass):
    name: ClassVar[str] = "NAME"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    factor: int = 3

    def apply(self, ctx, op):
        pass
"""


def test_passes_are_loaded_from_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("NAME", "my_pass"), encoding="utf-8")
    known = load_passes([str(file)])
    assert list(known) == [*PASSES, "my_pass"]
    (step,) = parse_passes("my_pass{factor=5}", known)
    assert vars(step)["factor"] == 5


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("NAME", next(iter(PASSES))), encoding="utf-8")
    with pytest.raises(UsageError, match="that name is taken"):
        load_passes([str(file)])


def test_a_file_without_passes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("from picograd.passes import Pass\n", encoding="utf-8")
    with pytest.raises(UsageError, match="defines no pass"):
        load_passes([str(file)])


def test_a_pass_without_a_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("name: ClassVar", "title: ClassVar"), encoding="utf-8")
    with pytest.raises(UsageError, match="defines a pass that has no name: "):
        load_passes([str(file)])


def test_a_base_class_of_passes_needs_no_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    base = "class Base(Pass):\n    def apply(self, ctx, op):\n        pass\n\n\n@dataclass"
    text = FILE.replace("NAME", "my_pass").replace("(Pass)", "(Base)").replace("@dataclass", base)
    file.write_text(text, encoding="utf-8")
    assert list(load_passes([str(file)])) == [*PASSES, "my_pass"]


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_pipeline_options(parser)
    return parser.parse_args(words)


@pytest.fixture
def mine(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(FILE.replace("NAME", "my_pass"), encoding="utf-8")
    return str(file)


def test_without_options_the_device_has_its_own_pipeline() -> None:
    assert chosen_pipeline(options(), "cpu") is None


def test_passes_are_inserted_into_the_pipeline(mine: str) -> None:
    words = ["--load", mine, "--insert", "my_pass{factor=2},dce after canonicalize"]
    steps = chosen_pipeline(options(*words, "--insert", "my_pass before tile_loops#2"), "gpu")
    assert steps is not None
    spelled = [str(step) for step in steps]
    assert spelled[:3] == ["canonicalize", "my_pass{factor=2}", "dce"]
    assert spelled[spelled.index("my_pass") + 1].startswith("tile_loops{")
    assert len(steps) == len(pipeline("gpu")) + 3


def test_passes_take_the_place_of_the_pipeline(mine: str) -> None:
    steps = chosen_pipeline(options("--load", mine, "--passes", "cse,my_pass"), "cpu")
    assert [str(step) for step in steps or ()] == ["cse", "my_pass"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--load", "MINE"], "nothing says where to run it"),
        (["--insert", "cse"], "cannot read --insert"),
        (["--insert", "cse after fuze"], "did you mean 'fuse'"),
        (["--insert", "canonicalise after fuse"], "did you mean 'canonicalize'"),
        (["--insert", "cse after tile_loops"], "runs tile_loops 2 times"),
    ],
)
def test_insertions_that_make_no_sense_are_explained(
    mine: str, words: list[str], message: str
) -> None:
    with pytest.raises(PicogradError, match=message):
        chosen_pipeline(options(*(word.replace("MINE", mine) for word in words)), "cpu")
