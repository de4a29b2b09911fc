"""`picograd profile`: how long each kernel of a compiled program takes, and how fast that is."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import picograd
from picograd.backends.runtime import Array
from picograd.backends.runtime import device as find_device
from picograd.cli.bench_options import json_option
from picograd.cli.bench_report import write_json
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.cli.dump import default_device, find_target
from picograd.cli.files import UserCode, read_text
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline
from picograd.cli.runs import rest_of_pipeline, seeded_inputs
from picograd.cli.values import seconds, seed
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, compile_module
from picograd.compiler.profile import LaunchTimes, Profile

_IR_SUFFIX = ".mlir"


def add_parser(commands: Commands) -> None:
    """Add `profile` to the command."""
    parser = commands.add_parser(
        "profile",
        help="time each kernel of a program, with the bytes it moves and what it computes",
        description="Compile TARGET, run its kernels one by one on copies of its inputs, and show "
        "what each takes: the slowest first.",
    )
    parser.add_argument(
        "target",
        help="file.py:function, whose parameters have example tensors as defaults, file.py:module "
        "with `example_inputs` beside it, or a file of IR, which is given random inputs",
    )
    parser.add_argument("--device", default="cpu", help="the device (%(default)s)")
    parser.add_argument(
        "--runs", type=int, default=20, help="how often each is timed (%(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=10.0,
        help="for all runs together: slow programs are run less often (%(default)s)",
    )
    parser.add_argument(
        "--in-order", action="store_true", help="each launch, in the order in which they run"
    )
    parser.add_argument("--top", type=int, metavar="N", help="only the first N lines of the table")
    parser.add_argument("--seed", type=seed, default=0, help="of random inputs (%(default)s)")
    json_option(parser)
    add_pipeline_options(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "profile examples/digits.py:train_step",
        "profile model.py:layer --in-order --json profile.json",
        "profile model.mlir --runs 100",
        "profile model.py:layer --insert 'my_pass after fuse' --load my_pass.py",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    if arguments.target.endswith(_IR_SUFFIX):
        profile = _of_text(arguments)
    else:
        profile = _of_function(arguments)
    threads, count = picograd.get_num_threads(), len(profile.launches)
    title = (
        f"{arguments.target} on {profile.device}: {profile.seconds * 1e6:,.1f} µs in "
        f"{count} launch{'es' if count != 1 else ''}, median of {profile.runs} runs, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )
    entries = profile.launches if arguments.in_order else profile.by_kernel()
    print_table(title, HEADER, [row(entry) for entry in entries[: arguments.top]])
    write_json(arguments.json, profile.as_data() | {"threads": threads})
    return 0


def _of_function(arguments: argparse.Namespace) -> Profile:
    passes = chosen_pipeline(arguments, arguments.device)
    with default_device(arguments.device):
        path, function, examples = find_target(arguments.target)
        with UserCode(path):
            traced = picograd.compile(function, arguments.device).trace(*examples)
    executable = compile_module(traced.module, arguments.device, passes=passes, cached=False)
    return _profile(executable, traced.inputs, arguments)


def _of_text(arguments: argparse.Namespace) -> Profile:
    module = parse_module(read_text(arguments.target), Path(arguments.target).name)
    inputs = list(seeded_inputs(module, arguments.seed).values())
    passes = chosen_pipeline(arguments, arguments.device)
    if passes is None:
        passes = rest_of_pipeline(module, arguments.device)
    executable = compile_module(module, arguments.device, passes=passes, cached=False)
    return _profile(executable, inputs, arguments)


def _profile(
    executable: Executable, inputs: Sequence[Array], arguments: argparse.Namespace
) -> Profile:
    place = find_device(arguments.device)
    buffers = [place.upload(array) for array in inputs]
    return executable.profile(buffers, runs=arguments.runs, seconds=arguments.seconds)


HEADER = ("kernel", "launches", "µs", "± %", "share", "KB", "kop", "GB/s", "Gop/s", "ops", "at")


def row(entry: LaunchTimes) -> list[str]:
    """A line of the table."""
    scatter = (entry.high - entry.low) / 2 / entry.seconds if entry.seconds else 0.0
    return [
        entry.kernel,
        str(entry.launches),
        f"{entry.seconds * 1e6:,.1f}",
        f"{scatter:.0%}",
        f"{entry.share:.1%}",
        _thousands(entry.bytes_moved),
        _thousands(entry.operations),
        _rate(entry.gigabytes_a_second),
        _rate(entry.gigaops_a_second),
        _short(entry.ops, 32),
        _where(entry.lines),
    ]


def _thousands(number: int | None) -> str:
    return "" if number is None else f"{number / 1e3:,.1f}"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _where(lines: Sequence[str]) -> str:
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    return (lines[0] if lines else "") + more
