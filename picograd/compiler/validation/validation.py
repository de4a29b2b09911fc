"""Validation of one compilation: of the module itself, or of its twin where it is too large.

    check = ValidationRun(module, passes)
    check.start()
    run_pipeline(module, passes, instruments=check.instruments)
    print(check.outcome())

What is too large is decided by the work that the module asks for, which its shapes tell: so the
same module is always validated in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.switches import folder_of, is_on_or_folder
from picograd.compiler.asked import CHECK
from picograd.compiler.driver import Instrument
from picograd.compiler.in_parts import run_in_parts
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.signature import signature_of
from picograd.compiler.validation.twin import Twin, twin
from picograd.compiler.validation.validator import PassCheck, Validator
from picograd.passes.base import Level, Pass, level_of
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import CAP
from picograd.semantics.counters import count
from picograd.semantics.evaluate import entry_of

VARIABLE = CHECK
"""The environment variable that asks for validation of all that is compiled: 1, or a folder, which
modules are saved in that a pass spoils."""

LARGE = 12_000_000
"""Scalar operations in one run of a module from which on its twin is validated in its place."""

SMALLER = "on a smaller twin of the module: dimensions and tiles are shrunk together"
"""What an error says of where it happened."""


@dataclass(frozen=True)
class Validation:
    """How the passes of a compilation were validated, one check for each."""

    checks: tuple[PassCheck, ...]
    twin: str = ""
    """The signature of the twin that was validated in the module's place; or no text."""
    kept: tuple[str, ...] = field(default=())
    """What of the module could not be made small in its twin, or is cut otherwise, and why."""

    @property
    def seconds(self) -> float:
        """What validating took, over compiling."""
        return sum(check.seconds for check in self.checks)

    @property
    def used(self) -> float:
        """The largest fraction of its budget that any element took after any pass."""
        return max((check.used for check in self.checks), default=0.0)

    @property
    def remarks(self) -> list[str]:
        """What was validated and what it took; what the twin could not shrink."""
        where = f" on the twin {self.twin}" if self.twin else ""
        took = f"{self.seconds:.2f} s, {self.used:.2g} of a budget used at most"
        if not self.checks:
            return ["nothing was validated: no pass has run", *self.doubts]
        return [f"validated{where} in {took}", *self.doubts]

    @property
    def doubts(self) -> list[str]:
        """What is to be said against it: what the twin could not shrink, what is undetermined."""
        lines = [f"  unlike the module: {remark}" for remark in self.kept]
        if self.undecided > CAP:
            lines.append(
                f"  {self.undecided:.1%} of the elements are undetermined: they say nothing; "
                "another seed may decide more"
            )
        return lines

    @property
    def undecided(self) -> float:
        """The largest share of elements, after any pass, that hang on a straddled decision."""
        return max(
            (check.undetermined / check.elements for check in self.checks if check.elements),
            default=0.0,
        )

    def __str__(self) -> str:
        return "\n".join([*self.remarks, *(f"  {check}" for check in self.checks)])


class ValidationRun:
    """A validation that goes along with a compilation, or, of a twin, ahead of it."""

    def __init__(
        self,
        module: ModuleOp,
        passes: Sequence[Pass],
        *,
        seed: int = 0,
        folder: Path | None = None,
        facts: frozenset[str] | None = frozenset(),
    ) -> None:
        """`folder` and `seed` are the validator's, `facts` the driver's."""
        self.instruments: list[Instrument] = []
        self._small: Twin | None = None
        self._facts = facts
        if is_large(module):
            self._small = twin(module, Pipeline(passes))
            root = self._small.module
            self._watch = Validator(root, seed=seed, folder=folder, remark=SMALLER)
        else:
            self._watch = Validator(module, seed=seed, folder=folder)
            self.instruments.append(self._watch)

    def start(self) -> None:
        """Validate the twin, if there is one. Raises ValidationError and what the driver raises.

        What is taken out of the module on its way has a validation of its own.
        """
        if self._small is not None:
            run_in_parts(
                self._small.module.clone(),
                self._small.passes,
                instruments=[self._watch],
                facts=self._facts,
            )

    @property
    def seconds_within(self) -> float:
        """How much of the time of compiling went into validating."""
        return sum(check.seconds for check in self._watch.checks) if self.instruments else 0.0

    def outcome(self) -> Validation:
        """What has been found out so far."""
        checks = tuple(self._watch.checks)
        if self._small is None:
            return Validation(checks)
        signature = signature_of(entry_of(self._small.module))
        return Validation(checks, str(signature), self._small.kept)


def is_large(module: ModuleOp) -> bool:
    """Whether a module's twin is validated in its place. Only a module of tensors has a twin."""
    return level_of(module) == Level.TENSOR and count(module).operations > LARGE


def asked_for() -> bool:
    """Whether PICOGRAD_CHECK asks for validation of all that is compiled.

    Raises OptionError where it says neither yes nor no, and names no folder.
    """
    return is_on_or_folder(VARIABLE)


def folder_for_failures() -> Path | None:
    """The folder that PICOGRAD_CHECK names, if it names one."""
    return folder_of(VARIABLE)
