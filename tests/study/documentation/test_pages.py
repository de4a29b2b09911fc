"""Filling the generated parts of pages."""

from pathlib import Path

import pytest

from picograd.passes.fuse import Fuse
from picograd.passes.tile_loops import TileLoops
from picograd.study.documentation.pages import PageError, card_of, fence_code, fill

PAGE = "# A page\n\n<!-- example: begin -->\nold\n<!-- example: end -->\n\nThe rest.\n"


def test_a_region_is_replaced_and_the_rest_is_kept() -> None:
    filled = fill(Path("page.md"), PAGE, "example", "new\n")
    assert filled.startswith("# A page\n\n<!-- example: begin -->\n\nnew\n\n<!-- example: end -->")
    assert filled.endswith("\n\nThe rest.\n")
    assert "old" not in filled
    assert fill(Path("page.md"), filled, "example", "new") == filled


@pytest.mark.parametrize("text", ["", "# A page\n", PAGE.replace("end", "finish")])
def test_a_page_without_markers_is_named(text: str) -> None:
    with pytest.raises(PageError, match=r"page\.md has no place for the example"):
        fill(Path("page.md"), text, "example", "new")


def test_indented_blocks_are_fenced() -> None:
    docstring = "Words:\n\n    one\n\n      two\n\nMore:\n\n    func.func @main() {\n    }\n"
    assert fence_code(docstring) == (
        "Words:\n\n```text\none\n\n  two\n```\n\nMore:\n\n```mlir\nfunc.func @main() {\n}\n```\n\n"
    )


def test_a_card_tells_where_a_pass_stands() -> None:
    card = card_of(TileLoops)
    assert card.startswith("| level | loop |\n|---|---|\n")
    assert "| pipelines | cpu, step " in card
    assert " and " in card.split("| pipelines |")[1].split(" of ")[0], "it runs twice"
    assert "`exact: bool = false`" in card
    assert "| source |" in card_of(Fuse)
    assert card_of(Fuse).splitlines()[0] == "| level | kernel |"
