"""`picograd bench cpu`: beside other libraries, and beside what the machine can do."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from picograd.backends.runtime import device as find_device
from picograd.cli.bench_cpu_report import (
    Neighbourhood,
    as_data,
    figure,
    near_data,
    report,
    report_memory,
    report_near,
    spell_threads,
)
from picograd.cli.bench_options import (
    Benchmarks,
    clock_option,
    json_option,
    peers_option,
    plot_option,
    rounds_option,
    size_number,
)
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import progress
from picograd.errors import OptionError
from picograd.study.benches.cpu import rows as bench_rows
from picograd.study.benches.cpu.contenders import PEERS, PICOGRAD, Contender, chosen
from picograd.study.benches.cpu.conversation import LostError
from picograd.study.benches.cpu.rows import Row, neighbours, select
from picograd.study.benches.cpu.session import CLOCKS, QUICK, Effort, Result, Session
from picograd.study.benches.plots import check_plot, write_plot


def add_cpu(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench cpu`."""
    help_text = "the CPU beside other libraries and beside the machine's limits"
    parser = benchmarks.add_parser("cpu", help=help_text, description=help_text)
    peers_option(parser, PEERS)
    parser.add_argument(
        "--threads",
        type=thread_counts,
        default=(1,),
        metavar="N,N",
        help="measure on so many threads, each count in turn (1)",
    )
    parser.add_argument(
        "--rows", nargs="+", default=(), metavar="NAME", help="rows whose names contain one (all)"
    )
    rounds_option(parser, Effort.rounds, quick=True)
    clock_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the operands (%(default)s)")
    parser.add_argument(
        "--off-grid", action="store_true", help="each size one off and at three quarters, instead"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"a look: fewer rows, {QUICK.rounds} rounds"
    )
    json_option(parser)
    plot_option(parser)
    show_examples(
        parser,
        "bench cpu --quick --peers numpy",
        "bench cpu --threads 1,2 --json cpu.json --plot cpu.svg",
        "bench cpu --rows softmax 'matmul 1024' --off-grid",
    )
    return parser


def thread_counts(text: str) -> tuple[int, ...]:
    """Numbers of threads on the command line. Raises ArgumentTypeError for what spells none."""
    return tuple(dict.fromkeys(size_number(part) for part in text.split(",")))


def chosen_rows(arguments: argparse.Namespace) -> list[Row]:
    """The rows that are asked for. Raises OptionError for words that no row's name has."""
    known = [*bench_rows.ROWS, bench_rows.MEMORY]
    for word in arguments.rows:
        if not select([word], known):
            raise OptionError(
                f"no row of the benchmark is called {word!r}",
                code="PG801",
                expected="a part of one of: " + "; ".join(row.name for row in known),
                found=repr(word),
                hint="quote names that have spaces: --rows 'matmul 512'",
            )
    rows = select(arguments.rows, known)
    # What is named is measured, a quick look or not.
    return [row for row in rows if row.quick or arguments.rows or not arguments.quick]


def run_cpu(arguments: argparse.Namespace) -> int:
    """`picograd bench cpu`."""
    if arguments.plot is not None:
        check_plot(arguments.plot)
    if arguments.clock != CLOCKS[0] and max(arguments.threads) > 1:
        raise OptionError(
            "the processors' clock tells nothing of several threads",
            code="PG817",
            expected=f"--clock {CLOCKS[0]}, or --threads 1",
            found=f"--clock {arguments.clock} --threads {','.join(map(str, arguments.threads))}",
            hint="it adds up what they do at the same time",
        )
    rows = chosen_rows(arguments)
    with_memory = bench_rows.MEMORY in rows and not arguments.off_grid
    rows = [row for row in rows if row != bench_rows.MEMORY]
    effort = QUICK if arguments.quick else Effort()
    effort = replace(effort, rounds=arguments.rounds or effort.rounds, clock=arguments.clock)
    contenders, absent = chosen(() if arguments.off_grid else arguments.peers)
    adapter = find_device("cpu").adapter
    print(f"The CPU beside other libraries: {adapter}; medians of {effort.rounds} rounds")
    for name, reason in absent.items():
        print(f"{name} takes no part: {reason}")
    found: list[dict[str, object]] = []
    data: dict[str, object] = {
        "machine": machine(),
        "versions": {},
        "seed": arguments.seed,
        "effort": asdict(effort),
        "absent": absent,
        "environments": {one.name: dict(one.environment) for one in contenders},
        "rows": found,
    }

    def keep(row: dict[str, object]) -> None:
        found.append(row)
        write_json(arguments.json, {"cpu": data})  # a long run may be interrupted

    everything: list[Result] = []
    versions: dict[str, str] = {}
    for threads in arguments.threads:
        with Session(contenders, threads, effort, arguments.seed) as session:
            if arguments.off_grid:
                report_near(measure_near(session, rows, keep), threads)
            elif rows:
                results = measure(session, rows, keep)
                report(results, threads, [one.name for one in contenders])
                everything += results
            if with_memory:
                with_memory = False  # once, on the first number of threads
                data["peak memory"] = measure_memory(session, contenders)
            data["versions"] = versions = {**versions, **session.versions}
    write_json(arguments.json, {"cpu": data})
    if arguments.plot is not None and everything:
        write_plot(figure(everything, adapter), arguments.plot)
    return 0


def machine() -> dict[str, object]:
    """Where this runs."""
    cpu = find_device("cpu")
    return {
        "processor": cpu.adapter,
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **dict(cpu.details()),
    }


def measure(
    session: Session, rows: Sequence[Row], keep: Callable[[dict[str, object]], None]
) -> list[Result]:
    """The rows, one after another; `keep` is given the data of each."""
    results: list[Result] = []
    with progress(f"rows, {spell_threads(session.threads)}", len(rows)) as bar:
        for row in rows:
            results.append(session.measure(row))
            keep(as_data(results[-1]))
            bar.advance(row.name)
    return results


def measure_near(
    session: Session, rows: Sequence[Row], keep: Callable[[dict[str, object]], None]
) -> list[Neighbourhood]:
    """The rows, each with its neighbours; `keep` is given the data of each."""
    found: list[Neighbourhood] = []
    with progress(f"rows, {spell_threads(session.threads)}", len(rows)) as bar:
        for row in rows:
            first, *around = session.measure_together([row, *neighbours(row)], [PICOGRAD])
            found.append(Neighbourhood(first, around))
            keep(near_data(found[-1]))
            bar.advance(row.name)
    return found


def measure_memory(session: Session, contenders: Sequence[Contender]) -> dict[str, int]:
    """Peaks of memory of picograd and of the libraries as installed."""
    row = bench_rows.MEMORY
    peaks: dict[str, int] = {}
    lost: dict[str, str] = {}
    for one in contenders:
        if not one.environment or one.name == one.module:
            try:
                peaks[one.name] = session.peak_memory(row, one)
            except LostError as error:
                lost[one.name] = str(error)
    report_memory(peaks, lost, row.name)
    return peaks
