"""`picograd tune`: measure schedules for a program's kernels, and remember the better ones."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import picograd
from picograd.backends.runtime import Device
from picograd.backends.runtime import device as find_device
from picograd.cli.bench_options import clock_option, json_option
from picograd.cli.bench_report import write_json
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.cli.dump import default_device, find_target
from picograd.cli.files import UsageError, UserCode, read_text
from picograd.cli.runs import rest_of_pipeline
from picograd.cli.values import seconds, seed
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.kept import tuned
from picograd.compiler.kept.tuned import Tuned
from picograd.compiler.pipelines import pipeline
from picograd.errors import OptionError
from picograd.passes.schedule.choices import parse_choices
from picograd.study.tuning.search import LEAST_GAIN, Found, Limits, tune
from picograd.study.tuning.trials import CLOCKS

_DEVICE = "cpu"
_IR_SUFFIX = ".mlir"
_GAIN = f"{LEAST_GAIN - 1:.0%}"


def add_parser(commands: Commands) -> None:
    """Add `tune` to the command."""
    parser = commands.add_parser(
        "tune",
        help="measure schedules for a program's kernels, and remember the better ones",
        description="Compile each kernel of TARGET with other sizes of tiles and blocks than the "
        "cost model's, see that its results are right, and time it. What is faster by "
        f"{_GAIN} and more is remembered for this machine, and followed by later compilations of "
        "equal kernels; PICOGRAD_TUNED=0 turns that off.",
    )
    parser.add_argument(
        "target",
        help="file.py:function, whose parameters have example tensors as defaults, file.py:module "
        "with `example_inputs` beside it, or a file of IR of tensors, kernels or buffers",
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=60.0,
        help="to search, about; most for the kernels that take longest (%(default)s)",
    )
    clock_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="measure, but remember nothing")
    parser.add_argument("--seed", type=seed, default=0, help="of random inputs (%(default)s)")
    json_option(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "tune examples/digits.py:train_step",
        "tune model.py:layer --seconds 300 --json tuned.json",
        "tune model.mlir --dry-run",
        "cache                                    show what is remembered",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    _check_clock(arguments.clock)
    device = find_device(_DEVICE)
    limits = Limits(
        seconds=arguments.seconds,
        clock=CLOCKS[arguments.clock],
        threads=picograd.get_num_threads(),
        seed=arguments.seed,
    )
    start = time.perf_counter()
    found = _found(arguments.target, device, limits)
    took = time.perf_counter() - start
    total = sum(each.share for each in found)
    after = sum(each.after * each.launches for each in found)
    threads = f"{limits.threads} thread{'s' if limits.threads > 1 else ''}"
    print_table(
        f"{arguments.target}: {total * 1e6:,.1f} µs in kernels, {after * 1e6:,.1f} µs tuned; "
        f"{sum(each.tried for each in found)} schedules tried in {took:.0f} s, {threads}",
        HEADER,
        [_row(each, total) for each in found],
    )
    write_json(arguments.json, _as_data(found, arguments, limits.threads))
    remembered = not arguments.dry_run and _remember(device, found)
    better = sum(bool(each.best.made) for each in found)
    kernels = f"{better} kernel{'' if better == 1 else 's'}"
    if not better:
        print(f"No schedule was faster than the cost model's by {_GAIN}.")
    elif arguments.dry_run:
        print(f"A better schedule for {kernels}; nothing is remembered, as asked.")
    elif remembered:
        print(f"Remembered for {kernels}: `picograd cache` shows it, PICOGRAD_TUNED=0 ignores it.")
    return _tell_of_faults(found)


HEADER = ("kernel", "launches", "share", "cost model's", "µs", "tuned", "µs", "times")


def _row(found: Found, total: float) -> list[str]:
    share = found.share / total if total else 0.0
    changed = bool(found.best.made)
    return [
        found.kernel,
        str(found.launches),
        f"{share:.1%}",
        str(found.own) or "no choice",
        f"{found.before * 1e6:,.1f}",
        str(found.best) if changed else ("the same" if found.searched else "not searched"),
        f"{found.after * 1e6:,.1f}" if changed else "",
        f"{found.gain:.2f}" if changed else "",
    ]


def _found(target: str, device: Device, limits: Limits) -> list[Found]:
    if target.endswith(_IR_SUFFIX):
        module = parse_module(read_text(target), Path(target).name)
        steps = rest_of_pipeline(module, _DEVICE)
    else:
        steps = pipeline(_DEVICE)
        with default_device(_DEVICE):
            path, function, examples = find_target(target)
            with UserCode(path):
                module = picograd.compile(function, _DEVICE).trace(*examples).module
    known = {
        digest: parse_choices(found.choices) for digest, found in tuned.remembered(device).items()
    }
    return tune(module, device, steps, limits, known=known)


def _check_clock(clock: str) -> None:
    if clock != "wall" and picograd.get_num_threads() > 1:
        raise UsageError(
            "the processors' clock tells nothing of several threads",
            code="PG814",
            expected="--clock wall, or one thread",
            found=f"--clock {clock} with {picograd.get_num_threads()} threads",
            hint="set PICOGRAD_NUM_THREADS=1",
        )


def _remember(device: Device, found: Sequence[Found]) -> bool:
    """Remember what is better; what was remembered of those that were searched is replaced."""
    better = {
        each.digest: Tuned(each.kernel, str(each.best), each.before, each.after)
        for each in found
        if each.best.made
    }
    stale = frozenset(each.digest for each in found if each.searched) - set(better)
    stale &= set(tuned.remembered(device))
    if not better and not stale:
        return True
    if tuned.remember(device, better, stale):
        return True
    raise OptionError(
        "the schedules that were found cannot be remembered",
        code="PG801",
        expected="a folder that can be written, and sources of picograd's that do not change",
        found=tuned.why_not(),
        hint="mend that and tune again, or read the numbers with --dry-run",
    )


def _tell_of_faults(found: Sequence[Found]) -> int:
    """Say with which choices results were wrong or code could not be made; the exit status."""
    for each in found:
        for line in each.refused:
            print(f"{each.kernel} could not be compiled with {line}")
        for line in each.wrong:
            print(f"A FAULT OF PICOGRAD'S: {each.kernel} computes something else with {line}")
    return 1 if any(each.wrong for each in found) else 0


def _as_data(found: Sequence[Found], arguments: argparse.Namespace, threads: int) -> dict[str, Any]:
    return {
        "target": arguments.target,
        "device": _DEVICE,
        "threads": threads,
        "clock": arguments.clock,
        "remembered": not arguments.dry_run,
        "kernels": [each.as_data() for each in found],
    }
