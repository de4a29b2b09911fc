"""`picograd reduce`: a small module that fails as a large one does."""

import argparse
import sys
from pathlib import Path

from picograd.check.oracle import Case, Failure
from picograd.check.reduce.look import Look, look_apart, look_at_twin, look_here
from picograd.check.reduce.reducer import count_ops, describe, reduce
from picograd.check.reduce.report import as_mlir, as_pytest, in_words
from picograd.check.reduce.search import Program
from picograd.cli.cases import Given, add_case_options, read_given, refusal_of
from picograd.cli.commands import Commands, show_examples
from picograd.cli.values import new_folder, seconds

MODULE, TEST = "reduced.mlir", "reduced_test.py"
EXIT_REDUCED = 1


def add_parser(commands: Commands) -> None:
    """Add `reduce` to the command."""
    parser = commands.add_parser(
        "reduce",
        help="make a failing module small",
        description="Run passes on a module, and on a device what they leave. Where something "
        "goes wrong (a crash, wrong IR, wrong values), cut the module down while the same goes "
        f"wrong for the same reason, and write {MODULE} and {TEST}, a test that fails until "
        "the fault is mended. Ends with 1 where something goes wrong, and says so where nothing "
        "does.",
    )
    add_case_options(parser)
    parser.add_argument(
        "--seconds", type=seconds, default=60.0, help="how long it may take (%(default)g)"
    )
    parser.add_argument(
        "--isolate",
        type=seconds,
        metavar="SECONDS",
        help="run each case in a process of its own, for what ends the process, or takes longer",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=new_folder,
        default="picograd-reduced",
        metavar="DIR",
        help="the folder for the files (%(default)s)",
    )
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "reduce model.mlir --load my_pass.py --passes canonicalize,my_pass",
        "reduce model.py:layer --device cpu --seconds 120 -o reduced",
        "reduce model.mlir --device cpu --isolate 10",
        "reduce failure.mlir                      a file that fuzz or reduce has written",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    given = read_given(arguments)
    look = look_here if arguments.isolate is None else look_apart(arguments.isolate)
    found = _first_on_a_twin(given) if arguments.isolate is None else None
    where = "on a twin: " if found is not None else ""
    found = found or _first_failure(given, look)
    if found is None:
        refused = "" if arguments.isolate is not None else refusal_of(given)
        words = f"The program is refused: {refused}" if refused else "Nothing goes wrong"
        print(f"{words}, so there is nothing to reduce.")
        return 0
    case, failure = found
    before = Program(case.module, case.inputs)
    print(f"{where}{failure.culprit}: {failure.fault}")
    print(f"  at first: {describe(before)}", file=sys.stderr)
    small = reduce(case, failure, seconds=arguments.seconds, tell=_tell, look=look)
    seen = look(small, failure)
    left = failure if seen is None else seen.failure
    print(_outcome(case, small))
    if seen is not None and seen.family:
        print(f"blame:    {seen.family}")
    print(in_words(small, left))
    _write(arguments, given, small, left)
    return EXIT_REDUCED


def _outcome(case: Case, small: Case) -> str:
    if small is case or str(small.module) == str(case.module):
        return "It is as small as it gets."
    ops, fewer = count_ops(case.module), count_ops(small.module)
    return f"reduced:  from {ops} to {fewer} op{'s' * (fewer != 1)}"


def _first_on_a_twin(given: Given) -> tuple[Case, Failure] | None:
    """A case on the twin of a large module, and how it fails; None where modules are small."""
    for case in given.cases:
        found = look_at_twin(case)
        if found is not None:
            return found[0].case, found[1].failure
    return None


def _first_failure(given: Given, look: Look) -> tuple[Case, Failure] | None:
    for case in given.cases:
        seen = look(case, None)
        if seen is not None:
            return case, seen.failure
    return None


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr)


def _write(arguments: argparse.Namespace, given: Given, case: Case, failure: Failure) -> None:
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    module = as_mlir(case, failure, seed=given.seed, loads=given.loads, folder=folder)
    (folder / MODULE).write_text(module, encoding="utf-8")
    test = as_pytest(
        case,
        failure,
        seed=given.seed,
        loads=given.loads,
        folder=folder,
        name=TEST,
        isolate=arguments.isolate,
    )
    (folder / TEST).write_text(test, encoding="utf-8")
    print(f"{folder / MODULE}  the module, with all that the failure needs")
    print(f"{folder / TEST}  fails until it is mended: pytest {folder / TEST}")
