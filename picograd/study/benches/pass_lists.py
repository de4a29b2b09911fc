"""One program, compiled with several lists of passes that differ in a decision only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import Array, device
from picograd.compiler.executable import compile_module
from picograd.passes import Pass
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.measure import Spread, spreads

PATIENCE = 1.0
"""Seconds after which a contender that is slow has had turns enough."""


class Compiled:
    """A program on a device, with its operands in place; calling it runs it."""

    def __init__(
        self, module: ModuleOp, place: str, passes: Sequence[Pass], inputs: Sequence[Array]
    ) -> None:
        self.device = device(place)
        self.executable = compile_module(module, place, passes=passes)
        given = [self.device.upload(array) for array in inputs]
        self._inputs = self.executable.with_constants(given)
        self._outputs = [self.device.allocate(type) for type in self.executable.outputs]

    def __call__(self) -> None:
        self.executable.program.run(self._inputs, self._outputs)

    def result(self) -> Array:
        """What the last call computed."""
        return self.device.download(self._outputs[0])


@dataclass(frozen=True)
class Comparison:
    """What the lists of passes came to; the shares are of the error that rounding allows."""

    seconds: dict[str, Spread]
    share_of_budget: dict[str, float]


def compare(
    module: ModuleOp,
    place: str,
    lists: Mapping[str, Sequence[Pass]],
    inputs: Sequence[Array],
    judge: Callable[[Array], float],
    rounds: int,
) -> Comparison:
    """Compile with each list, check each result, then measure.

    `judge` tells which share of the allowed error a result has used up. Raises ArithmeticError for
    a result that is wrong: nobody needs to know how long it took.
    """
    compiled = {name: Compiled(module, place, passes, inputs) for name, passes in lists.items()}
    shares: dict[str, float] = {}
    for name, run in compiled.items():
        run()
        shares[name] = judge(run.result())
        if not shares[name] <= 1:
            raise ArithmeticError(f"{name}: wrong by {shares[name]:.3g} times what is allowed")
    finish = device(place).synchronize
    return Comparison(spreads(compiled, rounds, finish=finish, patience=PATIENCE), shares)
