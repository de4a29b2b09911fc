"""`picograd bench compile`: where the time of compiling goes, beside torch.compile and jax.jit."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from picograd.cli.bench_options import Benchmarks, json_option, peers_option
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table
from picograd.study.benches.compile_times import STEPS, WAYS, FirstCalls, first_calls, parts_of
from picograd.study.benches.cpu.contenders import chosen

_PEERS = ("torch.compile", "jax")


def add_compile(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench compile`."""
    help_text = "where the time of compiling goes: cold, from disk, from memory; beside others"
    parser = benchmarks.add_parser("compile", help=help_text, description=help_text)
    peers_option(parser, _PEERS)
    parser.add_argument(
        "--steps", nargs="+", default=(), metavar="NAME", help="those whose names contain one (all)"
    )
    json_option(parser)
    show_examples(parser, "bench compile", "bench compile --steps MLP --peers none --json c.json")
    return parser


def run_compile(arguments: argparse.Namespace) -> int:
    """`picograd bench compile`."""
    contenders, absent = chosen(arguments.peers)
    contenders = [one for one in contenders if "allocator" not in one.name]
    for name, reason in absent.items():
        if "allocator" not in name:
            print(f"{name} takes no part: {reason}")
    data: dict[str, object] = {"absent": absent}
    for name, step in STEPS.items():
        if arguments.steps and not any(word in name for word in arguments.steps):
            continue
        with TemporaryDirectory() as folder:
            parts = {way: parts_of(step, Path(folder), way) for way in WAYS}
        _report_parts(name, parts)
        calls = list(first_calls(step, contenders))
        _report_calls(name, calls)
        data[name] = {
            "parts": parts,
            "first calls": {one.contender: dict(one.seconds) for one in calls},
            "problems": {one.contender: one.problem for one in calls if one.problem},
        }
        write_json(arguments.json, {"compile": data})
    return 0


def _report_parts(name: str, parts: dict[str, dict[str, float]]) -> None:
    """Where picograd's time goes; what takes less than a hundredth stands together."""
    cold = parts[WAYS[0]]
    total = sum(cold.values())
    large = [part for part in cold if cold[part] >= total / 100 or part in parts[WAYS[1]]]
    rows: list[list[str]] = []
    for part in dict.fromkeys([*large, *parts[WAYS[1]]]):
        rows.append([part, *(_milliseconds(parts[way].get(part)) for way in WAYS)])
    small = sum(seconds for part, seconds in cold.items() if part not in large)
    rows.append(["passes of less than a hundredth", _milliseconds(small), "", ""])
    rows.append(["altogether", *(_milliseconds(sum(parts[way].values())) for way in WAYS)])
    print_table(f"The training step of {name}, in fresh processes: ms", ("part", *WAYS), rows)


def _report_calls(name: str, calls: list[FirstCalls]) -> None:
    rows = [
        [one.contender, *(_milliseconds(one.seconds.get(way)) for way in WAYS), one.problem]
        for one in calls
    ]
    print_table(f"Its first call, from files to results: ms ({name})", ("", *WAYS, ""), rows)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.1f}"
