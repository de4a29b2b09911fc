"""What the GPU makes of IR: plans, and programs that watch themselves. `device` loads it late."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.wgsl.checked_program import CheckedWgslProgram
from picograd.backends.wgsl.plan import Plan
from picograd.backends.wgsl.planner import Planner
from picograd.backends.wgsl.runtime import Limits

__all__ = ["CheckedWgslProgram", "planned"]


def planned(module: ModuleOp, limits: Limits) -> Plan:
    """What there is to run of a module of loop level.

    Raises CompileError for a module of another level, LimitError for one beyond the limits.
    """
    return Planner(module, limits).plan()
