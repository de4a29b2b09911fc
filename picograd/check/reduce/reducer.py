"""The reducer: smaller and smaller cases that all fail in one way.

Rounds of cuts follow one another until none helps: passes, results, ops, sizes, ranks, dtypes,
numbers. A candidate counts only where the same fault is found in the same pass (or device), of a
crash the same kind of exception, and where the same rewrite is to blame: a wrong value never slips
into a crash, nor one rule's mistake into another's.

C-Reduce (J. Regehr and others, Test-Case Reduction for C Compiler Bugs, 2012) taught how: many
small cuts that know the language, one test of what is interesting, rounds until nothing helps.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp

from picograd.check.oracle import Case, Failure
from picograd.check.reduce.dtypes import simpler_dtypes
from picograd.check.reduce.fewer_kernels import fewer_kernels, fewer_stores
from picograd.check.reduce.fewer_ops import fewer_ops, fewer_results
from picograd.check.reduce.look import Look, Seen, look_at_twin, look_here
from picograd.check.reduce.pass_lists import shorter_passes
from picograd.check.reduce.ranks import lower_ranks
from picograd.check.reduce.search import REFUSALS, Fails, Program, Search
from picograd.check.reduce.sizes import all_sizes, smaller_sizes
from picograd.check.reduce.stand_ins import ops_by_constants, ops_by_operands
from picograd.check.reduce.values import simpler_values
from picograd.compiler.diagnostics import verify_module
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of, evaluate

Tell: TypeAlias = Callable[[str], None]
"""Who hears what is tried, in a line each time that something became smaller."""

PHASES: Sequence[tuple[str, Callable[[Search], None]]] = (
    ("fewer results", fewer_results),
    ("fewer ops", fewer_ops),
    ("fewer kernels", fewer_kernels),
    ("fewer stores", fewer_stores),
    ("operands in place of ops", ops_by_operands),
    ("constants in place of ops", ops_by_constants),
    ("smaller sizes", smaller_sizes),
    ("lower ranks", lower_ranks),
    ("simpler dtypes", simpler_dtypes),
    ("simpler numbers", simpler_values),
)


def _silence(line: str) -> None:
    """Nobody listens."""


def smaller(
    program: Program, fails: Fails, *, seconds: float = 60.0, tell: Tell = _silence
) -> Program:
    """A program that fails as the given one does, and that no single cut makes smaller.

    After `seconds` it is the smallest so far.
    """
    search = Search(program, fails, seconds)
    _rounds(search, tell)
    return search.best


def _rounds(search: Search, tell: Tell) -> bool:
    """Go through all phases until none helps; whether anything did."""
    start = search.best
    before = None
    while before is not search.best and not search.over:
        before = search.best
        for title, phase in PHASES:
            last = search.best
            phase(search)
            if search.best is not last:
                tell(f"{title}: {describe(search.best)}, {_tries(search)}")
    return search.best is not start


@dataclass(frozen=True)
class _Same:
    """Whether a case fails as the one does that is being reduced."""

    seen: Seen
    look: Look
    runs: bool
    """Whether the original can be evaluated before any pass: then every candidate must be."""

    def __call__(self, case: Case) -> bool:
        try:
            verify_module(case.module)
            if self.runs:
                evaluate(case.module, case.inputs)
            found = self.look(case, self.seen.failure)
        except REFUSALS:
            return False
        return found is not None and found.family == self.seen.family


def reduce(
    case: Case,
    failure: Failure,
    *,
    seconds: float = 60.0,
    tell: Tell = _silence,
    look: Look = look_here,
) -> Case:
    """A small case that fails as this one does. The case itself, where nothing can go.

    After `seconds`, or when the user interrupts it, it is the smallest so far. `look` says how a
    case fails: by default in this process, with `look_apart` in another one, which may crash. A
    large module gives way to its twin where that fails alike. Only in this process: passes run to
    find the twin.
    """
    small = look_at_twin(case, failure) if look is look_here else None
    if small is not None:
        case, seen = small[0].case, small[1]
        tell(f"on a twin: {describe(Program(case.module, case.inputs))}")
    else:
        seen = look(case, failure)
    if seen is None:
        return case
    same_failure = _Same(seen, look, _runs(case))
    best = case

    def same(candidate: Case) -> bool:
        try:
            return same_failure(candidate)
        except KeyboardInterrupt:
            tell("interrupted: this is the smallest so far")
            search.stop()
            return False

    def fails(module: ModuleOp, inputs: Sequence[Array]) -> bool:
        return same(replace(best, module=module, inputs=tuple(inputs)))

    search = Search(Program(case.module, case.inputs), fails, seconds)
    all_sizes(search)  # before all else: what follows is tried on little data
    if search.best.module is not case.module:
        best = replace(best, module=search.best.module, inputs=tuple(search.best.inputs))
        tell(f"smaller sizes: {describe(search.best)}, {_tries(search)}")
    progress = True
    while progress and not search.over:
        shorter = shorter_passes(best, seen.failure, partial(_in_time, search, same))
        progress = shorter is not best
        if progress:
            best = shorter
            search = search.continued(Program(best.module, best.inputs))
            tell(f"fewer passes: {best.passes or 'none'}")
        progress |= _rounds(search, tell)
        best = replace(best, module=search.best.module, inputs=tuple(search.best.inputs))
    return best


def _in_time(search: Search, same: Callable[[Case], bool], case: Case) -> bool:
    return not search.over and same(case)


def _tries(search: Search) -> str:
    return "1 try" if search.tries == 1 else f"{search.tries} tries"


def _runs(case: Case) -> bool:
    try:
        evaluate(case.module, case.inputs)
    except REFUSALS:
        return False
    return True


def describe(program: Program) -> str:
    """The size of a program in words."""
    module = program.module
    ops = count_ops(module)
    function = entry_of(module)
    elements = sum(array.size for array in program.inputs)
    return (
        f"{ops} op{'s' * (ops != 1)}, {len(function.args)} "
        f"argument{'s' * (len(function.args) != 1)}, {elements} "
        f"element{'s' * (elements != 1)} of input"
    )


def count_ops(module: ModuleOp) -> int:
    """How many ops a module holds that compute or act: no functions, kernels and terminators."""
    return sum(1 for op in module.walk() if not op.regions and not _ends(op.name))


def _ends(name: str) -> bool:
    return name.endswith((".return", ".yield"))
