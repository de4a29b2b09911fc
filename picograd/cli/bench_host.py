"""`picograd bench host`: what Python costs around small kernels."""

import argparse

from picograd.cli.bench_options import Benchmarks, json_option, rounds_option
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table, progress
from picograd.study.benches import host


def add_host(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench host`."""
    help_text = "eager operations on small tensors beside PyTorch's, and what a compiled call costs"
    parser = benchmarks.add_parser("host", help=help_text, description=help_text)
    rounds_option(parser, 15)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD", help="rows whose name holds a word"
    )
    json_option(parser)
    show_examples(parser, "bench host", "bench host --only view recorded --json host.json")
    return parser


def run_host(arguments: argparse.Namespace) -> int:
    """`picograd bench host`."""
    names = [
        name
        for name in host.eager_actions(host.picograd)
        if not arguments.only or any(word in name for word in arguments.only)
    ]
    eager: list[host.HostRow] = []
    with progress("operations", len(names)) as bar:
        for name in names:
            eager += host.measure_eager([name], arguments.rounds)
            bar.advance(name)
    compiled = host.measure_compiled(arguments.rounds)
    print_table(
        "Eager operations on tensors of 8 × 8, one thread",
        ["", "picograd, µs", "PyTorch, µs", "times PyTorch"],
        [[row.name, _micro(row.ours), _micro(row.peer), _times(row.ratio)] for row in eager],
    )
    print_table(
        "Calls of compiled functions",
        ["", "call, µs", "its kernels, µs", "beside them, µs"],
        [[row.name, _micro(row.call), _micro(row.kernels), _micro(row.over)] for row in compiled],
    )
    data = {
        "eager": [vars(row) | {"ratio": row.ratio} for row in eager],
        "compiled": [vars(row) | {"over": row.over} for row in compiled],
    }
    write_json(arguments.json, {"host": data})
    return 0


def _micro(seconds: float | None) -> str:
    return "not installed" if seconds is None else f"{seconds * 1e6:.2f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
