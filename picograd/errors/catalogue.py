"""The codes: what each means, an example that shows it, and how to mend it.

The entries are Markdown, in `entries/`, a file for each hundred. They are written once: the page on
errors is made of them, `picograd explain` prints them, and a test triggers their examples.

    ## PG103: Sizes that are summed over differ        the code and a title

    What it means, and why: text.

    ```python                                          a program that raises the error, or files
    ```                                                with titles, and commands in a block `sh`

    ```text title="prints"                             what is printed: `make docs-update` fills it
    ```

    To mend it, …
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from picograd.quick_dataclasses import dataclass

ENTRIES = Path(__file__).parent / "entries"
"""The folder of the entries, part of the package."""

NOT_SHOWN = "Not shown here:"
"""What an entry says instead of an example, with the reason."""

_HEADING = re.compile(r"^## (PG\d{3}): (.+)$", re.MULTILINE)
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of an entry: a program, a file, commands, or what they print."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A code, the situation that it names, and the Markdown that tells about it."""

    code: str
    title: str
    text: str

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The example: files, programs and commands, and what is printed."""
        return tuple(Block(*found) for found in _BLOCK.findall(self.text))

    @property
    def printed(self) -> str:
        """What the example prints, as the entry shows it."""
        return "".join(block.text for block in self.blocks if block.title == "prints")

    @property
    def has_example(self) -> bool:
        """Whether the entry shows how the error comes about; otherwise it says why not."""
        return any(block.title != "prints" for block in self.blocks)


@dataclass(frozen=True)
class Chapter:
    """The entries of one hundred, and what they have in common."""

    file: Path
    title: str
    entries: tuple[Entry, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """All entries, in the order of their codes."""
    return tuple(_read(file) for file in sorted(ENTRIES.glob("*.md")))


def catalogue() -> Mapping[str, Entry]:
    """The entries by their codes."""
    return {entry.code: entry for chapter in chapters() for entry in chapter.entries}


def _read(file: Path) -> Chapter:
    heading, *parts = _HEADING.split(file.read_text(encoding="utf-8"))
    return Chapter(file, heading.strip().removeprefix("# "), tuple(_entries(parts)))


def _entries(parts: list[str]) -> Iterator[Entry]:
    for code, title, text in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        yield Entry(code, title, text.strip() + "\n")
