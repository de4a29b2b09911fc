"""Fewer results and ops at tensor and kernel level, taken away in chunks."""

from collections.abc import Sequence
from contextlib import suppress

from picograd.check.reduce.chunks import fewest
from picograd.check.reduce.excerpt import (
    Values,
    excerpt,
    needed_for,
    ops_of,
    returned_by,
    values_of,
)
from picograd.check.reduce.search import REFUSALS, Search
from picograd.passes import Level
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of


def fewer_results(search: Search) -> None:
    """Return fewer values; what was computed for the others only is not needed then."""
    if level_of(search.best.module) not in (Level.TENSOR, Level.KERNEL):
        return
    base = search.best
    function = entry_of(base.module)

    def only(positions: Sequence[int]) -> bool:
        needed = needed_for(function, positions)
        everything = range(len(ops_of(function)))
        return search.accept(
            lambda: excerpt(base, needed, {}, positions=positions)
        ) or search.accept(lambda: excerpt(base, everything, {}, positions=positions))

    fewest(range(len(returned_by(function))), only)


def fewer_ops(search: Search) -> None:
    """Take ops away; arguments hold what they computed. What nobody reads goes first."""
    if level_of(search.best.module) not in (Level.TENSOR, Level.KERNEL):
        return
    first = search.best
    search.accept(lambda: excerpt(first, range(len(ops_of(entry_of(first.module)))), {}))
    base = search.best
    numbers = range(len(ops_of(entry_of(base.module))))
    values: Values = {}
    with suppress(*REFUSALS):  # if it cannot be run, only ops go of which nobody reads anything
        values = values_of(base)
    fewest(numbers, lambda kept: search.accept(lambda: excerpt(base, kept, values)))
