"""The table of mutants as Markdown, in a page that keeps how many cases each took to die."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from picograd.check.mutants.mutant import Mutant
from picograd.errors import OptionError

_BEGIN, _END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
_COUNT = re.compile(r"^\| `(?P<name>\w+)` \|.*\| (?P<count>\d+) \|$", re.MULTILINE)

UNKNOWN = "not run yet"


def table(families: Mapping[str, Sequence[Mutant]], counts: Mapping[str, int]) -> str:
    """A table for each family; `counts` are the cases until each mutant's death."""
    parts: list[str] = []
    for title, mutants in families.items():
        rows = [
            f"### {title}",
            "",
            "| mutant | function | what is wrong | the change | killer | seen as | cases |",
            "|---|---|---|---|---|---|---|",
            *(_row(mutant, counts.get(mutant.name)) for mutant in mutants),
            "",
        ]
        parts.append("\n".join(rows))
    return "\n".join(parts).strip()


def _row(mutant: Mutant, count: int | None) -> str:
    where = mutant.target.removeprefix("picograd.").replace(":", ": ")
    change = f"{_code(mutant.old)} → {_code(mutant.new)}"
    killer = f"{mutant.killer.kind}: {mutant.killer}"
    seen = mutant.fault.name + (f", blamed on `{mutant.blames}`" if mutant.blames else "")
    cells = (f"`{mutant.name}`", f"`{where}`", mutant.wrong, change, killer, seen)
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} | {UNKNOWN if count is None else count} |"


def _code(text: str) -> str:
    """A passage of a program in one line."""
    line = " ".join(text.split())
    return f"`{line}`" if line else "nothing"


def counts_in(text: str) -> dict[str, int]:
    """The cases until each mutant's death, as a page has them."""
    return {found["name"]: int(found["count"]) for found in _COUNT.finditer(text)}


def with_table(
    text: str, families: Mapping[str, Sequence[Mutant]], counts: Mapping[str, int]
) -> str:
    """The text of the page with the table in its place. Raises OptionError."""
    before, found, rest = text.partition(_BEGIN)
    _, also_found, after = rest.partition(_END)
    if not found or not also_found:
        raise OptionError(
            "the page has no place for the table of mutants",
            code="PG714",
            expected=f"the markers {_BEGIN} and {_END}",
            found="a page without them",
            hint="add them where the text speaks of the table",
        )
    return f"{before}{_BEGIN}\n\n{table(families, counts)}\n\n{_END}{after}"
