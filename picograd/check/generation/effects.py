"""Whether a pass does something to a module that is its author's doing."""

from collections.abc import Callable

from xdsl.dialects.builtin import ModuleOp

from picograd.passes.rewriting.applications import Applications, counted
from picograd.passes.rewriting.patterns import EraseUnusedOp
from picograd.passes.rewriting.structure import structural_key


class _Telling(Applications):
    """Counts applications, those apart that come of themselves with xDSL's applier."""

    def __init__(self) -> None:
        super().__init__()
        self.erased = 0

    def applied(self) -> None:
        super().applied()
        self.erased += self.last is not None and isinstance(self.last.rule, EraseUnusedOp)


def has_effect(apply: Callable[[], None], module: ModuleOp) -> bool:
    """Run `apply`, which passes a module to a pass: whether the module is another one then.

    xDSL's greedy applier erases unread ops whatever patterns it is given; that alone is no effect.
    """
    before, seen = structural_key(module), _Telling()
    with counted(seen):
        apply()
    if structural_key(module) == before:
        return False
    return not seen.count or seen.erased < seen.count
