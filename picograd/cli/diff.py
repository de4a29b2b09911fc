"""`picograd diff`: one function on several devices, every value compared where it is made."""

import argparse
import sys
from collections.abc import Sequence

import picograd
from picograd.backends.runtime import device as find_device
from picograd.check.differential import run_on
from picograd.check.outcome import Outcome
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.cli.dump import default_device, find_target
from picograd.cli.files import UsageError, UserCode
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline
from picograd.cli.runs import add_sanitize_option
from picograd.frontend.modes.ladder import Rung

EXIT_DIFFERENT = 1


def add_parser(commands: Commands) -> None:
    """Add `diff` to the command."""
    parser = commands.add_parser(
        "diff",
        help="run a function on several devices and compare every value",
        description="Trace TARGET once, run it on each device, and hold every value that a device "
        "keeps in memory against a float64 evaluation of the kernel that made it. Ends with 1 when "
        "a value exceeds its error budget, and shows the first: kernel, ops, line, values.",
    )
    parser.add_argument(
        "target",
        help="file.py:function, whose parameters have example tensors as defaults, or "
        "file.py:module, a picograd.nn.Module with `example_inputs` beside it",
    )
    parser.add_argument(
        "--devices",
        default="reference,cpu,gpu",
        metavar="LIST",
        help="where it runs, with commas between (%(default)s)",
    )
    parser.add_argument(
        "--mode",
        default=Rung.COMPILED.value,
        choices=[rung.value for rung in Rung],
        help="how it runs; graph: unfused; the first three: op by op (%(default)s)",
    )
    parser.add_argument(
        "--passes-off",
        default="",
        metavar="LIST",
        help="passes to leave out of the pipeline, with commas between",
    )
    add_sanitize_option(parser)
    add_pipeline_options(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "diff examples/digits.py:train_step",
        "diff model.py:layer --devices cpu --mode graph",
        "diff model.py:layer --devices cpu --passes-off fuse,plan_buffers",
        "diff model.py:layer --load my_pass.py --insert 'my_pass after canonicalize'",
        "diff model.py:layer --devices cpu --sanitize",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    devices = _words(arguments.devices)
    if not devices:
        raise UsageError(
            f"--devices {arguments.devices!r} names no device",
            code="PG817",
            expected="names with commas between them",
            found="none",
            hint="such as --devices reference,cpu",
        )
    for name in devices:
        find_device(name)  # one that is absent is reported before anything runs
    with default_device("reference"):
        path, function, examples = find_target(arguments.target)
        with UserCode(path):
            traced = picograd.compile(function, device="reference").trace(*examples)
    outcomes = [
        run_on(
            device,
            traced.module,
            traced.inputs,
            mode=arguments.mode,
            passes=None if device == "reference" else chosen_pipeline(arguments, device),
            passes_off=_words(arguments.passes_off),
            sanitize=arguments.sanitize,
        )
        for device in devices
    ]
    report(f"{arguments.target}, mode {arguments.mode}", outcomes)
    different = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in different:
        print(f"\n{outcome.explain()}", file=sys.stderr)
    return EXIT_DIFFERENT if different else 0


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def report(title: str, outcomes: Sequence[Outcome]) -> None:
    """Print a row for each device."""
    header = ("device", "kernels or ops", "values", "elements", "undetermined", "of a budget")
    rows = [
        (
            outcome.device,
            str(len(outcome.steps)),
            str(sum(len(step.values) for step in outcome.steps)),
            f"{outcome.elements:,}",
            str(outcome.undetermined),
            f"{outcome.used:.3g}",
            "agrees" if outcome.ok else "DIFFERS",
        )
        for outcome in outcomes
    ]
    print_table(title, (*header, "outcome"), rows)
