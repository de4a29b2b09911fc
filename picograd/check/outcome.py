"""What differential runs find out: steps, and the first that differs, in words."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import Comparison, Excess

_LINES_OF_IR = 14
"""Of a kernel that differs, so many lines of IR are shown."""


@dataclass(frozen=True)
class Step:
    """One kernel or op that a device ran, and how its results compare."""

    label: str
    values: tuple[str, ...]
    """The names of what it computes; empty texts where a value has none."""
    ops: tuple[str, ...]
    """The tensor ops in it, such as `matmul` or `binary add`."""
    at: tuple[str, ...]
    """The lines of the user's that asked for them, in order, each once."""
    text: str
    """Its IR."""
    comparison: Comparison

    @property
    def ok(self) -> bool:
        return self.comparison.excesses == 0


@dataclass(frozen=True)
class Outcome:
    """What one device did with the function."""

    device: str
    steps: tuple[Step, ...]
    results: Comparison
    """The function's results, held against the graph as it was traced."""
    suspect: str = ""
    """Who is to blame when the results are wrong and no step is."""

    @property
    def first_divergence(self) -> Step | None:
        """The first kernel or op whose result exceeds its budget."""
        return next((step for step in self.steps if not step.ok), None)

    @property
    def ok(self) -> bool:
        """Everything that is determined lies within its budget."""
        return self.first_divergence is None and self.results.excesses == 0

    @property
    def used(self) -> float:
        """The largest share of its budget that a value of a step uses."""
        return max((step.comparison.used for step in self.steps), default=0.0)

    @property
    def elements(self) -> int:
        """How many elements were compared, those of the results apart."""
        return sum(step.comparison.elements for step in self.steps)

    @property
    def undetermined(self) -> int:
        """How many of them hang on a decision that the error bound straddles."""
        return sum(step.comparison.undetermined for step in self.steps)

    def explain(self) -> str:
        """Where the device first differs, with values; a line that says so when it does not."""
        step = self.first_divergence
        if step is not None:
            return "\n".join(_describe_step(self.device, step))
        if self.results.excesses:
            return "\n".join(_describe_results(self))
        return f"{self.device}: every value lies within its budget"


def _describe_step(device: str, step: Step) -> list[str]:
    worst = step.comparison.worst
    assert worst is not None
    name = step.values[worst.output]
    value = f"%{name}" if name else f"result {worst.output}"
    return [
        f"{device}: first divergence: {value} of kernel {step.label!r}",
        f"  ops:      {', '.join(step.ops)}",
        *_values(worst, step.comparison),
        *[f"  at:       {line}" for line in step.at],
        "  in the IR:",
        *_first_lines(step.text),
    ]


def _describe_results(outcome: Outcome) -> list[str]:
    worst = outcome.results.worst
    assert worst is not None
    if outcome.suspect:
        blame = f"after the pass {outcome.suspect} the module means something else"
        hint = "look at the dumps before and after it, or leave it out: --passes-off"
    else:
        blame = "each kernel is right when all values between kernels are kept"
        hint = "leave out what lets buffers share memory: --passes-off plan_buffers"
    return [
        f"{outcome.device}: the kernels agree, but result {worst.output} of the function does not",
        *_values(worst, outcome.results),
        f"  blame:    {blame}",
        f"  help:     {hint}",
    ]


def _values(worst: Excess, comparison: Comparison) -> list[str]:
    share = "no error is allowed" if not worst.budget else f"{comparison.used:.3g} times the budget"
    wrong = f"{comparison.excesses} wrong elements of {comparison.elements}"
    return [
        f"  index:    {list(worst.index)}, the worst of {wrong}",
        f"  expected: {_number(worst.expected)} ± {worst.budget:.3g}",
        f"  found:    {_number(worst.found)} ({share})",
    ]


def _number(value: float) -> str:
    """Nine digits tell all float32 apart; integers are written in full."""
    return f"{value:.9g}" if isinstance(value, float) else repr(value)


def _first_lines(text: str) -> Sequence[str]:
    lines = text.splitlines()
    more = [] if len(lines) <= _LINES_OF_IR else [f"    … {len(lines) - _LINES_OF_IR} more lines"]
    return ["    " + line for line in lines[:_LINES_OF_IR]] + more
