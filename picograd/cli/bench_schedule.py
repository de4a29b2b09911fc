"""`picograd bench schedule`: how fast a program is after each step of its schedule."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from picograd.backends.runtime import device as find_device
from picograd.cli.bench_cpu_report import spell_times, times_data
from picograd.cli.bench_options import Benchmarks, clock_option, json_option, rounds_option
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table
from picograd.errors import OptionError
from picograd.study.benches import schedules
from picograd.study.benches.schedules import Measured, Schedule, measure, steps_of
from picograd.study.documentation.pages import fill
from picograd.study.documentation.schedule_pages import (
    LESS,
    SPEED,
    less_table,
    page_of,
    speed_table,
)


def add_schedule(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench schedule`."""
    help_text = "what each pass of a schedule buys: a matrix product, a softmax"
    parser = benchmarks.add_parser("schedule", help=help_text, description=help_text)
    parser.add_argument(
        "programs",
        nargs="*",
        metavar="PROGRAM",
        help=f"some of {', '.join(schedules.SCHEDULES)} (all)",
    )
    rounds_option(parser, 9, "step")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="FOLDER",
        help="write the tables into the pages about schedules, such as those in docs/guide",
    )
    clock_option(parser)
    json_option(parser)
    show_examples(
        parser,
        "bench schedule",
        "bench schedule softmax --rounds 25 --json softmax.json",
        "bench schedule --docs docs/guide",
    )
    return parser


def run_schedule(arguments: argparse.Namespace) -> int:
    """`picograd bench schedule`."""
    adapter = find_device("cpu").adapter
    print(f"Schedules, pass by pass, on one thread: {adapter}")
    found: dict[str, object] = {}
    for name in chosen(arguments.programs):
        schedule = schedules.SCHEDULES[name]
        page = None if arguments.docs is None else arguments.docs / page_of(name)
        if page is not None:
            fill_tables(page, "", "")  # ask before measuring
        measured = measure(schedule, schedule.sizes, arguments.rounds, clock=arguments.clock)
        report(name, schedule, measured)
        found[name] = as_data(schedule, measured)
        if page is not None:
            clock = "wall's" if arguments.clock == "wall" else "processor's"
            where = (
                f"Measured by `picograd bench schedule` on one thread of: {adapter}, "
                f"by the {clock} clock."
            )
            table = speed_table(measured, schedule, where)
            text = fill_tables(page, table, less_table(measured, schedule))
            page.write_text(text, encoding="utf-8")
            print(f"{page} has the table")
    write_json(arguments.json, {"schedule": {"adapter": adapter, "programs": found}})
    return 0


def fill_tables(page: Path, speed: str, less: str) -> str:
    """The page's text with its tables. Raises PageError where it has no place for them."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return fill(page, fill(page, text, SPEED, speed), LESS, less)


def chosen(names: Sequence[str]) -> list[str]:
    """The programs that are asked for. Raises OptionError for one that nobody knows."""
    for name in names:
        if name not in schedules.SCHEDULES:
            raise OptionError(
                f"no schedule is shown of a program called {name!r}",
                code="PG801",
                expected=" or ".join(schedules.SCHEDULES),
                found=repr(name),
                hint="`picograd bench schedule` without names measures all",
            )
    return list(names or schedules.SCHEDULES)


def report(name: str, schedule: Schedule, measured: Measured) -> None:
    """Print a row for each step."""
    unit = "GF/s" if measured.is_flops else "GB/s"
    rows: list[list[str]] = []
    before: float | None = None
    for step in steps_of(schedule):
        median = measured.times[step.name].median
        rows.append(
            [
                step.name,
                ", ".join(step.adds) or "—",
                spell_times(measured.times[step.name]),
                f"{measured.rate(step.name) / 1e9:.3g} {unit}",
                f"{measured.share_of_limit(step.name):.1%}",
                "" if before is None else f"{before / median:.2f}",
            ]
        )
        before = median
    sizes = " × ".join(map(str, schedule.sizes))
    header = ["", "passes added", "time", "rate", "of the limit", "× the step before"]
    print_table(f"{name}, {sizes}, float32", header, rows)
    whole = measured.times[steps_of(schedule)[-1].name].median
    rows = [
        [less, ", ".join(passes), spell_times(times), f"{times.median / whole:.2f}"]
        for less, passes in schedule.less.items()
        if (times := measured.times[less])
    ]
    print_table("All passes", ["", "but for", "time", "× as long"], rows)


def as_data(schedule: Schedule, measured: Measured) -> dict[str, object]:
    """A program's steps as JSON has them."""
    return {
        "sizes": list(schedule.sizes),
        "limits": dict(measured.limits),
        "steps": {
            step.name: {
                "adds": list(step.adds),
                **times_data(measured.times[step.name]),
                "rate": measured.rate(step.name),
                "share of budget": measured.share_of_budget[step.name],
            }
            for step in steps_of(schedule)
        },
        "less": {
            name: {"without": list(passes), **times_data(measured.times[name])}
            for name, passes in schedule.less.items()
        },
    }
