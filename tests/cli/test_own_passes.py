"""Passes kept in files outside the package."""

from pathlib import Path

import pytest

from picograd.cli.files import UsageError
from picograd.cli.own_passes import load_passes
from picograd.compiler.spelling import parse_passes
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
