"""Passes as text."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.spelling import nearest, parse_passes
from picograd.errors import OptionError
from picograd.passes import Level, Pass


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


def test_nearest_says_nothing_when_nothing_is_near() -> None:
    assert nearest("fusee", ["fuse", "dce"]) == "did you mean 'fuse'?"
    assert nearest("qqq", ["fuse", "dce"]) == ""
