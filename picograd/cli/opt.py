"""`picograd opt`: text in, passes, text out; and, on request, a run of the result."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from picograd.cli.checking import EXIT_WRONG, add_check_options, run_checked
from picograd.cli.commands import Commands, show_examples
from picograd.cli.files import UsageError, read_text
from picograd.cli.own_passes import add_load_option, load_passes
from picograd.cli.runs import add_sanitize_option, describe_array, run_on_device, seeded_inputs
from picograd.cli.values import seed
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.spelling import describe_options, parse_passes
from picograd.passes import Pass
from picograd.study.pass_docs import summary_of


def add_parser(commands: Commands) -> None:
    """Add `opt` to the command."""
    parser = commands.add_parser(
        "opt",
        help="run passes on a file of IR",
        description="Read a module, run passes on it, print it. The module goes to standard "
        "output; what --print-after-… shows goes to standard error.",
    )
    parser.add_argument("file", nargs="?", default="-", help="IR text; - is standard input")
    parser.add_argument("--passes", default="", help="the passes, in order, separated by commas")
    add_load_option(parser)
    parser.add_argument("--list", action="store_true", help="describe all passes and stop")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--print-after-all", action="store_true", help="show the module after every pass"
    )
    shown.add_argument(
        "--print-after-change", action="store_true", help="show it after every pass that changed it"
    )
    parser.add_argument(
        "--run",
        action="store_true",
        dest="run_result",
        help="run the result on seeded random inputs and print the outputs",
    )
    parser.add_argument(
        "--device",
        default="reference",
        help="where --run runs: reference, cpu or gpu (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the inputs of --run and --check (%(default)s)"
    )
    add_sanitize_option(parser, "with --run: ")
    add_check_options(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "opt model.mlir --passes canonicalize,cse,dce",
        "opt model.mlir --passes 'outline_kernels,fuse{max_ops=8}' --print-after-change",
        "opt loops.mlir --passes 'tile_loops{sizes=\"j=48 i=8\" exact=true}'",
        "opt model.mlir --load my_pass.py --passes my_pass --run --device cpu",
        "opt loops.mlir --run --device cpu --sanitize",
        "opt model.mlir --passes canonicalize,cse --check",
        "opt model.mlir --load my_pass.py --passes my_pass --check --save wrong",
        "opt --list",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    known = load_passes(arguments.load)
    if arguments.list:
        print("\n\n".join(describe_pass(step) for step in known.values()))
        return 0
    if arguments.sanitize and not arguments.run_result:
        raise UsageError(
            "--sanitize checks a run, and nothing is run",
            code="PG817",
            expected="--run --sanitize",
            found="--sanitize alone",
            hint="add --run",
        )
    passes = parse_passes(arguments.passes, known)
    name = "standard input" if arguments.file == "-" else arguments.file
    module = parse_module(read_text(arguments.file), name)
    if arguments.print_after_all or arguments.print_after_change:
        instruments = [PrintAfter(module, only_changed=arguments.print_after_change)]
    else:
        instruments = []
    # A text file does not say which passes have made it, so its history is unknown.
    if arguments.check:
        seed, folder = arguments.seed, arguments.save
        if not run_checked(module, passes, instruments, seed=seed, folder=folder):
            return EXIT_WRONG
    else:
        run_pipeline(module, passes, instruments=instruments, facts=None)
    if arguments.run_result:
        print_run(module, arguments.device, arguments.seed, sanitize=arguments.sanitize)
    else:
        print(module)
    return 0


class PrintAfter:
    """An instrument that prints the module after passes, to standard error."""

    def __init__(self, module: ModuleOp, *, only_changed: bool) -> None:
        self.only_changed = only_changed
        self.text = str(module)

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Nothing to do: what stood before is what the last pass left."""

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Print the module, unless it is unchanged and unchanged ones are not wanted."""
        text = str(module)
        if text == self.text:
            print(f"// after {step}: unchanged", file=sys.stderr)
        if text != self.text or not self.only_changed:
            print(f"// after {step}:\n{text}\n", file=sys.stderr)
        self.text = text


def describe_pass(step: type[Pass]) -> str:
    """A pass's name, levels, one sentence, and options with types and defaults."""
    levels = step.level_in if not step.is_lowering() else f"{step.level_in} → {step.level_out}"
    lines = [f"{step.name}  ({levels} level)", f"    {summary_of(step)}"]
    lines += [f"    {option}" for option in describe_options(step)]
    for title, facts in (("requires", step.requires), ("establishes", step.establishes)):
        if facts:
            lines.append(f"    {title}: {', '.join(sorted(facts))}")
    return "\n".join(lines)


def print_run(module: ModuleOp, device: str, seed: int, *, sanitize: bool | None = None) -> None:
    """Run the module on seeded inputs and print what goes in and what comes out."""
    inputs = seeded_inputs(module, seed)
    # First run, then print: of a run that fails, only the error is shown.
    outputs: Sequence[NDArray[Any]] = run_on_device(
        module, device, list(inputs.values()), sanitize=sanitize
    )
    for name, array in inputs.items():
        print(f"in  {name}: {describe_array(array)}")
    for number, array in enumerate(outputs):
        print(f"out {number}: {describe_array(array)}")
        with np.printoptions(precision=6, threshold=64, edgeitems=3, linewidth=96):
            print(array)
