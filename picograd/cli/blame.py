"""`picograd blame`: which pass is wrong, and which rewrite of it; or which store of a device."""

import argparse
from collections.abc import Iterator

import picograd
from picograd.backends.runtime import device as find_device
from picograd.check.blame import Blame, blame
from picograd.check.oracle import Case
from picograd.check.replay import is_replay, read
from picograd.cli.commands import Commands, show_examples
from picograd.cli.dump import default_device, find_target
from picograd.cli.files import UsageError, UserCode, read_text
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline, load_passes
from picograd.cli.runs import rest_of_pipeline
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.inputs import draw_inputs

EXIT_BLAMED = 1


def add_parser(commands: Commands) -> None:
    """Add `blame` to the command."""
    parser = commands.add_parser(
        "blame",
        help="name the pass, and the one rewrite of it, that makes a program wrong",
        description="Run passes on a module, look after each whether the module still means the "
        "same, and name the first pass that is wrong: crash, IR that does not verify, other "
        "results. Then run that pass with its first rewrites only, and print the one with which it "
        "goes wrong, before and after. When all passes are right and the device is not, name its "
        "kernel and the first store that differs. Ends with 1 when somebody is blamed.",
    )
    parser.add_argument(
        "target",
        help="IR text (- is standard input), a replay file, or file.py:function as `diff` takes it",
    )
    parser.add_argument(
        "--device",
        help="also run what the passes leave: cpu or gpu; reference runs passes only (reference "
        "with --passes, else cpu, whose pipeline it is then about)",
    )
    add_pipeline_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (%(default)s)")
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "blame model.mlir --load my_pass.py --passes my_pass,canonicalize",
        "blame model.mlir --device gpu",
        "blame model.py:layer --load my_pass.py --insert 'my_pass after canonicalize'",
        "blame failure.mlir                       a file that fuzz or reduce saved",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    tried = 0
    for case in cases(arguments):
        tried += 1
        found = blame(case)
        if found is not None:
            print(found)
            print(advice(found))
            return EXIT_BLAMED
    sets = f"{tried} set{'s' if tried != 1 else ''} of inputs"
    print(f"nobody is to blame: everything agrees on {sets}")
    return 0


def advice(found: Blame) -> str:
    """What to do next."""
    if found.on_device:
        return "  help:     read the code at the place that is marked; `picograd reduce` shrinks it"
    return "  help:     mend the rule, or leave the pass out; `picograd reduce` shrinks the module"


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """What is looked at, one set of inputs after the other. Raises what reading and parsing do."""
    device = arguments.device or ("reference" if arguments.passes is not None else "cpu")
    find_device(device)  # one that is absent is reported before anything runs
    if ":" in arguments.target and arguments.target.rpartition(":")[0].endswith(".py"):
        yield _of_function(arguments, device)
        return
    text = read_text(arguments.target)
    name = "standard input" if arguments.target == "-" else arguments.target
    if is_replay(text):
        yield read(text, name, load_passes(arguments.load)).case
        return
    module = parse_module(text, name)
    passes = chosen_pipeline(arguments, device)
    if passes is None:
        passes = Pipeline(rest_of_pipeline(module, device))
    _check_passes(passes, arguments, device)
    for inputs in draw_inputs(module, arguments.seed):
        yield Case(module, tuple(inputs), passes, device)


def _of_function(arguments: argparse.Namespace, device: str) -> Case:
    """A traced function with its example inputs."""
    with default_device("reference"):
        path, function, examples = find_target(arguments.target)
        with UserCode(path):
            traced = picograd.compile(function, device="reference").trace(*examples)
    passes = chosen_pipeline(arguments, device)
    if passes is None:
        passes = pipeline(device)
    _check_passes(passes, arguments, device)
    return Case(traced.module, tuple(traced.inputs), passes, device)


def _check_passes(passes: Pipeline, arguments: argparse.Namespace, device: str) -> None:
    if not passes and device == "reference":
        raise UsageError(
            "there is nothing to look at: no pass, and no device that runs code",
            code="PG817",
            expected="--passes LIST, or --device cpu or gpu",
            found=f"--passes {arguments.passes!r}" if arguments.passes is not None else "neither",
            hint="name the passes, as in --passes canonicalize,cse",
        )
