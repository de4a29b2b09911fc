"""One function on one set of inputs, followed through a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from xdsl.dialects.func import FuncOp

from picograd.compiler.validation.error import in_one_line
from picograd.compiler.validation.expectation import expect, types_in_float64
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import as_declared, fitted, input_types, other_inputs
from picograd.compiler.validation.signature import result_names, signature_of
from picograd.compiler.validation.wide_integers import leaves_32_bits
from picograd.dialects.literals import Array
from picograd.errors import IndexOutOfRange, PicogradError, SanitizerError
from picograd.passes.base import Level, Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.accuracy import CPU, FLOAT64
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import Comparison, Excess, judge
from picograd.semantics.environment import Launcher
from picograd.semantics.evaluate import evaluate
from picograd.semantics.loop import run_kernel

CANNOT_RUN = (PicogradError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError)
"""What the evaluator raises on IR that verifies and still makes no sense."""

_UPPER = (Level.TENSOR, Level.KERNEL)

_MAY_APPROXIMATE = (
    "with the precision that it runs in, it is within its budget: a pass that puts other "
    "arithmetic in the place of some says `approximates = True`"
)


@dataclass(frozen=True)
class Finding:
    """Something wrong: what kind of fault, and what was expected and found."""

    fault: Fault
    message: str
    expected: object = ""
    found: object = ""
    excess: Excess | None = None
    used: float = 0.0
    hint: str = ""
    """What may help beside looking for the rewrite."""


@dataclass(frozen=True)
class Judgement:
    """How the results after a pass compare."""

    used: float = 0.0
    elements: int = 0
    undetermined: int = 0
    finding: Finding | None = None

    def __add__(self, other: Judgement) -> Judgement:
        return Judgement(
            max(self.used, other.used),
            self.elements + other.elements,
            self.undetermined + other.undetermined,
            self.finding or other.finding,
        )


class Subject:
    """What a function computes on some inputs: as it was given, and as the last pass left it.

    `closely` judges in float64 as well; special values need no such budget. A `shallow` one is not
    followed below the kernels of tensors, where evaluation takes longest. `launch` runs kernels.
    """

    def __init__(
        self,
        function: FuncOp,
        inputs: Sequence[Array],
        level: Level,
        *,
        closely: bool = True,
        shallow: bool = False,
        launch: Launcher = run_kernel,
    ) -> None:
        self.inputs = list(inputs)
        self.closely = closely
        self.shallow = shallow
        self.launch = launch
        self.raises: IndexOutOfRange | None = None
        self.overflows = False
        """Whether 64-bit integers leave 32 bits here, where a machine may wrap them sooner."""
        self.native: list[Bounded] = []
        self.wide: list[Bounded] = []
        self._before: FuncOp | None = None
        """The function before the pass, where that may fold constants."""
        self._result_names = result_names(function)
        self.start(function, level)

    def start(self, function: FuncOp, level: Level) -> None:
        """Take the function as it stands for what is meant."""
        self.types = list(signature_of(function).results)
        given = fitted(self.inputs, function)
        try:
            self.native = expect(function, given, CPU)
            if self.closely:
                self.wide = expect(function, given, FLOAT64, folds=level == Level.TENSOR)
        except IndexOutOfRange as error:
            self.raises = error

    def prepare(self, step: Pass, function: FuncOp) -> None:
        """Look at the function that a pass is about to change, where that matters."""
        self._before = function.clone() if step.level_in == Level.TENSOR else None
        if step.changes_types:
            self.overflows = leaves_32_bits(function, fitted(self.inputs, function))

    def judge(
        self, step: Pass, function: FuncOp, level: Level, *, sanitize: bool = False
    ) -> Judgement:
        """Hold what the function computes after a pass against what it computed before."""
        if self.shallow and level not in _UPPER:
            return Judgement()
        added = input_types(function)[len(self.inputs) :] if step.adds_results else []
        ones = [np.ones(type.get_shape()) for type in added]
        given = fitted([*self.inputs, *ones], function)
        originals = [array.copy() for array in given]
        try:
            outputs = evaluate(function, given, sanitize=sanitize, launch=self.launch)
            wide = self._in_float64(step, function, originals, level) if self.closely else None
        except IndexOutOfRange as error:
            if self.raises is not None:
                return Judgement()
            message = "what it made finds an index out of range, which was inside"
            return Judgement(finding=Finding(Fault.VALUES, message, "no error", error.message))
        except CANNOT_RUN as error:
            message = f"what it made cannot be run: {_first_line(error)}"
            fault = Fault.MEMORY if isinstance(error, SanitizerError) else Fault.INVALID
            return Judgement(
                finding=Finding(
                    fault,
                    message,
                    getattr(error, "expected", "IR that has a meaning"),
                    getattr(error, "found", _first_line(error)),
                )
            )
        for number, (array, original) in enumerate(zip(given, originals, strict=True)):
            if array.tobytes() != original.tobytes():
                return Judgement(
                    finding=Finding(
                        Fault.ARGUMENT,
                        f"what it made writes into input {number}, which nobody donated",
                        in_one_line(original),
                        in_one_line(array),
                    )
                )
        if self.raises is not None:
            return Judgement()
        if self.overflows and step.changes_types:
            self.start(function, level)
            count = sum(output.size for output in outputs)
            return Judgement(elements=count, undetermined=count)
        return self._compare(step, outputs, wide)

    def _in_float64(
        self, step: Pass, function: FuncOp, inputs: Sequence[Array], level: Level
    ) -> list[Bounded]:
        """The results in float64; below the kernels with the bounds of before: passes keep them."""
        if level in _UPPER:
            return expect(function, inputs, FLOAT64, folds=level == Level.TENSOR)
        copies = [array.copy() for array in inputs]
        if step.approximates:
            # Other arithmetic has other bounds; the next pass is held to these.
            return expect(function, copies, FLOAT64)
        found = evaluate(function, copies, precision="float64", launch=self.launch)
        return [
            Bounded(value, known.error, known.doubtful)
            for value, known in zip(found, self.wide, strict=False)
        ]

    def _compare(
        self, step: Pass, outputs: Sequence[Array], wide: list[Bounded] | None
    ) -> Judgement:
        count = len(self.native)
        if step.adds_results:
            outputs = outputs[:count]
        close: Comparison | None = None
        try:
            native = judge(self.native, self.types, as_declared(outputs, self.types))
            if wide is not None and not step.approximates:
                close = self._in_budget(wide[:count])
                if close.first is not None and self._before is not None:
                    self._allow_folding(self._before)
                    close = self._in_budget(wide[:count])
        except PicogradError as error:
            finding = Finding(Fault.INVALID, error.message, error.expected, error.found)
            return Judgement(finding=finding)
        total = Judgement()
        total += self._judgement(native)
        if close is not None:
            total += self._judgement(close, " in float64", _MAY_APPROXIMATE)
        if wide is not None:
            values = as_declared([bound.value for bound in wide[:count]], self.types)
            self.wide = [replace(b, value=v) for b, v in zip(wide, values, strict=False)]
        return total

    def _in_budget(self, wide: Sequence[Bounded]) -> Comparison:
        found = as_declared([bound.value for bound in wide], self.types)
        return judge(self.wide, types_in_float64(found), found)

    def _allow_folding(self, before: FuncOp) -> None:
        """Widen the bounds of what depends on no input, as a look at other inputs shows: it may be
        a constant now, rounded to its own type.
        """
        given = fitted(self.inputs, before)
        with suppress(IndexOutOfRange):
            wider = expect(before, given, FLOAT64, folds=True, others=other_inputs(given))
            self.wide = [
                replace(bound, error=other.error, doubtful=other.doubtful)
                for bound, other in zip(self.wide, wider, strict=False)
            ]

    def _judgement(self, comparison: Comparison, kind: str = "", hint: str = "") -> Judgement:
        finding = None
        if comparison.first is not None:
            first = comparison.first
            share = f"{comparison.used:.3g} times" if first.budget else "beyond"
            wrong = f"{comparison.excesses} wrong elements of {comparison.elements}"
            finding = Finding(
                Fault.VALUES,
                f"result {self._called(first.output)} differs at {list(first.index)}{kind}",
                f"{first.expected!r} ± {first.budget:.3g}",
                f"{first.found!r} ({share} its budget; {wrong})",
                first,
                comparison.used,
                hint,
            )
        return Judgement(comparison.used, comparison.elements, comparison.undetermined, finding)

    def _called(self, number: int) -> str:
        name = self._result_names[number]
        return f"{number}, %{name}," if name else str(number)


def _first_line(error: BaseException) -> str:
    if isinstance(error, PicogradError):
        return error.message
    return f"{type(error).__name__}: {error}".splitlines()[0]
