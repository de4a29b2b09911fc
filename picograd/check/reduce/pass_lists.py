"""Fewer passes, with fewer options: only what the failure needs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, replace

from picograd.check.oracle import Case
from picograd.check.reduce.chunks import fewest
from picograd.compiler.pass_list import Pipeline
from picograd.passes import Pass


def shorter_passes(case: Case, stage: int, same: Callable[[Case], bool]) -> Case:
    """The case with as few passes as go, and with their defaults for options.

    `stage` is the place of the pass that fails, or the number of passes for the back end.
    """
    best = case

    def try_passes(passes: Sequence[Pass]) -> bool:
        nonlocal best
        candidate = replace(case, passes=Pipeline(passes))
        if candidate.passes == best.passes or not same(candidate):
            return False
        best = candidate
        return True

    try_passes(case.passes[: stage + 1])
    passes = tuple(best.passes)
    fewest(range(len(passes)), lambda kept: try_passes([passes[place] for place in kept]))
    for place in range(len(best.passes)):
        for simpler in _simpler(best.passes[place]):
            try_passes([*best.passes[:place], simpler, *best.passes[place + 1 :]])
    return best


def _simpler(step: Pass) -> Iterator[Pass]:
    """The pass with the defaults of all its options, then of one after the other."""
    defaults = {
        option.name: option.default
        for option in fields(step)
        if option.default is not MISSING and getattr(step, option.name) != option.default
    }
    if len(defaults) > 1:
        yield replace(step, **defaults)
    for name, default in defaults.items():
        yield replace(step, **{name: default})
