"""A pass that makes only its first rewrites, and is else the pass that it was."""

from __future__ import annotations

from dataclasses import fields

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.passes import Pass
from picograd.passes.rewriting.applications import Applications, counted


def counting(step: Pass, applications: Applications) -> Pass:
    """The pass, whose rewrites are counted, and limited, by `applications`.

    It has the options, the declarations and the spelling of the pass, because its class derives
    from that of the pass: so it may stand in the pass's place in any pipeline.
    """

    def apply(self: Pass, ctx: Context, op: ModuleOp) -> None:
        with counted(applications):
            step.apply(ctx, op)

    kind = type(step)
    derived: type[Pass] = type(kind.__name__, (kind,), {"apply": apply})
    return derived(**{field.name: getattr(step, field.name) for field in fields(step)})
