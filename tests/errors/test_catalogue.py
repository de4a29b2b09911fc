"""The catalogue of codes: complete, in order, and true."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import picograd
from picograd.cli.error_examples import run_example
from picograd.errors.catalogue import NOT_SHOWN, Entry, catalogue, chapters

PACKAGE = Path(picograd.__file__).parent
TESTS = Path(__file__).parents[1]
ENTRIES = list(catalogue().values())
CODE = re.compile(r"PG\d{3}")


def codes_in(file: Path) -> Iterator[str]:
    """The codes that a file of the package names in a text, docstrings left out."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if CODE.fullmatch(text) or text.startswith("picograd: [PG"):
                yield from CODE.findall(text)


RAISED = {code for file in PACKAGE.rglob("*.py") for code in codes_in(file)}


def test_every_code_that_is_raised_has_an_entry() -> None:
    assert RAISED - catalogue().keys() == set()


def test_every_entry_has_a_code_that_is_raised() -> None:
    assert catalogue().keys() - RAISED == set()


def test_codes_are_in_order_and_stand_in_the_file_of_their_hundred() -> None:
    written = [entry.code for chapter in chapters() for entry in chapter.entries]
    assert written == sorted(set(written))
    for chapter in chapters():
        assert {entry.code[2] for entry in chapter.entries} == {chapter.file.name[0]}
        assert chapter.title


def test_titles_are_not_repeated() -> None:
    titles = [entry.title for entry in ENTRIES]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_an_entry_has_all_its_parts(entry: Entry) -> None:
    meaning = entry.text.partition("\n\n")[0]
    assert len(meaning.split()) > 8
    assert meaning.rstrip().endswith((".", ":"))
    assert re.search(r"^To (help to )?mend it, ", entry.text, re.MULTILINE)
    prose = [line for line in entry.text.splitlines() if not line.startswith(("  ", "picograd: "))]
    assert max(map(len, prose)) <= 140


SHOWN = [entry for entry in ENTRIES if entry.has_example]


@pytest.mark.parametrize("entry", SHOWN, ids=lambda entry: entry.code)
def test_an_example_prints_what_its_entry_says(entry: Entry) -> None:
    assert NOT_SHOWN not in entry.text
    assert run_example(entry) == entry.printed, "`make docs-update` writes what is printed now"
    # The error is the last of what is printed: devices may have something to say before.
    assert f"[{entry.code}] " in entry.printed


@pytest.mark.parametrize(
    "entry", [one for one in ENTRIES if not one.has_example], ids=lambda entry: entry.code
)
def test_what_has_no_example_says_why_and_has_a_test(entry: Entry) -> None:
    assert NOT_SHOWN in " ".join(entry.text.split())
    files = [file for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    assert any(entry.code in file.read_text(encoding="utf-8") for file in files)


def test_few_entries_have_no_example() -> None:
    assert len(ENTRIES) - len(SHOWN) <= 10
