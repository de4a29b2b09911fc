"""x"""
from __future__ import annotations
from collections.abc import Mapping
from dataclasses import dataclass
from xdsl.ir import Operation
from picograd.dialects.loop import KernelOp, LoadOp
from picograd.targets import Target

@dataclass(frozen=True)
class Staging:
    """One copy that is to be made."""
    load: LoadOp
    around: tuple[Operation, ...]
    """The operations around the load, outermost first, in front of which the copy is made."""
    layout: Mapping[str, int]
    space: str

def staged_loads(kernel: KernelOp, target: Target) -> list[Staging]:
    return []
