"""Programs, and passes around the named ones, on which the named passes have something to do.

A rule that matches one program in fifty goes untested in the other forty-nine, and a wrong one may
be right on most that it matches. To draw a program, to run a pass on it and to evaluate both takes
milliseconds; to hold a case to all budgets, after every pass, takes a hundred times as long. So
where passes are named, several programs are drawn for each that is examined: one whose results the
passes change by a bit is taken at once, else the first that they change at all. What the change is
worth, the examination tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from functools import partial

from xdsl.dialects.builtin import ModuleOp

from picograd.check.fuzz.programs import THEMES, Program, draw_program, rng_of
from picograd.check.fuzz.routes import Route, Scope, Watch, draw_route
from picograd.check.generation.effects import has_effect
from picograd.check.oracle import REFUSALS
from picograd.dialects import new_context
from picograd.errors import IndexOutOfRange
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import evaluate

MOST_DRAWN = 40
"""So many programs are drawn in search of one that passes of tensor level change,"""
MOST_CHANGED = 8
"""… among them so many that they change, in search of one that then means something else,"""
MOST_DRAWN_BELOW = 6
"""… and so many where the first named pass works further down, for it takes all passes above."""
MOST_ROUTES = 4
"""So many ways to the named passes are tried before the shortest."""
_SAMPLES = 8
"""So many programs of each theme tell what the named passes do to such."""
_ANYTHING = 0.5
"""The weight of a theme where they do nothing."""


class Effect(IntEnum):
    """What the named passes do to a program, the more telling the greater."""

    NOTHING = 0
    SOME = 1
    """Some of them change it,"""
    ALL = 2
    """… all of them do,"""
    VALUES = 12
    """… or what it computes is something else then, or one of them raises what no refusal is."""


@dataclass
class Chooser:
    """Chooses what the cases of a run are: the same for the same seed and number.

    `watches` makes what is told, for a program, which passes are about to run on it.
    """

    seed: int
    themes: Sequence[str]
    scope: Scope
    watches: Callable[[Program], Watch]
    _weights: Mapping[str, float] = field(default_factory=dict[str, float])

    def program(self, number: int) -> Program:
        """Number `number` of the run: where no pass is named, the one that is drawn first."""
        best = draw_program(self.seed, number, self.themes)
        if not self.scope.wanted:
            return best
        at_once = self.scope.starts_at_once
        most, changed = Effect.NOTHING, 0
        for attempt in range(MOST_DRAWN if at_once else MOST_DRAWN_BELOW):
            program = self._drawn(number, attempt) if attempt else best
            effect = self._effect(program) if at_once else self._effect_below(program, attempt)
            if effect > most:
                best, most = program, effect
            changed += effect > Effect.NOTHING
            if effect == Effect.VALUES or changed == (MOST_CHANGED if at_once else 1):
                break
        return best

    def _drawn(self, number: int, attempt: int) -> Program:
        """Another program of that number, of a theme in which the named passes change many."""
        rng = rng_of(self.seed, number, "theme", str(attempt))
        names = [name for name in self.themes if name in THEMES]
        if self.scope.starts_at_once and not self._weights:
            self._weights = {name: self._share(name) for name in names}
        weights = [self._weights.get(name, 1.0) for name in names]
        (name,) = rng.choices(names, weights)
        return draw_program(self.seed, number, (name,), attempt)

    def _share(self, theme: str) -> float:
        """What the named passes do to some programs of a theme, in a number."""
        samples = (draw_program(self.seed, n, (theme,), MOST_DRAWN) for n in range(_SAMPLES))
        return _ANYTHING + sum(self._effect(program) for program in samples)

    def _effect(self, program: Program) -> Effect:
        """What the named passes do to a program as it is drawn."""
        module, watch = program.module.clone(), self.watches(program)
        changes = 0
        try:
            for number, step in enumerate(self.scope.wanted, 1):
                watch(self.scope.wanted[:number])
                changes += has_effect(partial(step.apply, new_context(), module), module)
        except REFUSALS:
            return Effect.SOME if changes else Effect.NOTHING
        except Exception:  # noqa: BLE001 - any pass may raise anything; it is examined later
            return Effect.VALUES
        if not changes:
            return Effect.NOTHING
        if _differs(program, module):
            return Effect.VALUES
        return Effect.ALL if changes == len(self.scope.wanted) else Effect.SOME

    def _effect_below(self, program: Program, attempt: int) -> Effect:
        """The same where it takes passes above to come to the named ones."""
        rng = rng_of(self.seed, program.number, "below", str(attempt))
        watch = self.watches(program)
        route = draw_route(program, "reference", self.scope, rng, ("cpu",), watch)
        if route.effective >= self.scope.names:
            return Effect.ALL
        return Effect.SOME if route.effective else Effect.NOTHING

    def route(self, program: Program, device: str, machines: Sequence[str], watch: Watch) -> Route:
        """Passes for a program on a device, around the named ones so that these change it."""
        best: Route | None = None
        for attempt in range(MOST_ROUTES + 1):
            rng = rng_of(self.seed, program.number, device, *([str(attempt)] if attempt else []))
            directly = attempt == MOST_ROUTES
            route = draw_route(program, device, self.scope, rng, machines, watch, directly=directly)
            if route.effective >= self.scope.names or route.failed:
                return route
            if best is None or len(route.effective) > len(best.effective):
                best = route
        assert best is not None
        return best


def _differs(program: Program, module: ModuleOp) -> bool:
    """Whether what a module computes is not, bit by bit, what the program computes."""
    try:
        expected = evaluate(program.module, [array.copy() for array in program.inputs])
    except IndexOutOfRange:
        return False
    try:
        found = evaluate(module, [array.copy() for array in program.inputs])
    except Exception:  # noqa: BLE001 - IR that a pass has broken may raise anything
        return True
    return [array.tobytes() for array in found] != [array.tobytes() for array in expected]
