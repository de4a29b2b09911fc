"""Passes as the command line spells them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.cli.files import UsageError
from picograd.cli.spelling import load_passes, nearest, parse_passes
from picograd.errors import OptionError
from picograd.passes import PASSES, Level, Pass


@dataclass(frozen=True)
class Mark(Pass):
    """A pass with an option of every type."""

    name: ClassVar[str] = "mark"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    sizes: str = ""
    count: int = 1
    exact: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Nothing."""


KNOWN: dict[str, type[Pass]] = {"mark": Mark}

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("mark", (Mark(),)),
        ("mark, mark", (Mark(), Mark())),
        ('mark{sizes="j=48 i=8"}', (Mark(sizes="j=48 i=8"),)),
        ('mark{sizes="a,b" count=3 exact=true},mark', (Mark("a,b", 3, True), Mark())),
        ("mark{count=-2}", (Mark(count=-2),)),
    ],
)
def test_reads_what_it_prints(text: str, expected: tuple[Pass, ...]) -> None:
    passes = parse_passes(text, KNOWN)
    assert passes == expected
    assert parse_passes(",".join(str(step) for step in passes), KNOWN) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("marc", ["unknown pass 'marc'", "did you mean 'mark'?"]),
        ("zzz", ["unknown pass 'zzz'", "picograd opt --list"]),
        ("mark{cuont=3}", ["no option 'cuont'", "did you mean 'count'?"]),
        ("mark{count=three}", ["cannot take these options", "count: int"]),
        ("mark{exact=3}", ["cannot take these options", "exact: bool"]),
        ("mark{sizes=", ["cannot read the passes"]),
        ("mark,,mark", ["cannot read the passes"]),
        ("mark{sizes=a=b}", ["cannot read the passes", "quote"]),
        ("mark mark", ["cannot read the passes"]),
    ],
)
def test_mistakes_are_explained(text: str, parts: list[str]) -> None:
    with pytest.raises(OptionError) as raised:
        parse_passes(text, KNOWN)
    for part in parts:
        assert part in str(raised.value)


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


def test_nearest_says_nothing_when_nothing_is_near() -> None:
    assert nearest("fusee", ["fuse", "dce"]) == "did you mean 'fuse'?"
    assert nearest("qqq", ["fuse", "dce"]) == ""
