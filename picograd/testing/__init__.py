"""For the tests of those who use picograd: the same function on every device.

    from picograd.testing import assert_devices_agree

    def test_my_layer(rng):
        assert_devices_agree(my_layer, torch.randn(3, 5), devices=("cpu", "gpu"))

Under pytest the fixture of the same name does without the import; it leaves out, with a reason,
devices that the machine lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import picograd
from picograd.check.differential import run_on
from picograd.check.outcome import Outcome
from picograd.compiler.pass_list import Passes, Pipeline, as_passes
from picograd.frontend.tracing.compiled import CompiledFunction

__all__ = ["DEVICES", "DevicesDiffer", "assert_devices_agree"]

DEVICES = ("reference", "cpu", "gpu")


class DevicesDiffer(AssertionError):
    """A value outside its error budget; `outcomes` says what each device did."""

    def __init__(self, message: str, outcomes: Sequence[Outcome]) -> None:
        super().__init__(message)
        self.outcomes = tuple(outcomes)


def assert_devices_agree(
    function: Callable[..., Any],
    *arguments: Any,
    devices: Sequence[str] = DEVICES,
    mode: str = "compiled",
    passes: Passes | None = None,
    passes_off: Sequence[str] = (),
) -> tuple[Outcome, ...]:
    """Run a function or module on each device; every value must lie within its error budget.

    `function` is traced once with `arguments` (tensors on any device, numbers, lists of such), as
    `picograd.compile` would; `backward()` and `optimizer.step()` may be inside, and nothing that
    they change is changed. `mode` and the passes are those of `picograd diff`. Returns what each
    device did. Raises DevicesDiffer, an AssertionError that shows the first divergence of each
    device; DeviceError where the machine has no such device; what tracing raises.
    """
    compiled = picograd.compile(function)
    if isinstance(function, CompiledFunction):
        compiled = cast(CompiledFunction[..., Any], function)
    traced = compiled.trace(*arguments)
    pipeline: Pipeline | None = None if passes is None else as_passes(passes)
    outcomes = tuple(
        run_on(
            device, traced.module, traced.inputs, mode=mode, passes=pipeline, passes_off=passes_off
        )
        for device in devices
    )
    different = [outcome.explain() for outcome in outcomes if not outcome.ok]
    if different:
        raise DevicesDiffer("\n".join(["the devices do not agree", *different]), outcomes)
    return outcomes
