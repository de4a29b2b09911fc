"""Applications of rewrites, one by one: counted, stopped after so many, and told who was last.

    applications = Applications(limit=3)
    with counted(applications):
        MyPass().apply(context, module)   # takes its first three steps, and no more
    applications.count, applications.last

A pass is a sequence of small rewrites. Whoever looks for a wrong one (`picograd.check.blame`) runs
the pass with its first n rewrites only, for different n. So a pass asks before each step,

    if applies(lower, loop):
        lower(loop)

and `rewrite_greedily` and xDSL's walker ask for those who use them. Which applications are being
counted is known in dynamic scope (a context variable): passes have no argument for it, and nested
helpers ask as well. Outside of `counted` every step applies, and nothing is counted.

What a pass must hold to, so that n means the same at every run and every n leaves a good module:

- steps come in an order that the module alone decides, never a set or an address in memory;
- a step is asked for right before it is taken, and not taken when the answer is no; once it is no,
  it is no for good, so a loop that waits for progress must stop;
- between two steps the module verifies and means what it meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeAlias

from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import RewritePattern

from picograd.passes.rewriting.patterns import counting_walkers
from picograd.quick_dataclasses import dataclass

RewriteRule: TypeAlias = Callable[..., Any] | RewritePattern | ModulePass
"""What is named as the rule of an application: the function that rewrites, a pattern of xDSL's, or
a pass that does one thing only, itself."""


@dataclass(frozen=True)
class Application:
    """One application of a rule: `number` counts from 1, `op` is the op that it looked at."""

    number: int
    rule: RewriteRule
    op: str

    @property
    def name(self) -> str:
        """What the rule is called."""
        if isinstance(self.rule, ModulePass):
            return self.rule.name
        if isinstance(self.rule, RewritePattern):
            return type(self.rule).__name__
        name = getattr(self.rule, "__name__", type(self.rule).__name__)
        return name.lstrip("_") or name

    @property
    def source(self) -> str:
        """The file and line where the rule is written; "" where that cannot be told."""
        rule = self.rule
        if isinstance(rule, RewritePattern | ModulePass):
            rule = type(rule)
        try:
            file = inspect.getsourcefile(inspect.unwrap(rule))
            line = inspect.getsourcelines(inspect.unwrap(rule))[1]
        except (OSError, TypeError):
            return ""
        return f"{_shortened(file)}:{line}" if file else ""


def _shortened(file: str) -> str:
    """The path from the folder that one stands in, where the file lies inside."""
    path = Path(file).resolve()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


class Applications:
    """Counts applications, and allows so many of them: all, where `limit` is None."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.count = 0
        self.last: Application | None = None
        """The last one that was asked for, which a crash happened in, if one happened."""

    @property
    def exhausted(self) -> bool:
        """Whether no more may be applied."""
        return self.limit is not None and self.count >= self.limit

    def attempt(self, rule: RewriteRule, op: Operation) -> None:
        """Note that a rule looks at an op, and may apply."""
        self.last = Application(self.count + 1, rule, describe(op))

    def applied(self) -> None:
        """Count the last attempt: it did apply."""
        self.count += 1


_CURRENT: ContextVar[Applications | None] = ContextVar("applications", default=None)


def current() -> Applications | None:
    """The applications that are being counted; None nearly always."""
    return _CURRENT.get()


def applies(rule: RewriteRule, op: Operation) -> bool:
    """Whether a step may be taken now, which then counts: `rule` is the function that takes it."""
    applications = _CURRENT.get()
    if applications is None:
        return True
    if applications.exhausted:
        return False
    applications.attempt(rule, op)
    applications.applied()
    return True


@contextmanager
def counted(applications: Applications) -> Generator[None]:
    """Count the applications inside of the block, those of xDSL's walkers included."""
    token = _CURRENT.set(applications)
    try:
        with counting_walkers(current):
            yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def as_one_step() -> Generator[None]:
    """Count nothing inside of the block: what helpers do there is part of the step being taken."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def describe(op: Operation) -> str:
    """An op's name, and its kind where it has one: `pico.binary add`."""
    kind = getattr(op.properties.get("kind"), "data", None)
    return op.name if kind is None else f"{op.name} {kind}"
