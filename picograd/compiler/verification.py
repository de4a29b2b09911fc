"""When the passes of a compilation are verified: what they leave is asked for its rules.

Verifying takes a third of the time of compiling, and finds nothing wrong but with a pass. So where
a function is compiled to be run, picograd's own passes are trusted, and asked in two cases:

- always, with PICOGRAD_VERIFY=1 (as in picograd's own tests), and whenever somebody looks at the
  IR: in a dump, by validation, by `picograd opt`;
- afterwards, when compiling has failed: then the passes run again, each verified, so that the
  error names the one that left broken IR, and not the one that stumbled over it.

A pass that is not picograd's own is never trusted, nor are those that run together with it.
"""

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.switches import is_on
from picograd.compiler.driver import ABOUT_THE_PROGRAM, run_pipeline
from picograd.dialects.quick import clone
from picograd.passes.base import Pass

VARIABLE = "PICOGRAD_VERIFY"
"""The environment variable that asks for every pass of every compilation to be verified."""

_OWN = "picograd.passes."


def are_trusted(steps: Sequence[Pass]) -> bool:
    """Whether passes run unverified, unless something fails.

    Raises OptionError where PICOGRAD_VERIFY says neither yes nor no.
    """
    return not is_on(VARIABLE) and all(type(step).__module__.startswith(_OWN) for step in steps)


def look_again(
    module: ModuleOp, steps: Sequence[Pass], facts: frozenset[str] | None, error: Exception
) -> None:
    """Run passes that were trusted once more, verified, on the module that compiling failed on.

    `error` is how it failed. Raises PassError where a pass leaves broken IR, VerificationError
    where the module was broken to begin with; else nothing, and `error` tells best what happened.
    """
    if not isinstance(error, ABOUT_THE_PROGRAM):
        run_pipeline(clone(module), steps, facts=facts)
