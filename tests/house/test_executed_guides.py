"""Guides that are executed: files are written, commands are run, and print what the page says.

In a page, a block with a title is a file (a second block of the same title is appended to it), a
block `sh` is run in the same folder, line by line, and what follows it under the title "prints"
stands in its output, line by line in this order. A block `python` without a title is a program. The
commands of a block with the mode "blames" end with 1: they look for a fault, and find it. The files
of docs/examples are there from the beginning.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
EXAMPLES = GUIDE.parent / "examples"
PAGES = (
    "checked-execution",
    "first-pass",
    "add-a-rule",
    "add-an-op",
    "blame",
    "fuzzing",
    "reduce",
    "judge-a-pass",
    "tune",
    "validation",
)

# A block may hold a docstring with blocks in it, so the end of one is a fence before a blank line
# or the end of the page, outside of triple quotes.
OPENING = re.compile(r'^```(\w+)(?: title="([^"]+)")?(?: mode="(\w+)")?$')
PROGRAMS = {
    "picograd": [sys.executable, "-m", "picograd"],
    "pytest": [sys.executable, "-m", "pytest"],
}


def blocks(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Language, title, mode and contents of the fenced blocks of a page."""
    lines = iter(text.splitlines())
    for line in lines:
        opening = OPENING.match(line)
        if opening is None:
            continue
        content: list[str] = []
        for inner in lines:
            quotes = "\n".join(content).count('"""')
            if inner == "```" and quotes % 2 == 0:
                break
            content.append(inner)
        yield opening[1], opening[2] or "", opening[3] or "", "\n".join(content) + "\n"


def run(words: list[str], folder: Path, status: int = 0) -> str:
    program, *rest = words
    command = [*PROGRAMS.get(program, [program]), *rest]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == status, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def in_order(expected: str, printed: str) -> bool:
    """Whether the lines stand in the output, in this order, each perhaps with more around it."""
    position = 0
    for line in expected.splitlines():
        found = printed.find(line.strip(), position)
        if found < 0:
            return False
        position = found + len(line.strip())
    return True


@pytest.mark.parametrize("page", PAGES)
def test_a_guide_does_what_it_says(page: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    printed, written = "", set[str]()
    ran = 0
    for language, title, mode, content in blocks((GUIDE / f"{page}.md").read_text("utf-8")):
        if title == "prints":
            assert in_order(content, printed), f"{content}\nis not what was printed:\n{printed}"
        elif title:
            append = title in written or mode == "append"
            with (tmp_path / title).open("a" if append else "w", encoding="utf-8") as file:
                file.write(content)
            written.add(title)
        elif language == "sh":
            lines = content.strip().splitlines()
            status = int(mode == "blames")
            printed = "".join(run(shlex.split(line), tmp_path, status) for line in lines)
            ran += len(lines)
        elif language == "python":
            (tmp_path / "program.py").write_text(content, encoding="utf-8")
            printed = run([sys.executable, "program.py"], tmp_path)
            ran += 1
    assert ran >= 2
