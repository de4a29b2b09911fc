"""The pages about schedules: what is left out of the IR, and that their tables are of today."""

from pathlib import Path

import pytest

from picograd.study.benches.schedules import SCHEDULES, steps_of
from picograd.study.documentation.schedule_pages import (
    LESS,
    MOST_LINES,
    all_pictures,
    excerpt,
    page_of,
    steps_in,
    without_repeats,
    without_tails,
)

GUIDE = Path(__file__).parents[3] / "docs" / "guide"


@pytest.mark.parametrize("name", SCHEDULES)
def test_tables_have_the_steps_that_there_are(name: str) -> None:
    """`picograd bench schedule --docs docs/guide` measures them anew."""
    page = (GUIDE / page_of(name)).read_text(encoding="utf-8")
    assert steps_in(page) == [step.name for step in steps_of(SCHEDULES[name])]
    assert steps_in(page, LESS) == list(SCHEDULES[name].less)


def test_pictures_fit_on_a_page_and_differ() -> None:
    for _, pictures in all_pictures():
        assert len(set(pictures.values())) == len(pictures)
        for picture in pictures.values():
            lines = picture.splitlines()
            assert lines[0] == "```mlir" and lines[-1] == "```"
            assert len(lines) <= MOST_LINES + 2
            assert all(len(line) <= 100 for line in lines), max(lines, key=len)


def test_ops_that_repeat_are_counted() -> None:
    pairs = [
        line
        for n in range(5)
        for line in (f"  %{n} = arith.addf %a, %b : f32", f"  loop.store %{n}, %y[{n}] : f32")
    ]
    lines = ["first", *pairs, "last"]
    assert without_repeats(lines) == ["first", *pairs[:4], "  // … 6 more of these", "last"]
    assert without_repeats(lines[:7]) == lines[:7]


def test_tails_are_left_out() -> None:
    lines = [
        "loop.parallel %i = 0 to 8 step 4 {",
        "  loop.store %a, %y[%i] : f32",
        "}",
        "loop.parallel %i_1 as i = 8 to 9 {",
        "  loop.if %b {",
        "  }",
        "}",
        "loop.yield",
    ]
    assert without_tails(lines) == [
        *lines[:3],
        "// … the same for what full tiles leave",
        "loop.yield",
    ]


def test_tails_in_straight_code_are_left_out() -> None:
    lines = [
        "loop.parallel %j = 0 to 8 step 4 {",
        "  %w = loop.alloc : memref<4xf32>",
        "  loop.parallel %i = 0 to 8 step 4 {",
        "    %a = loop.for %k = 0 to 8 carry (%b = %c : f32) {",
        "    }",
        "  }",
        "  %d = loop.load %w[0] : memref<4xf32>",
        "  %e = loop.for %k_1 as k = 0 to 8 carry (%f = %d : f32) {",
        "  }",
        "  loop.store %e, %y[8] : f32",
        "}",
        "loop.yield",
    ]
    assert without_tails(lines) == [
        *lines[:6],
        "  // … the same for what full tiles leave",
        *lines[-2:],
    ]


def test_lists_are_shortened() -> None:
    types = ", ".join(["vector<16xf32>"] * 4)
    carried = ", ".join(f"%so_far_{n} = %y_{n} : vector<16xf32>" for n in range(4))
    text = "\n".join(
        [
            "builtin.module {",
            '  loop.kernel @k(%y: memref<4xf32>) attributes {at = ["a.py:1"]} {',
            f"    %a, %b, %c, %d = loop.for %k = 0 to 4 carry ({carried}) {{",
            f"      loop.yield %a, %b, %c, %d : {types}",
            "    }",
            "  }",
            "  func.func @main(%y: memref<4xf32>) {",
            "    loop.launch @k(%y) : memref<4xf32>",
            "  }",
            "}",
        ]
    )
    assert excerpt(text).splitlines() == [
        "loop.kernel @k(%y: memref<4xf32>) {",
        "  %a, …, %d = loop.for %k = 0 to 4 carry (%so_far_0 = %y_0 : vector<16xf32>, …) {",
        "    loop.yield %a, …, %d : vector<16xf32>, …",
        "  }",
        "}",
    ]
