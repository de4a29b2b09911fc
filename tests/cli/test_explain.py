"""`picograd explain`: an entry of the catalogue, for a terminal."""

import pytest

from picograd.cli.explain import WIDTH, plain
from picograd.cli.main import EXIT_MISTAKE, main
from picograd.errors.catalogue import Entry, catalogue


@pytest.mark.parametrize("written", ["PG103", "pg103", "103", "[PG103]"])
def test_a_code_is_explained(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", written]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("PG103: ")
    assert "    y = x @ w\n" in printed
    assert "    [PG103] matmul: the inner sizes differ\n" in printed


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    printed = capsys.readouterr().out
    for entry in catalogue().values():
        assert f"  {entry.code}  {entry.title}\n" in printed


def test_an_unknown_code_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "PG000"]) == EXIT_MISTAKE
    assert "[PG817] there is no error 'PG000'" in capsys.readouterr().err


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.code)
def test_an_entry_fits_a_terminal_and_shows_no_markup(entry: Entry) -> None:
    prose = [line for line in plain(entry).splitlines() if not line.startswith("    ")]
    assert max(map(len, prose)) <= WIDTH
    assert not [line for line in prose if "```" in line or "](" in line]
