"""Passes on the command line: picograd's own, installed ones, and those in files of the user's.

`dump` and `bench` compile with the device's pipeline; with `--insert` passes are put into it, and
with `--passes` others take its place. `--load` adds the passes of a Python file to those known.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from picograd.cli.files import UsageError, load_python
from picograd.compiler.extension import registered
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.registry import Registry
from picograd.passes import Pass

_INSERTION = re.compile(r"\s*(?P<steps>.+?)\s+(?P<side>before|after)\s+(?P<name>\S+)\s*")
_NUMBERED = re.compile(r"(?P<name>\w+)#(?P<number>\d+)")

_REGISTERING: dict[Path, ModuleType] = {}
"""The files that have registered ops or rules. What they added to the tables of this process stays
there, and is not added twice."""


def load_passes(files: Iterable[str]) -> Registry:
    """All known passes, with those defined in the named Python files among them.

    A file may also register ops and rules. Raises UsageError for one that does nothing of the sort,
    and for a pass that has no name, or whose name is taken. A file that registers does so once in a
    process, however often it is named.
    """
    installed = Registry()
    given: dict[str, type[Pass]] = {}
    for file in files:
        before = registered()
        path = Path(file).resolve()
        module = _REGISTERING.get(path) or load_python(file)
        if registered() != before:
            _REGISTERING[path] = module
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Pass)
            and value.__module__ == module.__name__
            and not (_is_nameless(value) and value.__subclasses__())
        ]
        if not found and path not in _REGISTERING:
            raise UsageError(
                f"{file} defines no pass",
                code="PG711",
                expected="a frozen dataclass that derives from picograd.passes.Pass, or a call "
                "that registers an op or a rule",
                found="neither",
                hint="`picograd new pass` writes a small one; docs/guide/first-pass.md explains it",
            )
        for step in found:
            if _is_nameless(step):
                raise UsageError(
                    f"{file} defines a pass that has no name: {step.__name__}",
                    code="PG711",
                    expected='a class variable, `name: ClassVar[str] = "my_pass"`',
                    found="none",
                    hint="a name is what --passes calls it; a base class of passes needs none",
                )
            if step.name in installed or step.name in given:
                raise UsageError(
                    f"{file} defines a pass called {step.name}, and that name is taken",
                    code="PG711",
                    expected="a name of its own",
                    found=step.name,
                    hint="rename it: the name is the class variable `name`",
                )
            given[step.name] = step
    return Registry(given)


def _is_nameless(step: type[Pass]) -> bool:
    """Whether a class has no name: it is a base of others, or its author forgot."""
    return not hasattr(step, "name")


def add_load_option(parser: argparse.ArgumentParser) -> None:
    """Let a command take `--load`."""
    parser.add_argument(
        "--load",
        action="append",
        default=[],
        metavar="FILE.py",
        help="a Python file that defines passes; may be repeated",
    )


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Let a command that compiles take `--load`, `--passes` and `--insert`."""
    add_load_option(parser)
    parser.add_argument(
        "--passes",
        metavar="LIST",
        help="run these passes in place of the device's pipeline, separated by commas",
    )
    parser.add_argument(
        "--insert",
        action="append",
        default=[],
        metavar="'PASSES before|after NAME'",
        help="put passes into the pipeline, next to the one called NAME (NAME#2: the second of "
        "that name); may be repeated",
    )


def chosen_pipeline(
    arguments: argparse.Namespace, device: str, known: Registry | None = None
) -> Pipeline | None:
    """The pipeline that the options of `add_pipeline_options` ask for; None: the device's own.

    `known` are all passes, where the files that bring some have been loaded already.
    Raises UsageError for an insertion that cannot be read, OptionError for an unknown pass.
    """
    if arguments.passes is None and not arguments.insert and not arguments.load:
        return None
    known = known or load_passes(arguments.load)
    if arguments.passes is None and not arguments.insert:
        loaded = ", ".join(name for name in known if known[name].__module__.startswith("picograd_"))
        if not loaded:
            return None  # what the files bring are ops, or rules of canonicalize's
        raise UsageError(
            f"--load brings {loaded}, and nothing says where to run it",
            code="PG817",
            expected="--insert 'PASSES before|after NAME', or --passes LIST",
            found="neither",
            hint=f"such as --insert '{loaded.partition(',')[0]} after canonicalize'",
        )
    steps = pipeline(device) if arguments.passes is None else as_passes(arguments.passes, known)
    for insertion in arguments.insert:
        steps = _inserted(steps, insertion, known)
    return steps


def _inserted(steps: Pipeline, insertion: str, known: Registry) -> Pipeline:
    found = _INSERTION.fullmatch(insertion)
    if found is None:
        raise UsageError(
            f"cannot read --insert {insertion!r}",
            code="PG817",
            expected="'PASSES before NAME' or 'PASSES after NAME'",
            found=repr(insertion),
            hint="such as --insert 'my_pass after canonicalize'",
        )
    added = as_passes(found["steps"], known)
    numbered = _NUMBERED.fullmatch(found["name"])
    name, number = found["name"], None
    if numbered is not None:
        name, number = numbered["name"], int(numbered["number"])
    put = steps.before if found["side"] == "before" else steps.after
    return put(name, *added, number=number)
