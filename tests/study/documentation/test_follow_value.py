"""Excerpts that follow one value down to assembly and WGSL."""

from pathlib import Path

import pytest

from picograd.study.documentation.follow_value import (
    excerpts_of,
    folded,
    lines_between,
    matching_lines,
)
from picograd.study.documentation.pages import traced_program

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "follow-a-value.md"
# The sum under the value, the registers it is in, the operands it is made of.
NAMELESS = {"sums", "assembly", "staged"}

TEXT = "a\n  b 1\n  b 2\n  b 3\n  b 4\n  c\nd\n"


def test_lines_from_one_to_another_lose_their_indent() -> None:
    assert lines_between(TEXT, "b 2", "c") == "b 2\nb 3\nb 4\nc"


def test_long_lines_are_folded_after_commas_and_before_arrows() -> None:
    operands = ", ".join(f"%operand_{n} : f32" for n in range(12))
    lines = folded(f"  %x = some.op {operands} -> f32").splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert [line[:6] for line in lines] == ["  %x =", "      ", "      "]
    assert " ".join(line.strip() for line in lines) == f"%x = some.op {operands} -> f32"
    assert folded(f"some.op {operands}", most=1).splitlines()[1:] == ["    …"]
    assert folded("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (("^d",), "…\nd"),
        (("a", "b"), "a\n  b 1\n  b 2\n  b 3\n  …\n"),
        (("b",), "…\n  b 1\n  b 2\n  b 3\n  b 4\n  …"),
    ],
)
def test_what_is_left_out_is_an_ellipsis(patterns: tuple[str, ...], found: str) -> None:
    assert matching_lines(TEXT, *patterns) == found.rstrip("\n")


def test_the_value_keeps_its_name_to_the_end() -> None:
    module = traced_program(PAGE, PAGE.read_text(encoding="utf-8"), "layer")
    excerpts = {name: text for name, _, text in excerpts_of(module, "hidden")}
    assert {name for name, text in excerpts.items() if "hidden" not in text} == NAMELESS
    assert excerpts["assembly"].count("vfmadd") == 12
    assert all(len(text.splitlines()) < 60 for text in excerpts.values())
