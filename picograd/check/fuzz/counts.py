"""What a fuzzing run has seen, in numbers: tables of counters that can be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field

from picograd.quick_dataclasses import dataclass

TABLES = (
    "cases",  # programs that were run, by device
    "themes",
    "flavours",
    "passes",  # runs of passes, by name
    "changed",  # of those: the ones that changed their module
    "named",  # programs that they changed, by pass that every case shall run
    "rules",  # applications of rewrites, by name
    "kernels",  # that were run, by device
    "ops",  # of programs, by class, kind and dtype
    "elements",  # "compared", and of those "undetermined"
    "checked",  # cases whose code ran with its memory checked, by device
    "undecided",  # cases in which more than 1 % of the elements may be one way or the other
    "refused",  # by device and reason
    "failures",  # by family
)


@dataclass
class Counts:
    """Counters by table and name."""

    tables: dict[str, Counter[str]] = field(default_factory=lambda: {t: Counter() for t in TABLES})

    def count(self, table: str, name: str, number: int = 1) -> None:
        """Count something once, or so many times."""
        self.tables[table][name] += number

    def add(self, other: Counts) -> None:
        """Add what somebody else has counted."""
        for name, table in other.tables.items():
            self.tables[name].update(table)

    def total(self, table: str) -> int:
        """All of a table."""
        return self.tables[table].total()

    def share(self, table: str) -> float:
        """How many of the cases are in a table: 0.0 to 1.0."""
        return self.total(table) / max(1, self.total("cases"))

    def as_data(self) -> Mapping[str, Mapping[str, int]]:
        """For JSON: the most frequent of each table first."""
        return {name: dict(table.most_common()) for name, table in self.tables.items()}
