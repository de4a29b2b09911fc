"""What stands in front of a pass of a case: its module, or the two that it was taken apart into.

Where a module's kept arguments decide what is worth keeping (`compiler/hoist_constants.py`), the
passes that lower it run on two modules, and so they do in all that looks for faults.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.driver import run_pipeline
from picograd.compiler.hoist_constants import cut
from picograd.compiler.in_parts import run_to_parts
from picograd.compiler.validation.inputs import fitted
from picograd.dialects.literals import Array
from picograd.passes.base import Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of, evaluate


@dataclass(frozen=True)
class Standing:
    """A module, and inputs for its entry."""

    module: ModuleOp
    inputs: tuple[Array, ...]


def standing(
    module: ModuleOp, inputs: Sequence[Array], passes: Sequence[Pass], stage: int
) -> list[Standing]:
    """What the first `stage` passes of a way leave: one module, or the module and its constants.

    The one that is run in every call comes first; it is given what the other computes.
    """
    module = module.clone()
    head, behind = cut(passes)
    if stage < len(head) or not behind:
        run_pipeline(module, passes[:stage], facts=None)
        return [_fitting(module, inputs)]
    way, tail = run_to_parts(module, passes, facts=None)
    steps = passes[len(passes) - len(tail) : stage]
    rest = way.rest
    if rest is None:
        run_pipeline(module, steps, facts=None)
        return [_fitting(module, inputs)]
    read = [inputs[number] for number in rest.hoisted.reads]
    constants = rest.hoisted.module
    kept = evaluate(constants, [array.copy() for array in read])
    run_pipeline(module, steps, facts=None)
    run_pipeline(constants, steps, facts=None)
    return [_fitting(module, [*inputs, *kept]), _fitting(constants, read)]


def _fitting(module: ModuleOp, inputs: Sequence[Array]) -> Standing:
    return Standing(module, tuple(fitted(inputs, entry_of(module))))
