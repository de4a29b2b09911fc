"""What the page on errors shows of the catalogue of codes."""

from collections.abc import Iterator

from picograd.errors.catalogue import Entry, catalogue, chapters

SAMPLE = "PG103"
"""The error that the page begins with."""


def sample() -> str:
    """A program, and what it prints."""
    program, printed = catalogue()[SAMPLE].blocks
    return f'```python title="example.py"\n{program.text}```\n\n```text\n{printed.text}```'


def entries() -> str:
    """All entries, chapter by chapter, each with an anchor of the code's name."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for chapter in chapters():
        yield f"## {chapter.title}\n"
        for entry in chapter.entries:
            yield from _section(entry)


def _section(entry: Entry) -> Iterator[str]:
    yield f"### {entry.code}: {entry.title} {{#{entry.code}}}\n"
    yield entry.text
