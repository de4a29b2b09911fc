"""The page of functions: what the table of functions says of each, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from picograd.check.functions.cases import completed
from picograd.check.functions.running import seed_of
from picograd.check.functions.table import Function
from picograd.semantics.accuracy import ACCURACY


def full_name(name: str) -> str:
    """The function's name alone: "torch.pow" of "torch.pow, 2" and "torch.add in every dtype"."""
    return name.partition(",")[0].partition(" ")[0]


def base_name(name: str) -> str:
    """What rows of one function have in common: "exp" of "torch.exp" and "Tensor.exp_".

    The form in place ends in an underscore; operators keep theirs.
    """
    last = full_name(name).partition(".")[2]
    return last if last.endswith("__") else last.rstrip("_")


def grouped(rows: Iterable[Function]) -> dict[str, list[Function]]:
    """The rows of each function, in order."""
    groups: dict[str, list[Function]] = {}
    for row in rows:
        groups.setdefault(base_name(row.name), []).append(row)
    return groups


def samples_in(rows: Iterable[Function]) -> int:
    """How many cases and mistakes the rows hold."""
    return sum(len(completed(row.cases, seed_of(row))) + len(row.errors) for row in rows)


def function_tables(families: Mapping[str, Sequence[Function]]) -> str:
    """A sentence of totals, and a table for each family."""
    rows = [row for family in families.values() for row in family]
    mistakes = sum(len(row.errors) for row in rows)
    total = f"{len(grouped(rows))} functions, {samples_in(rows)} samples"
    parts = [f"{total} of which {mistakes} are mistakes."]
    for title, family in families.items():
        parts += [f"## {title}", "\n".join(_table(family))]
    return "\n\n".join(parts)


def _table(family: Sequence[Function]) -> Iterator[str]:
    yield "| function | devices | gradient | samples | differs from PyTorch |"
    yield "|---|---|---|---|---|"
    for rows in grouped(family).values():
        names = dict.fromkeys(name for row in rows for name in (full_name(row.name), *row.also))
        devices = [d for d in ACCURACY if any(d not in row.devices for row in rows)]
        cells = [
            " ".join(f"`{name}`" for name in names),
            "all" if len(devices) == len(ACCURACY) else ", ".join(devices),
            "yes" if any(row.differentiable for row in rows) else "no",
            str(samples_in(rows)),
            " ".join(dict.fromkeys(row.differences for row in rows if row.differences)),
        ]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
