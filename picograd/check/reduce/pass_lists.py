"""Fewer passes, with fewer options: only what the failure needs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, replace

from picograd.check.oracle import NEEDED, Case, Failure, cause_of, names_for, rest_from
from picograd.check.reduce.chunks import fewest
from picograd.check.reduce.look import Endless, NativeCrash
from picograd.check.reduce.search import REFUSALS
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.inputs import fitted
from picograd.errors import CompileError
from picograd.passes import Pass
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of


def shorter_passes(case: Case, failure: Failure, same: Callable[[Case], bool]) -> Case:
    """The case with as few passes as go, and with their defaults for options.

    Where that fails too, what passes before the guilty one made of the module takes its place: of
    those only that stay on its level, so that it is not longer to read.
    """
    best = case

    def attempt(candidate: Case) -> bool:
        nonlocal best
        if candidate.passes == best.passes or not same(candidate):
            return False
        best = candidate
        return True

    def attempt_passes(passes: Sequence[Pass]) -> bool:
        candidate = replace(best, passes=Pipeline(passes))
        if isinstance(cause_of(failure.error), CompileError) and lacks(candidate, best.passes):
            return False
        return attempt(candidate)

    attempt_passes(best.passes[: failure.stage + 1])
    passes = tuple(best.passes)
    fewest(range(len(passes)), lambda kept: attempt_passes([passes[place] for place in kept]))
    right = len(best.passes) - (failure.stage < len(case.passes))
    if isinstance(failure.error, NativeCrash | Endless):
        right = 0  # which pass it is is not known, and this process must not run it
    for count in range(right, 0, -1):
        later = _after(best, count)
        if later is not None and attempt(later):
            break
    for place in range(len(best.passes)):
        for simpler in _simpler(best.passes[place]):
            attempt_passes([*best.passes[:place], simpler, *best.passes[place + 1 :]])
    return best


def lacks(case: Case, before: Sequence[Pass]) -> bool:
    """Whether a pass of `before` is gone without which the case's device takes nothing.

    It would say so then, whatever was wrong before. What such a pass does for another kind of
    machine does not count.
    """
    if case.device == "reference":
        return False
    level = case.passes[-1].level_out if case.passes else level_of(case.module)
    there = names_for((*case.passes, *rest_from(level, case.device)), case.device)
    return any(name in NEEDED and name not in there for name in names_for(before, case.device))


def _after(case: Case, count: int) -> Case | None:
    """The case that starts where so many passes end; None where that is another level."""
    module = case.module.clone()
    try:
        run_pipeline(module, case.passes[:count], facts=None)
        inputs = tuple(fitted(case.inputs, entry_of(module)))
    except REFUSALS:
        return None
    if level_of(module) != level_of(case.module):
        return None
    return replace(case, module=module, inputs=inputs, passes=Pipeline(case.passes[count:]))


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
