"""The examples of the catalogue of errors, run: what does an entry's program or command print?"""

import contextlib
import io
import linecache
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from picograd.cli.main import main
from picograd.errors import PicogradError
from picograd.errors.catalogue import Entry, chapters

PROGRAM = "example.py"
"""What a program without a title is called."""

_LAST_BLOCK = re.compile(r"(.*^```$\n)", re.DOTALL | re.MULTILINE)
_PRINTED = re.compile(r'\n```text title="prints"\n.*?^```$\n', re.DOTALL | re.MULTILINE)


def run_example(entry: Entry) -> str:
    """What the example of an entry prints, in a folder of its own.

    A program prints the error that it raises, and so does a command. Raises PicogradError for an
    example that raises no error.
    """
    errors = [error for error in _errors_of(entry) if error]
    if not errors:
        raise PicogradError(
            f"the example of {entry.code} runs without an error",
            code="PG714",
            expected=f"a program or a command that raises {entry.code}",
            found="none",
            hint="correct the example in its file of picograd/errors/entries",
        )
    return "".join(errors)


def _errors_of(entry: Entry) -> Iterator[str]:
    silent = io.StringIO()
    with (
        TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(silent),
    ):
        for block in entry.blocks:
            if block.language == "sh":
                for line in block.text.splitlines():
                    yield _command(line).replace(f"{folder}/", "")
            elif block.title != "prints":
                file = Path(block.title or PROGRAM)
                file.write_text(block.text, encoding="utf-8")
                if not block.title:
                    yield _program(Path(folder) / file).replace(f"{folder}/", "")


def _command(line: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        main(shlex.split(line)[1:])
    # What stands before the error tells how long things took.
    _, mark, error = printed.getvalue().partition("picograd: error: ")
    return mark + error


def _program(file: Path) -> str:
    linecache.checkcache(str(file))
    try:
        runpy.run_path(str(file))
    except PicogradError as error:
        return f"{error}\n"
    return ""


def with_printed(text: str, printed: str) -> str:
    """The text of an entry with another block under the title "prints", behind its example."""
    bare = _PRINTED.sub("", text)
    block = f'\n```text title="prints"\n{printed}```\n'
    return _LAST_BLOCK.sub(lambda found: found.group(1) + block, bare, count=1)


def updated_entries() -> Iterator[tuple[Path, str]]:
    """Every file of entries, and the text that it ought to have: its examples as they print now."""
    for chapter in chapters():
        parts = [f"# {chapter.title}\n"]
        for entry in chapter.entries:
            text = with_printed(entry.text, run_example(entry)) if entry.has_example else entry.text
            parts.append(f"\n## {entry.code}: {entry.title}\n\n{text}")
        yield chapter.file, "".join(parts)
