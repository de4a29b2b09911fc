"""Passes that the command line may name: picograd's own, and those in files of the user's."""

from collections.abc import Iterable

from picograd.cli.files import UsageError, load_python
from picograd.passes import PASSES, Pass


def load_passes(files: Iterable[str]) -> dict[str, type[Pass]]:
    """All known passes: picograd's own, then those defined in the named Python files.

    Raises UsageError when a file defines no pass, or one whose name is taken.
    """
    known = dict(PASSES)
    for file in files:
        module = load_python(file)
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Pass)
            and value.__module__ == module.__name__
        ]
        if not found:
            raise UsageError(
                f"{file} defines no pass",
                expected="a frozen dataclass that derives from picograd.passes.Pass",
                found="none",
                hint="docs/writing-a-pass.md shows a small one",
            )
        for step in found:
            if step.name in known:
                raise UsageError(
                    f"{file} defines a pass called {step.name}, and that name is taken",
                    expected="a name of its own",
                    found=step.name,
                    hint="rename it: the name is the class variable `name`",
                )
            known[step.name] = step
    return known
