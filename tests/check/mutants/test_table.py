"""The table of mutants: large, varied, and on its page."""

import re
from collections import Counter
from pathlib import Path

import pytest

from picograd.check.mutants.page import UNKNOWN, counts_in, with_table
from picograd.check.mutants.running import run_apart
from picograd.check.mutants.table import FAMILIES, MUTANTS
from picograd.errors import OptionError

PAGE = Path(__file__).parents[3] / "docs" / "mutants.md"

# Of each killer and of each part of the compiler some, and quick ones; `make mutants` runs all.
SAMPLE = (
    "cse_ignores_a_property",
    "overwritten_before_its_last_reader",
    "transposed_operand",
    "tail_overrun",
    "sum_in_half_precision",
    "unused_lanes_count",
)


def test_there_are_many_and_of_all_parts() -> None:
    assert len(MUTANTS) == sum(map(len, FAMILIES.values())) >= 60
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in MUTANTS)
    assert len({mutant.wrong + mutant.target for mutant in MUTANTS.values()}) == len(MUTANTS)
    kinds = Counter(mutant.killer.kind for mutant in MUTANTS.values())
    assert min(kinds.values()) >= 2 and len(kinds) == 5, kinds
    assert all(str(mutant.killer) for mutant in MUTANTS.values())


@pytest.mark.parametrize("name", SAMPLE)
def test_mutants_die_as_expected(name: str) -> None:
    assert run_apart(MUTANTS[name]).problem == ""


def test_the_page_tells_of_each_when_it_died() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert UNKNOWN not in text, "run python -m picograd.check.mutants --docs docs/mutants.md"
    assert counts_in(text).keys() == MUTANTS.keys()


def test_numbers_survive_writing_the_page_anew() -> None:
    empty = "before\n<!-- mutants: begin -->\n<!-- mutants: end -->\nafter"
    counts = {name: number for number, name in enumerate(MUTANTS, 1)}
    text = with_table(empty, FAMILIES, counts)
    assert counts_in(text) == counts
    assert with_table(text, FAMILIES, counts_in(text)) == text
    assert text.startswith("before") and text.endswith("after")
    with pytest.raises(OptionError, match="no place"):
        with_table("no markers", FAMILIES, counts)
