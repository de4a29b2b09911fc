"""`picograd explain`: what the code of an error means, with an example."""

import argparse
import re
import textwrap

from picograd.cli.commands import Commands, show_examples
from picograd.cli.files import UsageError
from picograd.compiler.spelling import nearest
from picograd.errors.catalogue import Entry, catalogue, chapters

WIDTH = 88

_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def add_parser(commands: Commands) -> None:
    """Add `explain` to the command."""
    parser = commands.add_parser(
        "explain",
        help="tell what the code of an error means",
        description="Tell what the code of an error means, why it is one, how it comes about and "
        "how to mend it; without a code, list all of them.",
    )
    parser.add_argument("code", nargs="?", help="such as PG103, which an error prints in brackets")
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "explain PG103                            a situation, an example, how to mend it",
        "explain                                  all codes with their titles",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    print(listing() if arguments.code is None else plain(find_entry(arguments.code)), end="")
    return 0


def find_entry(text: str) -> Entry:
    """The entry of a code, however it is written. Raises UsageError for one that is not there."""
    entries = catalogue()
    number = re.search(r"\d{3}", text)
    entry = entries.get(f"PG{number[0]}") if number else None
    if entry is None:
        raise UsageError(
            f"there is no error {text!r}",
            code="PG817",
            expected="a code such as PG103",
            found=repr(text),
            hint=nearest(text.upper(), list(entries)) or "`picograd explain` lists them",
        )
    return entry


def listing() -> str:
    """All codes with their titles."""
    parts = [
        "\n".join([chapter.title, *(f"  {one.code}  {one.title}" for one in chapter.entries)])
        for chapter in chapters()
    ]
    return "\n\n".join(parts) + "\n"


def plain(entry: Entry) -> str:
    """An entry for a terminal: lines that fit, and code without fences."""
    parts = [f"{entry.code}: {entry.title}"]
    # A part is a paragraph or a block; only blocks hold empty lines.
    for part in re.split(r"(^```.*?^```$)", entry.text, flags=re.DOTALL | re.MULTILINE):
        if part.startswith("```"):
            parts.append(_block(part))
        else:
            parts += [_paragraph(one) for one in part.split("\n\n") if one.strip()]
    return "\n\n".join(parts) + "\n"


def _block(text: str) -> str:
    opening, *lines = text.splitlines()[:-1]
    title = re.search(r'title="([^"]+)"', opening)
    code = textwrap.indent("\n".join(lines), "    ")
    return f"{title[1]}:\n\n{code}" if title else code


def _paragraph(text: str) -> str:
    plain = _LINK.sub(r"\1 (docs/\2)", " ".join(text.split()))
    return textwrap.fill(plain.replace("`", ""), WIDTH, break_on_hyphens=False)
