"""`picograd bench accuracy`: the elementary functions of float32 beside the truth."""

import argparse

from picograd.cli.bench_options import Benchmarks, device_option, json_option, size_number
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table, progress
from picograd.study.benches import accuracy
from picograd.study.benches.accuracy import Accuracy

EXIT_WRONG = 1


def add_accuracy(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench accuracy`."""
    help_text = "how far exp, log, tanh and the like are from the truth, for every float32"
    parser = benchmarks.add_parser("accuracy", help=help_text, description=help_text)
    device_option(parser)
    parser.add_argument(
        "--functions",
        nargs="+",
        choices=tuple(accuracy.FUNCTIONS),
        default=tuple(accuracy.FUNCTIONS),
        metavar="NAME",
        help="functions to look at (all: " + ", ".join(map(repr, accuracy.FUNCTIONS)) + ")",
    )
    parser.add_argument(
        "--every",
        type=size_number,
        default=1021,
        metavar="N",
        help="look at every N-th number; 1 takes minutes for each function (%(default)s)",
    )
    json_option(parser)
    show_examples(
        parser,
        "bench accuracy",
        "bench accuracy --functions exp 'pow 2.5' --every 1",
        "bench accuracy --device gpu --json accuracy.json",
    )
    return parser


def run_accuracy(arguments: argparse.Namespace) -> int:
    """`picograd bench accuracy`: exits with 1 where less is found than is promised."""
    rows: list[Accuracy] = []
    with progress("functions", len(arguments.functions)) as bar:
        for name in arguments.functions:
            rows.append(accuracy.measure(name, every=arguments.every, device=arguments.device))
            bar.advance(name)
    seen = "every float32" if arguments.every == 1 else f"every {arguments.every}th float32"
    header = ["", "worst, ulp", "promised", "at", "mean, ulp", "correctly rounded", "wrong"]
    print_table(
        f"Elementary functions on the device {arguments.device!r}, {seen}",
        header,
        [
            [
                row.name,
                f"{row.worst:.3f}",
                f"{row.promised:g}",
                f"{row.at:.9g}",
                f"{row.total / row.numbers:.3f}",
                f"{row.rounded / row.numbers:.1%}",
                f"{row.wrong} (at {row.wrong_at:.9g})" if row.wrong else "0",
            ]
            for row in rows
        ],
    )
    write_json(arguments.json, {"accuracy": [vars(row) for row in rows]})
    return 0 if all(row.holds for row in rows) else EXIT_WRONG
