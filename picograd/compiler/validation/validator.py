"""The instrument that validates a pipeline: every pass is held to what the module meant before it.

watch = Validator(module)
run_pipeline(module, passes, instruments=[watch])     # raises ValidationError
print(watch.checks)

Source of the idea: A. Pnueli, M. Siegel and E. Singerman, Translation Validation (1998); for LLVM
Alive2 does it with a solver (N. Lopes and others, 2021), where this evaluates on some inputs.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.driver import PassRecord
from picograd.compiler.hoist_constants import Hoisted
from picograd.compiler.validation.error import ValidationError, in_one_line
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import input_types
from picograd.compiler.validation.launches import KnownLaunches
from picograd.compiler.validation.parts import compare_parts
from picograd.compiler.validation.record import Record
from picograd.compiler.validation.signature import (
    Signature,
    functions_of,
    signature_of,
    undeclared_donation,
)
from picograd.compiler.validation.single_nans import sets_of_inputs
from picograd.compiler.validation.subject import Finding, Judgement, Subject
from picograd.dialects.literals import Array
from picograd.passes.base import Pass, level_of
from picograd.passes.rewriting.structure import structural_key
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of

FOLLOWED_DOWN = 3
"""So many of the drawn sets are judged at all levels. More there are of single NaNs only, and these
are for rules of tensors: a set costs as much at the loops as everywhere else together."""


@dataclass(frozen=True)
class PassCheck:
    """How a pass was validated."""

    step: str
    used: float
    """The largest fraction of its budget that an element of a result took."""
    elements: int
    """How many elements were compared, over all sets of inputs and both budgets."""
    undetermined: int
    """How many of them hang on a decision that the error bound straddles: these do not count."""
    seconds: float
    changed: bool = True
    """Whether the pass changed the module; one that did not is right."""

    @property
    def share(self) -> str:
        """The fraction of the budget that was used, in words."""
        return f"{self.used:8.2g} of its budget" if self.changed else "unchanged"

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.step:40s} unchanged"
        unsure = f", {self.undetermined} undetermined" if self.undetermined else ""
        counted = f"{self.elements} elements{unsure}"
        return f"{self.step:40s} {self.share}, {counted}, {self.seconds:.2f} s"


class Validator:
    """An instrument that evaluates the module before and after every pass.

    `root` is the module before the first pass, at any level. `inputs` are sets of arrays for its
    entry function; by default they are drawn (`sets_of_inputs`), as those of its other functions
    always are. `after` raises ValidationError at the first pass that does anything wrong.
    """

    def __init__(
        self,
        root: ModuleOp,
        inputs: Sequence[Sequence[Array]] | None = None,
        *,
        seed: int = 0,
        folder: Path | None = None,
        remark: str = "",
        sanitize: bool = False,
    ) -> None:
        """`folder` is where a module is saved that a pass spoils; errors repeat the remark.

        With `sanitize` the evaluators look for parallel iterations that disturb one another.
        """
        self.checks: list[PassCheck] = []
        self.seed = seed
        self._given = inputs
        self._remark = remark
        self._sanitize = sanitize
        self._spent = Judgement()
        self._launches = KnownLaunches()
        self._folder = folder
        self._record = Record(root, folder) if folder is not None else None
        self._start(root)

    def _start(self, module: ModuleOp) -> None:
        """Take the module as it stands for what is meant."""
        entry, level = entry_of(module), level_of(module)
        self._key: Hashable = structural_key(module)
        self._signatures: dict[str, Signature] = {}
        self._subjects: dict[str, list[Subject]] = {}
        self._names: dict[str, list[str]] = {}
        for name, function in functions_of(module).items():
            count = len(input_types(function))
            fits = self._given is not None and all(len(own) == count for own in self._given)
            given = self._given if function is entry and fits else None
            sets = sets_of_inputs(function, self.seed) if given is None else given
            self._signatures[name] = signature_of(function)
            self._names[name] = [a.name_hint or f"arg{a.index}" for a in function.args]
            self._subjects[name] = [
                Subject(
                    function,
                    inputs,
                    level,
                    closely=given is not None or number == 0,
                    shallow=given is None and number >= FOLLOWED_DOWN,
                    launch=self._launches.run,
                )
                for number, inputs in enumerate(sets)
            ]

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Look at what matters to some passes only: else what stood before is known."""
        for name, function in functions_of(module).items():
            for subject in self._subjects.get(name, []):
                subject.prepare(step, function)

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Hold the module against what it was. Raises ValidationError when the pass is wrong."""
        start = time.perf_counter()
        if self._record is not None:
            self._record.passes.append(step)
        key = structural_key(module)
        changed, self._key = key != self._key, key
        self._spent = Judgement()
        if changed:
            self._launches.renew()
        try:
            if changed:
                self._judge(step, module)
                if step.adds_results:
                    self._start(module)
        finally:
            spent, seconds = self._spent, time.perf_counter() - start
            self.checks.append(
                PassCheck(
                    str(step), spent.used, spent.elements, spent.undetermined, seconds, changed
                )
            )

    def hoisted(self, before: ModuleOp, out: Hoisted, module: ModuleOp, record: PassRecord) -> None:
        """Hold a module, and what was taken out of it, against what it was; then go on with it.

        Raises ValidationError where they compute something else.
        """
        start, spent = time.perf_counter(), Judgement()
        name = entry_of(before).sym_name.data
        for subject in self._subjects[name]:
            spent += compare_parts(before, out, module, subject.inputs)
            finding = spent.finding
            if finding is not None:
                names = self._names[name]
                raise ValidationError(
                    f"{record.name} changes what @{name} does: {finding.message}",
                    step=record.spelling,
                    function=name,
                    fault=finding.fault,
                    inputs=subject.inputs,
                    excess=finding.excess,
                    used=finding.used,
                    expected=finding.expected,
                    found=finding.found,
                    hint="it takes ops out of the module as they are: look at what it takes, and "
                    "in which order its results are handed over",
                    where=_shown(self._remark, names, subject.inputs),
                )
        self._start(module)
        if self._folder is not None:
            self._record = Record(module, self._folder)
        seconds = time.perf_counter() - start
        self.checks.append(
            PassCheck(record.spelling, spent.used, spent.elements, spent.undetermined, seconds)
        )

    def _judge(self, step: Pass, module: ModuleOp) -> None:
        level = level_of(module)
        functions = functions_of(module)
        for name, before in self._signatures.items():
            function = functions.get(name)
            if function is None:
                finding = Finding(Fault.SIGNATURE, "it removed the function", before, "none")
                raise self._error(step, name, finding)
            finding = _changed_signature(step, before, signature_of(function))
            self._signatures[name] = signature_of(function)
            stored = undeclared_donation(function)
            if stored and finding is None:
                message = "it lets a result take the place of an input that nobody donated"
                finding = Finding(Fault.ARGUMENT, message, "an input marked pico.donated", stored)
            if finding is not None:
                raise self._error(step, name, finding)
            for subject in self._subjects[name]:
                judgement = subject.judge(step, function, level, sanitize=self._sanitize)
                self._spent += judgement
                if judgement.finding is not None:
                    raise self._error(step, name, judgement.finding, subject.inputs)

    def _error(
        self, step: Pass, function: str, finding: Finding, inputs: Sequence[Array] = ()
    ) -> ValidationError:
        inputs = inputs or self._subjects[function][0].inputs
        if self._record is None:
            hint = (
                "save the module with PICOGRAD_CHECK=FOLDER, or --save; then `picograd blame` "
                "names the rewrite, and `picograd reduce` makes a small module of it"
            )
        else:
            path = self._record.save(finding.fault, inputs)
            hint = f"`picograd blame {path}` names the rewrite, `picograd reduce {path}` shrinks it"
        if finding.hint:
            hint = f"{hint}; {finding.hint}"
        return ValidationError(
            f"pass {step} changes what @{function} does: {finding.message}",
            step=str(step),
            function=function,
            fault=finding.fault,
            inputs=inputs,
            excess=finding.excess,
            used=finding.used,
            expected=finding.expected,
            found=finding.found,
            hint=hint,
            where=_shown(self._remark, self._names[function], inputs),
        )


_MOST_SHOWN = 8
"""Of the inputs, so many are shown in a message."""


def _shown(remark: str, names: Sequence[str], inputs: Sequence[Array]) -> str:
    """The inputs, a line each."""
    lines = [f"%{name} = {in_one_line(a)}" for name, a in zip(names, inputs, strict=False)]
    more = [f"… {len(lines) - _MOST_SHOWN} more inputs"] if len(lines) > _MOST_SHOWN else []
    return "\n            ".join(
        [*([remark] if remark else []), "these inputs:", *lines[:_MOST_SHOWN], *more]
    )


def _changed_signature(step: Pass, before: Signature, after: Signature) -> Finding | None:
    right = (
        after.extends(before)
        if step.adds_results
        else after.shapes == before.shapes
        if step.changes_types
        else after == before
    )
    if right:
        return None
    return Finding(Fault.SIGNATURE, "its arguments or results are others", before, after)
