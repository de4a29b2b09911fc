"""Fills the generated parts of the documentation from the code's docstrings.

A page holds pairs of markers; what stands between them is generated, the rest is written by hand:

    <!-- example: begin -->      on docs/passes/NAME.md: the pass's example
    <!-- example: end -->

    <!-- grammar: begin -->      on docs/levels/NAME.md: the docstring of the level's dialect
    <!-- grammar: end -->

`make docs-update` rewrites the pages; a test fails when one of them is out of date.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from picograd.dialects import buffer, kernel, loop, tensor
from picograd.errors import PicogradError
from picograd.passes import PASSES
from picograd.study.pass_docs import read_pass_docs

LEVELS: dict[str, ModuleType] = {
    "tensor": tensor,
    "kernel": kernel,
    "buffer": buffer,
    "loop": loop,
}


# A run of indented lines, with the blank lines inside it.
_INDENTED = re.compile(r"^ {4}.*\n(?:^ {4}.*\n|^\n(?= {4}))*", re.MULTILINE)


class PageError(PicogradError):
    """A documentation page without its markers."""


def updated_pages(docs: Path) -> Iterator[tuple[Path, str]]:
    """Every page with a generated part, and the text that it ought to have."""
    for name, step in PASSES.items():
        page = docs / "passes" / f"{name}.md"
        yield page, fill(page, "example", read_pass_docs(step).example())
    for name, dialect in LEVELS.items():
        page = docs / "levels" / f"{name}.md"
        yield page, fill(page, "grammar", fence_code(inspect.getdoc(dialect) or ""))


def fill(page: Path, region: str, content: str) -> str:
    """The page's text with `content` between the region's markers. Raises PageError."""
    begin, end = f"<!-- {region}: begin -->", f"<!-- {region}: end -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise PageError(
            f"{page} has no place for the {region}",
            expected=f"the markers {begin} and {end}",
            found="a page without them" if text else "no such page",
            hint="add them where the text speaks of it, then run `make docs-update`",
        )
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def fence_code(docstring: str) -> str:
    """A docstring as Markdown: its indented blocks fenced, IR marked as such."""

    def fenced(block: re.Match[str]) -> str:
        code = textwrap.dedent(block.group()).strip("\n")
        language = "mlir" if code.startswith(("func.func", "loop.kernel")) else "text"
        return f"```{language}\n{code}\n```\n"

    return _INDENTED.sub(fenced, docstring + "\n")
