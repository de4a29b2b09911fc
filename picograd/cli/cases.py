"""What a command that looks for faults is given: a module, inputs, passes and a device.

They come from a file of IR, from a function of the user's, or from a replay file, which has them
all.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd.backends.runtime import device as find_device
from picograd.check import replay
from picograd.check.oracle import Case, examination
from picograd.cli.dump import default_device, find_target
from picograd.cli.files import UsageError, UserCode, read_text
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline, load_passes
from picograd.cli.runs import add_sanitize_option, rest_of_pipeline
from picograd.cli.values import seed
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.registry import Registry
from picograd.compiler.validation.single_nans import sets_of_inputs
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """Cases that differ in their inputs, and what is needed to have them again."""

    cases: Sequence[Case]
    loads: tuple[str, ...] = ()
    """The Python files with passes that have been loaded."""
    seed: str = ""
    """How the inputs came about."""


def add_case_options(parser: argparse.ArgumentParser) -> None:
    """Let a command take a module, passes, a device and a seed."""
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
    add_sanitize_option(parser)
    parser.add_argument("--seed", type=seed, default=0, help="of the inputs (%(default)s)")


def read_given(arguments: argparse.Namespace) -> Given:
    """What the options of `add_case_options` stand for.

    Raises UsageError for a file that cannot be read, and what parsers of IR and passes raise.
    """
    target: str = arguments.target
    device = arguments.device or ("reference" if arguments.passes is not None else "cpu")
    find_device(device)  # one that is absent is reported before anything runs
    if ":" in target and target.rpartition(":")[0].endswith(".py"):
        with default_device("reference"):
            path, function, examples = find_target(target)
            with UserCode(path):
                traced = picograd.compile(function, device="reference").trace(*examples)
        seed = f"the examples of {target}"
        return _given(arguments, device, traced.module, [traced.inputs], seed)
    text = read_text(target)
    name = "standard input" if target == "-" else target
    if replay.is_replay(text):
        return _replayed(arguments, text, name)
    known = load_passes(arguments.load)  # before the module, which may hold ops of theirs
    module = parse_module(text, name)
    inputs = sets_of_inputs(module, arguments.seed)
    return _given(arguments, device, module, inputs, str(arguments.seed), known)


def refusal_of(given: Given) -> str:
    """What a pass or the device says of a program that it does not take; no text where it does.

    The first inputs speak for all: what is refused are nearly always types and sizes.
    """
    return examination(given.cases[0]).refused


def _given(
    arguments: argparse.Namespace,
    device: str,
    module: ModuleOp,
    inputs: Sequence[Sequence[Array]],
    seed: str,
    known: Registry | None = None,
) -> Given:
    passes = chosen_pipeline(arguments, device, known)
    if passes is None:
        passes = Pipeline(rest_of_pipeline(module, device))
    if not passes and device == "reference":
        raise UsageError(
            "there is nothing to look at: no pass, and no device that runs code",
            code="PG817",
            expected="--passes LIST, or --device cpu or gpu",
            found=f"--passes {arguments.passes!r}" if arguments.passes is not None else "neither",
            hint="name the passes, as in --passes canonicalize,cse",
        )
    sanitize = bool(arguments.sanitize)
    cases = [Case(module, tuple(arrays), passes, device, sanitize) for arrays in inputs]
    return Given(cases, tuple(arguments.load), seed)


def _replayed(arguments: argparse.Namespace, text: str, name: str) -> Given:
    """The case of a replay file; options of the command line replace what it says."""
    named = [*loads_of(text, Path(name).parent), *arguments.load]
    loads = tuple({Path(load).resolve(): load for load in named}.values())
    known = load_passes(loads)
    found = replay.read(text, name, known)
    case = found.case
    if arguments.passes is not None:
        case = replace(case, passes=as_passes(arguments.passes, known))
    if arguments.device is not None:
        case = replace(case, device=arguments.device)
    if arguments.sanitize:
        case = replace(case, sanitize=True)
    return Given([case], loads, found.seed)


def loads_of(text: str, folder: Path) -> Iterator[str]:
    """The files that a replay file needs: relative to its own folder, or else to this one."""
    for line in text.splitlines():
        if not line.startswith("//"):
            return
        if line.startswith("// loads:"):
            name = line.removeprefix("// loads:").strip()
            yield str(folder / name) if (folder / name).is_file() else name
