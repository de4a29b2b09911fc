"""Passes that are done after one run."""

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.passes.base import Pass


def done_once(text: str, step: Pass) -> ModuleOp:
    """What a pass makes of a module: it verifies, reads back, and a second run changes nothing."""
    module = parse_module(text)
    step.apply(new_context(), module)
    module.verify()
    after = str(module)
    assert parse_module(after).is_structurally_equivalent(module)
    step.apply(new_context(), module)
    assert str(module) == after
    return module
