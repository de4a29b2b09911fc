"""xDSL's own patterns, counted: the one place where picograd reaches into xDSL's walker.

Passes of other people may be written with `PatternRewriteWalker`, `RewritePattern` and
`GreedyRewritePatternApplier`. While applications are counted, and only then, the walker's method
`rewrite_region`, through which every walk goes, gives its pattern a wrapper that asks before and
counts after. An application is a call after which the rewriter says that it has done something, or
after which the op differs, for a pattern may change an op in place and tell nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from xdsl.ir import Operation, Region
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)


class Counter(Protocol):
    """What counts applications: see `applications.Applications`."""

    @property
    def exhausted(self) -> bool:
        """Whether no more may be applied."""
        ...

    def attempt(self, rule: RewritePattern, op: Operation) -> None:
        """Note that a pattern looks at an op."""
        ...

    def applied(self) -> None:
        """Count the last attempt."""
        ...


class CountedPattern(RewritePattern):
    """Patterns, in order until one applies, that ask before and count after."""

    def __init__(self, pattern: RewritePattern, counter: Counter) -> None:
        self._patterns = list(_flattened(pattern))
        self._counter = counter

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        for pattern in self._patterns:
            if self._counter.exhausted:
                return
            before = _state(op)
            self._counter.attempt(pattern, op)
            pattern.match_and_rewrite(op, rewriter)
            if rewriter.has_done_action or _state(op) != before:
                self._counter.applied()
            if rewriter.has_done_action:
                return


class EraseUnusedOp(GreedyRewritePatternApplier):
    """What a greedy applier does first: it erases an op whose results nobody reads."""


class FoldOp(GreedyRewritePatternApplier):
    """What it does next: it folds an op that knows how."""


def _flattened(pattern: RewritePattern) -> Iterator[RewritePattern]:
    """The patterns that a greedy applier tries, its own erasing and folding first.

    One that does anything else is its author's, and stays whole.
    """
    own = GreedyRewritePatternApplier.match_and_rewrite
    if not isinstance(pattern, GreedyRewritePatternApplier) or (
        type(pattern).match_and_rewrite is not own
    ):
        yield pattern
        return
    if pattern.dce_enabled:
        yield EraseUnusedOp([])
    if pattern.folding_enabled:
        yield FoldOp([], pattern.ctx, folding_enabled=True, dce_enabled=False)
    for inner in pattern.rewrite_patterns:
        yield from _flattened(inner)


def _state(op: Operation) -> tuple[object, ...]:
    """What of an op a pattern may change in place."""
    attributes = (tuple(op.properties.items()), tuple(op.attributes.items()))
    return (op.parent, tuple(op.operands), tuple(op.result_types), *attributes)


_LOCK = Lock()
_OPEN: list[object] = []
"""One entry for each open `counting_walkers`, whichever thread it is in."""

_rewrite_region = PatternRewriteWalker.rewrite_region


@contextmanager
def counting_walkers(current: Callable[[], Counter | None]) -> Generator[None]:
    """Let xDSL's walkers ask `current()`, the counter of this thread, inside of the block."""

    def rewrite_region(self: PatternRewriteWalker, region: Region) -> bool:
        counter = current()
        if counter is None or isinstance(self.pattern, CountedPattern):
            return _rewrite_region(self, region)
        pattern = self.pattern
        self.pattern = CountedPattern(pattern, counter)
        try:
            return _rewrite_region(self, region)
        finally:
            self.pattern = pattern

    with _LOCK:
        _OPEN.append(rewrite_region)
        PatternRewriteWalker.rewrite_region = rewrite_region
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.remove(rewrite_region)
            if not _OPEN:
                PatternRewriteWalker.rewrite_region = _rewrite_region
