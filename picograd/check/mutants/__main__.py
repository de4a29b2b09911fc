"""`python -m picograd.check.mutants`: run the mutants, or some of them, and show how they die."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.page import counts_in, with_table
from picograd.check.mutants.running import Run, run_all, run_here, spelled
from picograd.check.mutants.table import FAMILIES, MUTANTS
from picograd.errors import OptionError, PicogradError


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 when a mutant did not die as it should."""
    options = _parser().parse_args(arguments)
    try:
        mutants = [_named(name) for name in options.names] or list(MUTANTS.values())
        if options.child:
            print(spelled(run_here(_named(options.child), control=options.control)))
            return 0
        if options.list:
            for mutant in mutants:
                print(f"{mutant.name:34} {mutant.wrong}")
            return 0
        return _run(mutants, options.jobs, options.docs, control=not options.no_control)
    except PicogradError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m picograd.check.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MUTANT", help="by default all")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="show the mutants and run none")
    parser.add_argument(
        "--no-control", action="store_true", help="do not run the killers without a mutant"
    )
    parser.add_argument(
        "--docs", type=Path, metavar="PAGE", help="write the table with the numbers of this run"
    )
    parser.add_argument("--child", metavar="MUTANT", help=argparse.SUPPRESS)
    parser.add_argument("--control", action="store_true", help=argparse.SUPPRESS)
    return parser


def _named(name: str) -> Mutant:
    if name not in MUTANTS:
        raise OptionError(
            f"there is no mutant {name!r}",
            code="PG716",
            expected="one of those that --list shows",
            found=repr(name),
            hint="run `python -m picograd.check.mutants --list`",
        )
    return MUTANTS[name]


def _run(mutants: list[Mutant], jobs: int, docs: Path | None, *, control: bool) -> int:
    start, problems = time.perf_counter(), list[Run]()
    counts: dict[str, int] = {}
    for run in run_all(mutants, control=control, jobs=jobs):
        print(_line(run), flush=True)
        if run.problem:
            problems.append(run)
        elif not run.control:
            counts[run.mutant.name] = run.verdict.cases
    dead = len(counts)
    print(f"\n{dead} of {len(mutants)} mutants died as expected", end="")
    print(f", in {time.perf_counter() - start:.0f} s, {jobs} at a time")
    for run in problems:
        what = f"the killer of {run.mutant.name}" if run.control else run.mutant.name
        print(f"  {what}: {run.problem}")
    if docs is not None and not problems:
        text = docs.read_text(encoding="utf-8")
        docs.write_text(with_table(text, FAMILIES, counts_in(text) | counts), encoding="utf-8")
    return 1 if problems else 0


def _line(run: Run) -> str:
    verdict, mutant = run.verdict, run.mutant
    end = "PROBLEM" if run.problem else ("nothing found" if run.control else "died")
    name = f"(control) {mutant.killer.kind}" if run.control else mutant.name
    fault = "" if verdict.fault is None else verdict.fault.name
    said = run.problem or verdict.culprit
    return f"{end:13} {name:34} {fault:9} {verdict.cases:4} cases {run.seconds:5.1f} s  {said}"


if __name__ == "__main__":
    sys.exit(main())
