"""`picograd dump`: the IR of a function or module after every pass, and the code at the end."""

import argparse
import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd import Tensor
from picograd.backends.llvm.cross import cross_compile
from picograd.backends.llvm.inspect_assembly import BlockFacts
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.cli.files import UsageError, UserCode, load_python
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline
from picograd.compiler.dump import INDEX
from picograd.compiler.in_parts import run_in_parts
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.spelling import nearest
from picograd.nn import Module
from picograd.targets.processors import PROCESSORS

_LOOPS_SHOWN = 4
"""Inner loops of each processor, the hottest first."""


def add_parser(commands: Commands) -> None:
    """Add `dump` to the command."""
    parser = commands.add_parser(
        "dump",
        help="write the IR after every pass, and the generated code, into a folder",
        description="Trace and compile TARGET, and write one numbered file a pass, then the "
        "generated code (.ll and .s, or .wgsl).",
    )
    parser.add_argument(
        "target",
        help="file.py:function, whose parameters have example tensors as defaults, or "
        "file.py:module, a picograd.nn.Module with `example_inputs` beside it",
    )
    parser.add_argument("--device", default="cpu", help="cpu, gpu or reference (%(default)s)")
    parser.add_argument(
        "--out",
        default="picograd-dump",
        metavar="DIR",
        help="the folder for the files (%(default)s)",
    )
    parser.add_argument(
        "--processor",
        nargs="+",
        choices=tuple(processor.name for processor in PROCESSORS),
        default=(),
        metavar="NAME",
        help="also write what the passes make for other processors than this machine's, and show "
        "their inner loops: " + ", ".join(processor.name for processor in PROCESSORS),
    )
    add_pipeline_options(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "dump examples/digits.py:train_step",
        "dump model.py:layer --device gpu --out dump-gpu",
        "dump model.py:net             a module; model.py has example_inputs = (randn(64, 784),)",
        "dump model.py:layer --load my_pass.py --insert 'my_pass after canonicalize'",
        "dump model.py:layer --processor neoverse-v2 x86-64-v3",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    folder = Path(arguments.out)
    if arguments.processor and arguments.device != "cpu":
        raise UsageError(
            "--processor is about CPUs",
            code="PG817",
            expected="--device cpu, which is the default",
            found=f"--device {arguments.device}",
            hint="leave one of the two out",
        )
    passes = chosen_pipeline(arguments, arguments.device)
    with default_device(arguments.device):
        path, function, examples = find_target(arguments.target)
        compiled = picograd.compile(function, arguments.device, passes, folder)
        with UserCode(path):
            compiled(*examples)
            traced = compiled.trace(*examples).module if arguments.processor else None
    loops: list[tuple[str, BlockFacts]] = []
    if traced is not None:
        passes = pipeline("cpu") if passes is None else as_passes(passes)
        for name in arguments.processor:
            loops += [(name, loop) for loop in _write_for(name, traced, passes, folder)]
    written = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in written:
        print(file)
    print(f"{len(written)} files in {folder}; start with {folder / INDEX}\n{compiled.report}")
    if loops:
        _print_loops(loops)
    return 0


def _write_for(
    processor: str, traced: ModuleOp, passes: Pipeline, folder: Path
) -> Sequence[BlockFacts]:
    """Write LLVM IR and assembly for a processor; returns the facts about its inner loops."""
    module = traced.clone()
    run_in_parts(module, passes.aimed_at(processor))
    made = cross_compile(module, processor)
    (folder / f"{processor}.ll").write_text(made.text, encoding="utf-8")
    (folder / f"{processor}.s").write_text(made.assembly, encoding="utf-8")
    return made.loops[:_LOOPS_SHOWN]


def _print_loops(loops: Sequence[tuple[str, BlockFacts]]) -> None:
    """A line for each inner loop."""
    header = ("processor", "loop", "instructions", "fused", "other products", "one by one")
    print_table(
        "The innermost loops with the most multiplications, in instructions",
        (*header, "spills", "reloads"),
        [
            (
                name,
                loop.label,
                f"{loop.instructions}",
                f"{loop.fused}",
                f"{loop.products}",
                f"{loop.scalar_fused}",
                f"{loop.vector_spills}",
                f"{loop.vector_reloads}",
            )
            for name, loop in loops
        ],
    )


@contextmanager
def default_device(device: str) -> Generator[None]:
    """Let the tensors that the target's file makes live on the device, so that they fit."""
    before = picograd.default_device()
    picograd.set_default_device(device)
    try:
        yield
    finally:
        picograd.set_default_device(before)


def find_target(target: str) -> tuple[Path, Callable[..., Any], tuple[Tensor, ...]]:
    """The file, the callable and its example inputs that `file.py:name` stands for.

    Raises UsageError for a target of another form, a missing name, or missing examples.
    """
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise UsageError(
            f"cannot read the target {target!r}",
            code="PG816",
            expected="file.py:function or file.py:module",
            found="no file or no name",
            hint="such as model.py:train_step",
        )
    loaded = load_python(file)
    found = vars(loaded).get(name)
    if found is None:
        names = [known for known in vars(loaded) if not known.startswith("_")]
        raise UsageError(
            f"{file} defines no {name!r}",
            code="PG816",
            expected="one of: " + ", ".join(names),
            found=repr(name),
            hint=nearest(name, names),
        )
    if isinstance(found, Module):
        return Path(file).resolve(), found, _inputs_beside(loaded, file)
    if not callable(found):
        raise UsageError(
            f"{target} cannot be compiled",
            code="PG816",
            expected="a function or a picograd.nn.Module",
            found=type(found).__name__,
            hint="name a function of the file, or write one around it",
        )
    return Path(file).resolve(), found, _inputs_of_defaults(found, target)


def _inputs_beside(loaded: ModuleType, file: str) -> tuple[Tensor, ...]:
    examples = getattr(loaded, "example_inputs", None)
    if isinstance(examples, Tensor):
        return (examples,)
    if not isinstance(examples, Sequence):
        raise UsageError(
            f"{file} has no example inputs for its module",
            code="PG816",
            expected="`example_inputs`, a tensor or a tuple of tensors, beside the module",
            found="none" if examples is None else type(examples).__name__,
            hint="example_inputs = (picograd.randn(64, 784),)",
        )
    return tuple(cast(Sequence[Tensor], examples))


def _inputs_of_defaults(function: Callable[..., Any], target: str) -> tuple[Tensor, ...]:
    parameters = inspect.signature(function).parameters.values()
    missing = [one.name for one in parameters if one.default is inspect.Parameter.empty]
    if missing:
        raise UsageError(
            f"{target} has no example inputs",
            code="PG816",
            expected="every parameter with an example tensor as its default",
            found="no default for " + ", ".join(missing),
            hint=f"def {target.rpartition(':')[2]}({missing[0]}=picograd.randn(64, 784), …):",
        )
    return tuple(one.default for one in parameters)
